"""Every key of a config either acts, or is refused by name."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lra_mru.engine.cli import nearest
from lra_mru.engine.errors import ConfigError
from lra_mru.places import CONF

GROUPS = {"model", "task", "budget", "trainer", "logger"}
OF_PARAMETER_GROUP = {"lr_factor", "weight_decay"}
MORE_OF_TRAINER = {  # Lightning's own, beside those that conf/trainer/ names
    *("accumulate_grad_batches", "gradient_clip_algorithm", "log_every_n_steps", "num_nodes"),
    *("detect_anomaly", "profiler", "max_steps"),
}
WHOLE = "a run trains, validates and tests on whole sets; trainer.max_steps makes it short, and its budget custom"
INSTEAD = {  # keys of Lightning's Trainer that people know, and what stands in their place
    "callbacks": "write +callbacks.<name>._target_=<class>",
    "logger": "choose one with logger=csv or logger=wandb",
    "val_check_interval": "budget.val_every_steps says when to validate",
    "check_val_every_n_epoch": "budget.val_every_steps says when to validate",
    "max_epochs": "runs count steps: trainer.max_steps",
    "min_epochs": "runs count steps: trainer.max_steps",
    "min_steps": "every run takes trainer.max_steps",
    "max_time": "the clock must not decide how many steps a run takes; trainer.max_steps does",
    "benchmark": "no race chooses a GPU's kernels, or one seed would give other numbers each time",
    "default_root_dir": "runs_dir says where checkpoints go",
    "enable_checkpointing": "checkpoint_minutes says how often a run is saved",
    **dict.fromkeys(("fast_dev_run", "overfit_batches", "limit_train_batches", "limit_val_batches"), WHOLE),
    **dict.fromkeys(("limit_test_batches", "limit_predict_batches"), WHOLE),
}


def check_keys(cfg: DictConfig) -> None:
    """Models, tasks and loggers check their own keys. Raises: ConfigError naming one that would do nothing"""
    shipped = _shipped()
    _compare("", cfg, {key for key in shipped if key not in ("defaults", "hydra")} | GROUPS)
    _compare("budget.", cfg.budget, set().union(*_keys_in("budget")))
    _compare("optim.", cfg.optim, set(shipped["optim"]))
    _compare("failing_length.", cfg.failing_length, set(shipped["failing_length"]))
    for name, group in (cfg.optim.groups or {}).items():
        if not isinstance(group, DictConfig):
            raise ConfigError(f"optim.groups.{name}={group} must hold lr_factor and weight_decay")
        _compare(f"optim.groups.{name}.", group, OF_PARAMETER_GROUP)
        if missing := sorted(OF_PARAMETER_GROUP - set(group)):
            raise ConfigError(f"optim.groups.{name}.{missing[0]} is missing: give it a number")
    _compare("trainer.", cfg.trainer, set(MORE_OF_TRAINER).union(*_keys_in("trainer")))
    if not OmegaConf.is_list(pattern := cfg.model.get("pattern", [])):
        raise ConfigError(f"model.pattern={pattern} must be a list of mixers, as model.pattern=[bmru]")
    there, used = set(cfg.model.get("mixers") or {}), {p for entry in _pattern(cfg) for p in str(entry).split("+")}
    if used <= there and (unused := there - used):  # else the model says which name is wrong
        raise ConfigError(f"model.mixers.{min(unused)}: model.pattern={_pattern(cfg)} does not use it; leave it out")
    if cfg.get("logger") and "_target_" not in cfg.logger:
        raise ConfigError(f"logger.{next(iter(cfg.logger))}: there is no logger; choose one with logger=csv")


def check_groups(cfg: DictConfig, declared: Iterable[str]) -> None:
    """Refuses a parameter group that is no mixer's: `declared` are those of the model.

    conf/train.yaml gives the shipped groups to every model, whether its mixers declare them or not.
    """
    shipped = _shipped()
    for name in cfg.optim.groups:
        if name not in {*declared, *shipped["optim"]["groups"]}:
            raise ConfigError(f"optim.groups.{name}: no parameter of this model is in it{nearest(str(name), declared)}")


def _pattern(cfg: DictConfig) -> list[Any]:
    pattern = cfg.model.get("pattern")
    return list(pattern) if OmegaConf.is_list(pattern) else []


@cache
def _shipped() -> dict[str, Any]:
    """conf/train.yaml, which the choices are put on top of."""
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / "train.yaml"))
    return dict(content)


@cache
def _keys_in(group: str) -> list[set[str]]:
    return [{str(key) for key in OmegaConf.load(path)} - {"defaults"} for path in (CONF / group).glob("*.yaml")]


def _compare(prefix: str, node: Mapping[Any, Any], known: set[str]) -> None:
    for key in node:
        if key not in known:
            mend = INSTEAD.get(str(key)) if prefix == "trainer." else None
            raise ConfigError(
                f"{prefix}{key}: {mend}" if mend else f"{prefix}{key}: it would do nothing{nearest(str(key), known)}"
            )
