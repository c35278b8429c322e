"""Every key of every config group with values of wrong type and range: a ConfigError in one line, or a value that fits.

Composes, checks and builds, as a run does before it starts, its trainer included; nothing is trained.
"""

import math
import random
import re

import pytest
from omegaconf import DictConfig, OmegaConf
from support import MODELS, ROOT, TASKS

from lra_mru.engine.build import build
from lra_mru.engine.console import quiet_libraries
from lra_mru.engine.devices import check_model_precision
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.measuring.failing_length import check_failing_length
from lra_mru.engine.preflight import check, make_callbacks
from lra_mru.engine.preflight.keys import MORE_OF_TRAINER, check_groups
from lra_mru.engine.recording.record import identify
from lra_mru.engine.run import make_trainer
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.engine.training.optim import named_groups
from lra_mru.engine.training.replay import check_replay

OF_LIGHTNING = tuple(sorted(f"trainer.{key}" for key in MORE_OF_TRAINER))
UNNAMED = (
    *OF_LIGHTNING,
    "callbacks.mine",
    "optim.groups.mine",
    "foo",
)  # keys that no shipped file holds, and users add
WRONG = (
    {"_target_": "os.getcwd"},
    "${foo}",
    "???",
    "text",
    "",
    None,
    True,
    False,
    -1,
    0,
    1.5,
    -0.5,
    math.nan,
    math.inf,
    10**30,
    [],
    [1],
    ["a"],
    {},
    {"a": 1},
)
DRAWS = (2, 1)  # of each key in the first config, which has all of train.yaml; in every other
OF_OTHERS = ("bmru_carry", "hybrid", "hybrid_mamba", "hybrid_nfsm", "hybrid_parallel")  # no key that no other has
CASES = [f"model={name} task=copy_first" for name in MODELS if name not in OF_OTHERS]
CASES += [f"model=gru task={name}" for name in TASKS]
for group in ("trainer", "logger", "budget"):
    names = sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
    CASES += [f"model=gru task=copy_first {group}={name}" for name in names]
OPTIONAL = {  # keys whose shipped value is no null, and which may be null
    *(
        "model.block_params",
        "trainer.gradient_clip_val",
        "model.mixers.attention.max_length",
        "resume",
        "trainer.precision",
    ),
    *OF_LIGHTNING,
    *("logger", "callbacks", "task.hub_id", "trainer.deterministic", "trainer.float32_matmul_precision"),
}


def examine(cfg, folder):
    """What run() does until it opens an attempt, and the trainer that it makes after that."""
    check(cfg, "copy_first")
    identify(cfg, model="any", task="copy_first")
    task = build(cfg.task, "task")
    model = build(cfg.model, "model", spec=task.spec)
    check_groups(cfg, named_groups(model))
    check_model_precision(cfg.trainer.get("precision"), model)
    check_failing_length(task, cfg.failing_length.cap, cfg.failing_length.bars)
    if cfg.get("logger"):
        build(cfg.logger, "logger")
    trainer = make_trainer(cfg, Attempt(folder), 1, make_callbacks(cfg), None)
    if cfg.trainer.get("cuda_graphs"):
        check_replay(trainer, model, compiled=cfg.compile)


def keys_of(node, prefix=""):
    """Every dotted key that holds a value, a list or more keys."""
    for key in node:
        name = f"{prefix}{key}"
        if "_target_" in name or "_partial_" in name:
            continue
        yield name
        if isinstance(value := node._get_node(key), DictConfig) and not value._is_none():
            yield from keys_of(value, f"{name}.")


def fits(key, wrong, shipped):
    """Whether a value that was accepted is of the kind that the shipped config holds."""
    if wrong is None:
        return shipped is None or key in OPTIONAL
    if shipped is None or isinstance(shipped, str) or key in ("trainer.devices", "trainer.precision"):
        return True  # null stands for a choice that is left out; texts are paths and names
    if isinstance(shipped, bool) or isinstance(wrong, bool):
        return type(wrong) is type(shipped)
    if isinstance(shipped, (int, float)):
        return isinstance(wrong, (int, float)) and math.isfinite(wrong)
    if isinstance(shipped, DictConfig):
        return isinstance(wrong, dict)
    return isinstance(wrong, list)


@pytest.fixture(scope="module")
def shared(composed):
    """The keys that every config has, tested once."""
    return set(keys_of(composed(*CASES[0].split())))


def test_every_key_of_every_model_is_in_a_case(composed):
    def bare(case):
        return {re.sub(r"^model\.mixers\.\w+", "model.mixers", key) for key in keys_of(composed(*case.split()))}

    found = set().union(*map(bare, CASES))
    for name in OF_OTHERS:
        assert not bare(f"model={name} task=copy_first") - found, name


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_value_is_one_line_or_no_wrong_value(composed, shared, case, tmp_path):
    quiet_libraries()
    cfg = composed(*case.split(), "trainer.accelerator=cpu", "trainer.devices=1")
    first, draw = case == CASES[0], random.Random(case)
    for key in [*keys_of(cfg), *(UNNAMED if first else ())]:
        if not first and key in shared:
            continue
        for wrong in draw.sample(WRONG, DRAWS[not first]):
            changed = OmegaConf.create(OmegaConf.to_container(cfg))
            OmegaConf.update(changed, key, wrong, merge=False, force_add=True)
            try:
                examine(changed, tmp_path)
            except ConfigError as error:
                lines = str(error).splitlines()
                if len(lines) != 1:
                    raise AssertionError(f"{key}={wrong!r}: {lines}") from error
            except Exception as error:
                raise AssertionError(f"{key}={wrong!r}: {type(error).__name__}: {error}") from error
            else:
                shipped = OmegaConf.select(cfg, key)
                assert fits(key, wrong, shipped), f"{key}={wrong!r} was accepted beside {shipped!r}"
