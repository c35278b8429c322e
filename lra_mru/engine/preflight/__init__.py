"""Checks before a run starts: what can be refused is refused before anything is built, and in one line."""

from collections.abc import Iterable
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lra_mru.engine.build import build, check_types
from lra_mru.engine.cli import nearest
from lra_mru.engine.console import is_first_process
from lra_mru.engine.devices import check_devices
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.folders import check_folders
from lra_mru.engine.preflight.keys import check_keys
from lra_mru.engine.preflight.kinds import check_kinds
from lra_mru.engine.preflight.ranges import check_ranges
from lra_mru.engine.recording import record
from lra_mru.engine.recording.protocol import budgets, check_budget, check_choices, task_of_experiment
from lra_mru.engine.saving import attempts
from lra_mru.engine.training.optim import make_optimizer
from lra_mru.records.naming import precision_name
from lra_mru.tasks.base import SequenceTask

CHOICES: dict[str, tuple[str | None, ...]] = {
    "gradient_clip_algorithm": ("norm", "value", None),
    "profiler": ("simple", "advanced", "pytorch", None),
}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")


def check(cfg: DictConfig, task: str) -> None:
    """What can be refused before anything is built: keys that do nothing, values out of range, choices that clash.

    Raises: ConfigError
    """
    check_choices()
    check_budget(cfg, task)
    check_kinds(cfg)
    check_folders(cfg)
    check_keys(cfg)
    check_types(cfg.optim, "optim", make_optimizer)
    check_ranges(cfg)
    name = cfg.budget.name
    if not isinstance(name, str) or name not in budgets():
        raise ConfigError(f"budget.name={name}: there is no such budget{nearest(str(name), budgets())}")
    if (precision := precision_name(cfg.trainer.get("precision"))) not in PRECISIONS:
        raise ConfigError(f"trainer.precision={precision}: there is no such precision{nearest(precision, PRECISIONS)}")
    if "seed" in cfg.task and cfg.task.seed != cfg.seed:
        raise ConfigError(f"task.seed={cfg.task.seed}: a run has one seed, and seed={cfg.seed}; leave task.seed out")
    for name, choices in CHOICES.items():
        if (value := cfg.trainer.get(name)) not in choices:
            raise ConfigError(f"trainer.{name}={value} must be {', '.join(map(str, choices[:-1]))} or null")
    check_experiment(task)
    check_devices(cfg)


def check_experiment(task: str) -> None:
    """An experiment that chooses a task says nothing of another one: neither its settings nor its number of trials."""
    if not HydraConfig.initialized() or not (name := HydraConfig.get().runtime.choices.get("experiment")):
        return
    chosen = task_of_experiment(name)
    if chosen not in (None, task):
        raise ConfigError(f"experiment={name} is of task={chosen}: leave out either it or task={task}")


def check_precision(cfg: DictConfig, trainer: pl.Trainer) -> None:
    """Lightning replaces a precision that the device lacks with another: float16 on a CPU. Raises: ConfigError"""
    if (asked := precision_name(cfg.trainer.get("precision"))) != trainer.precision:
        raise ConfigError(
            f"trainer.precision={asked}: {trainer.strategy.root_device.type} has none; write {trainer.precision}"
        )


def check_ranks(task: SequenceTask, validated: Iterable[str], tested: Iterable[str], world_size: int) -> None:
    """Every process of a data-parallel run needs a row of every set. Raises: ConfigError"""
    if world_size == 1:
        return
    sizes = {"validation": len(task.val_set())}
    sizes |= {f"validation{suffix}": len(task.val_set_for(suffix)) for suffix in validated}
    sizes |= {f"test{suffix}": len(task.test_set(suffix)) for suffix in tested}
    for name, rows in sizes.items():
        if rows < world_size:
            raise ConfigError(
                f"trainer.devices: {world_size} processes cannot share the {rows} rows of {name}: "
                f"use at most {rows} processes, or give the set more rows"
            )


def make_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The user's own callbacks, by name under `callbacks`. Raises: ConfigError for a node that makes none."""
    made = []
    for name, node in (cfg.get("callbacks") or {}).items():
        where = f"callbacks.{name}"
        if not isinstance(node, DictConfig) or "_target_" not in node:
            raise ConfigError(f"{where}={node} must name a class: callbacks.{name}._target_=package.module.Class")
        callback = build(node, where)
        if not isinstance(callback, pl.Callback):
            raise ConfigError(f"{where}: {node['_target_']} is no pytorch_lightning.Callback")
        made.append(callback)
    return made


def finished_record(identity: record.Identity, results: Path, folder: Path, private: bool) -> Path | None:
    """The newest record of this run, if it has one."""
    if not private:
        return next(reversed(identity.records(results).values()), None)
    last = attempts.newest(folder, results)
    return last.record if last else None


def prepare(task: SequenceTask) -> None:
    """Makes or checks the task's data, once, before any other process looks for it."""
    try:
        if is_first_process():
            task.prepare_data()
        task.setup("fit")
    except (ValueError, OSError) as error:
        raise ConfigError(f"task data: {error}") from error
