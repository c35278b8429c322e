"""Checks before a run starts, and the data that it needs."""

from pathlib import Path

from omegaconf import DictConfig

from lra_mru.engine.build import check_types
from lra_mru.engine.console import is_first_process
from lra_mru.engine.devices import check_devices
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.folders import check_folders
from lra_mru.engine.recording import record
from lra_mru.engine.saving import attempts
from lra_mru.engine.training.optim import check_rates, make_optimizer
from lra_mru.places import RESULTS
from lra_mru.tasks.base import SequenceTask


def check(cfg: DictConfig) -> None:
    """What can be refused before anything is built."""
    check_folders(cfg)
    if not isinstance(cfg.seed, int) or cfg.seed < 0:
        raise ConfigError(f"seed={cfg.seed} must be an integer of at least 0")
    if not isinstance(cfg.force, bool):
        raise ConfigError(f"force={cfg.force} must be true or false")
    minutes = cfg.checkpoint_minutes
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or minutes < 0:
        raise ConfigError(f"checkpoint_minutes={minutes} must be a number of at least 0")
    steps, every = cfg.trainer.max_steps, cfg.budget.val_every_steps
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"trainer.max_steps={steps} must be an integer of at least 1")
    if not isinstance(every, int) or every < 1:
        raise ConfigError(f"budget.val_every_steps={every} must be an integer of at least 1")
    check_types(cfg.optim, "optim", make_optimizer)
    try:
        check_rates(cfg.optim.lr, cfg.optim.weight_decay)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    check_devices(cfg)


def is_private(identity: record.Identity, results: Path) -> bool:
    """A custom budget never enters the suite's own results folder: its record stays with its checkpoints."""
    return identity.budget == "custom" and results.resolve() == RESULTS.resolve()


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
