"""What Hydra makes of a sweep: every parameter must name a key, before the first trial starts."""

from collections.abc import Iterable, Mapping, Sequence

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lra_mru.engine.arguments import explain
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.protocol import check_budget, check_choices
from lra_mru.engine.sweep.file import Sweep
from lra_mru.engine.sweep.space import Choice, Range


def key_of(override: str) -> str:
    """`optim.lr` of `optim.lr=0.1`, `+optim.lr=0.1` or `~optim.lr`."""
    return override.partition("=")[0].lstrip("+~")


def free(parameters: Mapping[str, Choice | Range], overrides: Iterable[str]) -> dict[str, Choice | Range]:
    """The parameters that the command line leaves free; one that it names is fixed for the whole sweep.

    Raises: ConfigError if none is left
    """
    fixed = {key_of(override) for override in overrides}
    left = {name: space for name, space in parameters.items() if name not in fixed}
    if not left:
        raise ConfigError(f"{', '.join(sorted(fixed & set(parameters)))}: every parameter of the sweep is fixed")
    return left


def constants(parameters: Mapping[str, Choice | Range]) -> list[str]:
    """The parameters with one value only, as overrides: every trial has it, none samples it."""
    return [f"{name}={space.examples()[0]}" for name, space in parameters.items() if len(space.examples()) == 1]


def compose_all(
    sweep: Sweep, parameters: Mapping[str, Choice | Range], overrides: Sequence[str]
) -> tuple[DictConfig, dict[str, str]]:
    """Composes the sweep's first configuration, and every kind of value of every parameter beside it.

    Needs Hydra to be initialised on conf/.
    Returns: the first configuration, and its choices: {"model": "bmru", "task": ..., "budget": ..., ...}
    Raises:  ConfigError in one line for a key, a name or a value that Hydra does not know
    """
    first = {name: space.examples()[0] for name, space in parameters.items()}
    common = [*sweep.overrides, *overrides]
    for name, space in parameters.items():
        for value in space.examples()[1:]:
            compose_one([*common, *written(first | {name: value})])
    cfg = compose_one([*common, *written(first)])
    return cfg, dict(HydraConfig.get().runtime.choices)


def written(values: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def compose_one(overrides: list[str]) -> DictConfig:
    """The config that train.py would get. Needs Hydra to be initialised."""
    try:
        cfg = compose("train", overrides=overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)  # protocol files are chosen by the names of model, task and budget
        check_choices()
        check_budget(cfg, HydraConfig.get().runtime.choices["task"])
        plain = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        OmegaConf.to_container(plain, resolve=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: of a choice without a name
        raise ConfigError(explain(error, overrides)) from error
    return plain
