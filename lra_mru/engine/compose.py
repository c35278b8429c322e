"""A shipped config from Python, also inside a program that has Hydra open for itself."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from lra_mru.places import CONF


def compose_shipped(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """conf/<name>.yaml with these overrides; Hydra is left as it was."""
    hydra = GlobalHydra.instance()
    open_before, hydra.hydra = hydra.hydra, None
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose(name, list(overrides))
    finally:
        GlobalHydra.instance().hydra = open_before
