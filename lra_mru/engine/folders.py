"""Checks of the folders that a run names."""

from pathlib import Path

from omegaconf import DictConfig

from lra_mru.engine.build import shown
from lra_mru.engine.errors import ConfigError

FOLDERS = ("results_dir", "runs_dir", "data_dir")


def check_folders(cfg: DictConfig) -> None:
    """Raises: ConfigError for a folder that is not named, or whose name leads nowhere (a loop of links, a file)."""
    for key in FOLDERS:
        value = cfg.get(key)
        if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
            raise ConfigError(f"{key}={shown(value)} must name a folder")
        try:
            folder = Path(value)
            folder.resolve()
            if folder.exists() and not folder.is_dir():
                raise ConfigError(f"{key}={value} is a file: give {key}=<folder>")
        except (OSError, RuntimeError) as error:  # RuntimeError: how Python 3.11 and 3.12 name a loop of links
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{key}={value} cannot be used ({reason}): give {key}=<folder>") from error
