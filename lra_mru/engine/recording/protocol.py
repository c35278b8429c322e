"""Which budget a run keeps to: the one whose protocol it follows, or "custom". What was typed decides nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lra_mru.engine.arguments import nearest
from lra_mru.engine.build import build
from lra_mru.engine.errors import ConfigError
from lra_mru.places import CONF
from lra_mru.records.naming import NOT_COMPUTED_OF_TASK

CUSTOM = "custom"
CHOSEN = ("model", "task", "budget", "trainer", "logger", "experiment")  # by name; the protocol follows from them


def budget_of(cfg: DictConfig, task: str) -> str:
    """The name of cfg's budget if the run follows its protocol, else "custom".

    A protocol fixes steps and validations (conf/budget, conf/protocol), the sizes and task settings that its file
    names, and the rows: every setting of conf/task, but those that make it another task, which a task's variant names
    (T of copy_first). Rates, dropout, mixers and precision are the model's own. Gradients of several batches in one
    step, or callbacks of the user's own, are in no protocol.
    """
    name = str(cfg.budget.name)
    protocol = named("protocol", f"{task}_{name}")
    budget = named("budget", name) | protocol.get("budget", {})
    steps, every = budget.get("steps"), budget.get("val_every_steps")
    followed = (
        (cfg.budget.steps, cfg.budget.val_every_steps, cfg.trainer.max_steps) == (steps, every, steps)
        and cfg.trainer.get("accumulate_grad_batches", 1) == 1
        and not cfg.get("callbacks")
        and not _differing(cfg.model, protocol.get("model", {}))
        and not _differing(cfg.task, protocol.get("task", {}))
        and _shows_in_variant(cfg.task, named("task", task), set(protocol.get("task", {})))
    )
    return name if followed else CUSTOM


def check_choices() -> None:
    """Every choice is the name of a file of its group. Hydra takes more, as bmru.yaml, and then finds no protocol.

    Raises: ConfigError in one line
    """
    if not HydraConfig.initialized():
        return
    config = HydraConfig.get()
    for group in CHOSEN:
        name = config.runtime.choices.get(group)
        names = _names(group)
        if name is not None and name not in ("null", *names):
            raise ConfigError(f"{group}={name}: there is no such {group}{nearest(name, names)}")
    if typed := next((word for word in typed_overrides() if re.match(r"[+~]*protocol\b", word)), None):
        raise ConfigError(f"{typed}: task and budget choose the protocol; give them, or single keys like task.T=100")


def typed_overrides() -> list[str]:
    """The overrides as they were typed: ${...} in one stays what it is."""
    words: Any = OmegaConf.to_container(HydraConfig.get().overrides.task)
    return [str(word) for word in words]


def check_budget(cfg: DictConfig, task: str) -> None:
    """A budget that leaves its steps (???) to the protocols is one of the tasks that have such a protocol.

    Raises: ConfigError in one line that names them
    """
    budget = cfg.budget
    if isinstance(budget, DictConfig) and any(OmegaConf.is_missing(budget, key) for key in budget):
        found = {path.stem for folder in _folders() for path in (folder / "protocol").glob(f"*_{budget.name}.yaml")}
        tasks = ", ".join(sorted(name.removesuffix(f"_{budget.name}") for name in found))
        raise ConfigError(f"budget={budget.name}: task={task} has none; there is one for {tasks}")


def named(group: str, name: str) -> dict[str, Any]:
    """The content of <group>/<name>.yaml, of this suite or of the user's --config-dir; empty if there is none.

    Entries of its defaults that name files of the same group lie below it, key by key.
    """
    content = _content(group, name)
    below = [entry for entry in content.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    layers = [*(named(group, entry) for entry in below), content]
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*map(OmegaConf.create, layers)))
    return merged


def task_of_experiment(name: str) -> str | None:
    """The task that an experiment chooses, if it chooses one."""
    defaults = _content("experiment", name).get("defaults", [])
    return next((entry["override /task"] for entry in defaults if "override /task" in entry), None)


def _content(group: str, name: str) -> dict[str, Any]:
    for folder in _folders():
        if (path := folder / group / f"{name}.yaml").is_file():
            content: Any = OmegaConf.to_container(OmegaConf.load(path)) or {}
            return content
    return {}


def budgets() -> list[str]:
    """Names of all budgets that there are."""
    return _names("budget")


def _names(group: str) -> list[str]:
    """Names of all files of a group, those in folders below it included."""
    tops = [folder / group for folder in _folders()]
    return sorted({path.relative_to(top).with_suffix("").as_posix() for top in tops for path in top.rglob("*.yaml")})


def _folders() -> list[Path]:
    found = [CONF]
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        found += [Path(source.path) for source in sources if source.schema == "file" and Path(source.path) != CONF]
    return found


def _differing(node: Mapping[str, Any], fixed: Mapping[str, Any]) -> list[str]:
    """Keys of `fixed` that have another value in node; interpolations fix nothing."""
    plain: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    return [
        key for key, value in fixed.items() if not str(value).startswith("${") and plain.get(key, "not set") != value
    ]


def _shows_in_variant(node: DictConfig, own: Mapping[str, Any], fixed: set[str]) -> bool:
    """Whether the variant of the task that node describes names every setting in which it differs from its file."""
    differing = [key for key in _differing(node, own) if key not in {*NOT_COMPUTED_OF_TASK, *fixed}]
    if not differing:
        return True
    try:
        variant = build(node, "task").variant
        return all(build(OmegaConf.create({**node, key: own[key]}), "task").variant != variant for key in differing)
    except ConfigError:  # e.g. two settings that only go together
        return False
