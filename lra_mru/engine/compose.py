"""A shipped config from Python, also inside a program that has Hydra open for itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from lra_mru.places import CONF


@contextmanager
def shipped_configs() -> Iterator[None]:
    """Hydra over conf/ for as long as this lasts; afterwards as it was, open or not."""
    open_before = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = open_before


def compose_shipped(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """conf/<name>.yaml with these overrides; Hydra is left as it was."""
    with shipped_configs():
        return compose(name, list(overrides))
