"""What kind of value each part of a config holds: more keys, a list, or a switch. Numbers have their ranges."""

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lra_mru.engine.errors import ConfigError, one_line, shown

PARTS = {  # part -> the keys that it must have
    "model": ("_target_", "mixers", "pattern"),
    "model.mixers": (),
    "task": ("_target_",),
    "trainer": ("_target_", "max_steps"),
    "budget": ("name", "steps", "val_every_steps"),
    "optim": ("lr", "weight_decay", "warmup_fraction", "betas", "groups"),
    "optim.groups": (),
    "failing_length": ("cap", "rows", "bars"),
}
MAY_BE_NULL = ("logger", "callbacks")
LISTS = ("failing_length.bars",)  # of a part without a constructor, whose types say it elsewhere
SWITCHES = ("force", "compile", "trainer.activation_checkpointing", "trainer.cuda_graphs")


def check_kinds(cfg: DictConfig) -> None:
    """Raises: ConfigError in one line for a part that holds no keys or lacks one, a list that is none, a switch that
    is neither on nor off.
    """
    for part, keys in PARTS.items():
        node = part_of(cfg, part)
        if not isinstance(node, DictConfig):
            raise ConfigError(f"{part}={shown(node)} must hold keys with values, as the files of conf/ do")
        for key in keys:
            if key not in node:
                raise ConfigError(f"{part}.{key} is missing")
    for part in MAY_BE_NULL:
        node = part_of(cfg, part)
        if node is not None and not isinstance(node, DictConfig):
            raise ConfigError(f"{part}={shown(node)} must hold keys with values, or be null")
    for key in LISTS:
        if not isinstance(node := part_of(cfg, key), ListConfig):
            raise ConfigError(f"{key}={shown(node)} must be a list of numbers, as [0.9,1.0]")
    for switch in SWITCHES:
        value = part_of(cfg, switch, missing=False)
        if not isinstance(value, bool):
            raise ConfigError(f"{switch}={value} must be true or false")
    deterministic = part_of(cfg, "trainer.deterministic", missing=False)
    if not isinstance(deterministic, bool) and deterministic not in (None, "warn"):
        raise ConfigError(f"trainer.deterministic={shown(deterministic)} must be true, false or warn")
    try:
        OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere, or ??? where a value is needed
        raise ConfigError(f"{error.full_key or 'config'}: {one_line(error)}") from error


def part_of(cfg: DictConfig, name: str, missing: object = None) -> object:
    """The value at a dotted name."""
    try:
        return OmegaConf.select(cfg, name, default=missing)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{name}: {one_line(error)}") from error
