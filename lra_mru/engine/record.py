"""The record of a run: its name, its content, and how it reaches the disk."""

import copy
import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lra_mru.engine.errors import ConfigError, RunError

SCHEMA = 1
NOT_HASHED = ("seed", "results_dir", "data_dir", "runs_dir", "resume", "logger")  # where and which, not what
PACKAGES = (
    "lra-mru",
    "torch",
    "triton",
    "numba",
    "numpy",
    "pytorch-lightning",
    "torchmetrics",
    "datasets",
    "hydra-core",
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A run's name: two runs with the same identity compute the same thing."""

    model: str
    task: str
    budget: str
    seed: int
    config: dict[str, Any]
    config_hash: str

    @property
    def folder(self) -> Path:
        """<task>/<model>-<hash8>, relative to results_dir/runs and to runs_dir."""
        return Path(self.task) / f"{self.model}-{self.config_hash}"

    def record_path(self, results_dir: Path) -> Path:
        return results_dir / "runs" / self.folder / f"seed{self.seed}.json"

    def __str__(self) -> str:
        return f"{self.folder}/seed{self.seed}"


def identify(cfg: DictConfig, *, model: str, task: str) -> Identity:
    """Names a run by the SHA-256 of what it computes: the resolved config without seed and places."""
    bare = copy.deepcopy(cfg)
    for key in NOT_HASHED:
        bare[key] = None
    resolved: Any = OmegaConf.to_container(bare, resolve=True)
    for key in NOT_HASHED:
        del resolved[key]
    text = json.dumps(resolved, sort_keys=True, separators=(",", ":"))
    budget = cfg.budget.name if cfg.trainer.max_steps == cfg.budget.steps else "custom"
    return Identity(
        model=model,
        task=task,
        budget=budget,
        seed=cfg.seed,
        config=resolved,
        config_hash=hashlib.sha256(text.encode()).hexdigest()[:8],
    )


def check_writable(folder: Path) -> None:
    """Finds out before training, not after, that a record could not be written. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"results_dir={folder} cannot be written ({error.strerror}): give results_dir=<dir>"
        ) from error


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Writes the whole record or nothing, and never over another one.

    Raises: RunError if a record stands there already, or the disk refuses
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # fails where a rename would overwrite
    except FileExistsError as error:
        raise RunError(f"{path} was written by another run meanwhile; this one's record was dropped") from error
    except OSError as error:
        raise RunError(f"{path} could not be written ({error.strerror}); the checkpoint is kept") from error
    finally:
        temporary.unlink(missing_ok=True)


def code_version() -> dict[str, Any] | None:
    """Commit of the source tree, and whether its code differs from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = git(
            "status", "--porcelain", "--", ":(top)", ":(top,exclude)results"
        )  # new records are no change of code
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(dirty)}
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def library_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # triton has no build for some platforms
            continue
    return versions
