"""Every key acts or is refused by name; every number has a range; both before anything starts."""

import sys
from typing import ClassVar

import pytest
import pytorch_lightning as pl
from omegaconf import OmegaConf
from support import MODELS, ROOT, TASKS

from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.preflight import check
from lra_mru.engine.preflight.ranges import RANGES, _leaves, _matches, check_ranges
from lra_mru.engine.sweep.overrides import compose_one


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run: a run trains, validates and tests on whole sets"),
        ("+trainer.limit_train_batches=1", "trainer.limit_train_batches: "),
        ("+trainer.limit_val_batches=0", "trainer.limit_val_batches: "),
        ("+trainer.limit_test_batches=0.1", "trainer.limit_test_batches: "),
        ("+trainer.overfit_batches=1", "trainer.overfit_batches: "),
        ("+trainer.max_time='00:00:00:05'", "trainer.max_time: the clock must not decide"),
        ("+trainer.max_epochs=1", "trainer.max_epochs: runs count steps"),
        ("+trainer.min_steps=3", "trainer.min_steps: "),
        ("+trainer.callbacks=[]", "trainer.callbacks: write +callbacks."),
        ("+trainer.val_check_interval=1", "trainer.val_check_interval: budget.val_every_steps says"),
        ("+trainer.check_val_every_n_epoch=1", "trainer.check_val_every_n_epoch: "),
        ("+trainer.logger=true", "trainer.logger: choose one with logger=csv"),
        ("+trainer.benchmark=true", "trainer.benchmark: no race chooses a GPU's kernels"),
        ("+trainer.foo=1", "trainer.foo: it would do nothing"),
        ("+foo=1", "foo: it would do nothing"),
        ("+budget.foo=1", "budget.foo: it would do nothing"),
        ("+optim.foo=1", "optim.foo: it would do nothing"),
        ("+optim.groups.dynamics.lr=1", "optim.groups.dynamics.lr: it would do nothing; did you mean lr_factor"),
        ("+optim.groups.mine.lr_factor=1", "optim.groups.mine.weight_decay is missing"),
        ("+logger.foo=1", "logger.foo: there is no logger"),
        ("model.pattern=[lru]", "model.mixers.bmru: model.pattern=['lru'] does not use it"),
        ("budget.name=a/b", "budget.name=a/b: there is no such budget; did you mean full, long, quick"),
        ("budget.name=null", "budget.name=None: "),
        ("trainer.precision=fast", "trainer.precision=fast: there is no such precision"),
        ("compile=maybe", "compile="),
        ("task.seed=5", "task.seed=5: a run has one seed, and seed=0"),
        ("+trainer.profiler=1.5", "trainer.profiler=1.5 must be simple, advanced, pytorch or null"),
        ("results_dir=${foo}", "results_dir: "),
        ("+trainer.gradient_clip_algorithm=some", "trainer.gradient_clip_algorithm=some must be norm, value or null"),
    ],
)
def test_a_key_that_would_do_nothing_and_a_choice_that_is_none_are_named(composed, override, message):
    with pytest.raises(ConfigError) as caught:
        check(composed("model=hybrid", "task=copy_first", override), "copy_first")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["seed=1", "budget.steps=5", "budget.val_every_steps=5"])
def test_a_budget_that_lives_in_protocols_is_refused_for_tasks_without_one(composed, override):
    message = "budget=long: task=listops has none; there is one for copy_first, delayed_mnist, flip_flop"
    words = ["task=listops", "budget=long", override]
    with pytest.raises(ConfigError, match=message):
        check(composed(*words), "listops")
    with pytest.raises(ConfigError, match=message):  # sweeps, the queue and `show`
        compose_one(words)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.groups.dynamics.lr_factor=-1", "a number of at least 0"),
        ("optim.groups.dynamics.weight_decay=-1", "a number of at least 0"),
        ("optim.warmup_fraction=1.5", "a number of at least 0 and below 1"),
        ("optim.warmup_fraction=abc", "a number of at least 0 and below 1"),
        ("optim.betas=[0.9,1.0]", "a number of at least 0 and below 1"),
        ("optim.betas=[0.9]", "two numbers"),
        ("optim.lr=nan", "a number above 0"),
        ("optim.weight_decay=inf", "a number of at least 0"),
        ("trainer.gradient_clip_val=-1", "a number above 0, or null"),
        ("trainer.gradient_clip_val=true", "a number above 0, or null"),
        ("+trainer.accumulate_grad_batches=0", "an integer of at least 1"),
        ("+trainer.log_every_n_steps=0", "an integer of at least 1"),
        ("+trainer.num_nodes=0", "an integer of at least 1"),
        ("checkpoint_minutes=nan", "a number of at least 0"),
        ("checkpoint_minutes=soon", "a number of at least 0"),
        ("trials=-1", "an integer of at least 1"),
        ("trials=abc", "an integer of at least 1"),
        ("seed=99999999999999999999", "an integer of at least 0 and at most"),
        ("seed=true", "an integer of at least 0"),
        ("model.mixers.bmru.alpha=nan", "a number above 0"),
        ("model.mixers.bmru.carry_grad=5", "a number of at least 0 and at most 1"),
        ("model.mixers.bmru.min_openings_per_sequence=inf", "a number above 0"),
        ("model.dropout=1", "a number of at least 0 and below 1"),
        ("model.block_params=nan", "a number above 0, or null"),
        ("+model.mixers.bmru.of_my_own=nan", "a finite number"),
    ],
)
def test_a_number_out_of_its_range_is_named(composed, override, message):
    key = override.partition("=")[0].lstrip("+")
    with pytest.raises(ConfigError) as caught:
        check(composed("model=bmru", "task=copy_first", override), "copy_first")
    assert str(caught.value).startswith(key)
    assert f"must be {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "where"),
    [({"task": "copy_first", "model": model}, "model") for model in MODELS]
    + [({"task": task, "model": "lru"}, "task") for task in TASKS]
    + [({"task": "parity", "model": "lru", "logger": "wandb"}, "")],
)
def test_no_number_of_any_config_may_be_nan_or_far_below_0(composed, groups, where):
    """By its range here, or by the constructor of its task."""
    cfg = composed(*(f"{group}={name}" for group, name in groups.items()))
    check_ranges(cfg)
    node = OmegaConf.select(cfg, where) if where else cfg
    resolved = OmegaConf.to_container(cfg, resolve=True)
    for key, value in list(_leaves(node, f"{where}." if where else "")):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or key == "trainer.devices":
            continue  # devices: -1 is all of them
        for wrong in (float("nan"), -1e9 if isinstance(value, float) else -(10**9)):
            if key == "task.pixel_mean" and wrong < 0:
                continue  # any finite number
            changed = OmegaConf.create(resolved)
            _set(changed, key, wrong)
            with pytest.raises(ConfigError, match=key.split(".")[1 if key[-1].isdigit() else -1]):
                _check(changed)


def _check(cfg):
    check_ranges(cfg)
    build(cfg.task, "task")


def _set(cfg, key, value):
    """Also an entry of a list."""
    name, _, last = key.rpartition(".")
    node = OmegaConf.select(cfg, name) if name else cfg
    node[int(last) if last.isdigit() else last] = value


def test_every_range_is_of_a_key_that_there_is(composed):
    keys = set()
    for model in MODELS:
        cfg = composed(f"model={model}", "task=copy_first", "logger=wandb")
        keys |= {key for key, _ in _leaves(cfg, "")}
    keys |= {"trainer.accumulate_grad_batches", "trainer.num_nodes", "trainer.log_every_n_steps"}  # Lightning's
    assert [pattern for pattern in RANGES if not any(_matches(key, pattern) for key in keys)] == []


def test_every_shipped_choice_passes(composed):
    for group, task in [("trainer", "copy_first"), ("logger", "copy_first"), ("budget", "copy_first")]:
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            if path.stem == "fsdp":
                continue  # is for GPUs alone: test_trainers.py
            here = ["trainer.accelerator=cpu", "trainer.devices=1"] if group == "trainer" else []
            check(composed(f"task={task}", f"{group}={path.stem}", *here), task)
    for experiment in (ROOT / "conf/experiment").glob("*.yaml"):
        cfg = composed(f"experiment={experiment.stem}")
        check(cfg, cfg.task._target_.split(".")[-2])


def test_what_makes_something_else_and_what_a_library_refuses_are_named():
    for part, kind in [("task", "SequenceTask"), ("model", "SequenceModel"), ("trainer", "Trainer")]:
        with pytest.raises(ConfigError, match=f"{part}._target_=os.getcwd makes a str: it must be a {kind}"):
            build(OmegaConf.create({"_target_": "os.getcwd"}), part)
    strategy = {"_target_": "pytorch_lightning.strategies.FSDPStrategy", "sharding_strategy": {"a": 1}}
    with pytest.raises(ConfigError, match=r"trainer.strategy: 'dict' object has no attribute 'name'"):
        build(OmegaConf.create(strategy), "trainer.strategy")


def test_an_experiment_says_nothing_of_another_task(composed):
    with pytest.raises(ConfigError, match="experiment=fair_listops is of task=listops: leave out"):
        check(composed("experiment=fair_listops", "task=copy_first"), "copy_first")


def test_a_precision_that_the_device_lacks_is_refused_and_the_one_that_ran_is_recorded(go):
    for precision in ("16", "16-mixed"):
        with pytest.raises(ConfigError, match=r"trainer.precision=16-mixed: cpu has none; write bf16-mixed"):
            go("transformer", f"trainer.precision={precision}")
    assert go("lru", "trainer.precision=null")[1]["precision"] == "32-true"


class Watch(pl.Callback):
    """A callback of the user's own."""

    steps: ClassVar[list[int]] = []

    def __init__(self, *, every: int) -> None:
        self.every = every

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step % self.every == 0:
            self.steps.append(trainer.global_step)


def test_ones_own_callbacks_act_and_are_recorded(go, monkeypatch):
    monkeypatch.setitem(sys.modules, "my_callbacks", sys.modules[__name__])
    Watch.steps.clear()
    record = go("lru", "+callbacks.watch._target_=my_callbacks.Watch", "+callbacks.watch.every=10")[1]
    assert Watch.steps == [10, 20]
    assert record["config"]["callbacks"] == {"watch": {"_target_": "my_callbacks.Watch", "every": 10}}
    assert record["budget"] == "custom"
    with pytest.raises(ConfigError, match=r"callbacks.mine: random.Random is no pytorch_lightning.Callback"):
        go("lru", "+callbacks.mine._target_=random.Random")
    with pytest.raises(ConfigError, match=r"callbacks.mine=3 must name a class"):
        go("lru", "+callbacks.mine=3")


def test_a_parameter_group_of_no_mixer_is_refused(go):
    with pytest.raises(ConfigError, match=r"optim.groups.mine: no parameter of this model is in it"):
        go("lru", "+optim.groups.mine.lr_factor=1", "+optim.groups.mine.weight_decay=0")
