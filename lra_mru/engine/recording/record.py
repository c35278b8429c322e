"""The record of a run: its name, its content, and how it reaches the disk."""

import copy
import hashlib
import json
import re
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lra_mru import files
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.places import PACKAGE

SCHEMA = 2
NOT_HASHED = (  # where, which and how, not what
    *("seed", "results_dir", "data_dir", "runs_dir", "logger", "trials"),
    *("resume", "force", "checkpoint_minutes"),
)
NOT_HASHED_OF_TASK = ("lra_dir", "mnist_dir")  # rows and files are checked, wherever they lie
KEPT = "the run is kept: make room, then give the same command again"


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

    def records(self, results_dir: Path) -> dict[int, Path]:
        """The records of this run that stand in results_dir, by number of attempt."""
        folder = results_dir / "runs" / self.folder
        found = {}
        for path in [*folder.glob(f"seed{self.seed}.json"), *folder.glob(f"seed{self.seed}.attempt*.json")]:
            number = path.name.removeprefix(f"seed{self.seed}.").removesuffix("json").strip(".")
            found[int(number.removeprefix("attempt")) if number else _attempt_in(path)] = path
        return dict(sorted(found.items()))

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
    for key in NOT_HASHED_OF_TASK:
        resolved["task"].pop(key, None)
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


def command(overrides: Sequence[str] | None) -> str | None:
    """What to type to go on with a run, or for another like it; None for a run that was started from Python."""
    if overrides is None:
        return None
    program = ["python", "train.py"] if (PACKAGE.parent / "train.py").exists() else ["lra-train"]
    return shlex.join([*program, *(word for word in overrides if not word.startswith("resume="))])


def command_for_others(overrides: Sequence[str] | None) -> str | None:
    """The command with <mnist_dir> and the like in place of folders, which are those of one machine."""
    if overrides is None:
        return None
    return command([re.sub(r"^([\w.+]*?)(\w+_dir)=.*", r"\1\2=<\2>", word) for word in overrides])


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


def _attempt_in(path: Path) -> int:
    """Which attempt a record seed<k>.json is of: the first that was finished, not always the first of all."""
    try:
        return int(json.loads(path.read_text()).get("attempt", 1))
    except (OSError, ValueError, AttributeError):
        return 1


def write_record(results_dir: Path, identity: Identity, attempt: Attempt, content: dict[str, Any]) -> Path:
    """Writes the whole record or nothing, never over another: seed<k>.json, or seed<k>.attempt<n>.json beside it.

    The attempt notes its record's path first, and counts as finished as soon as that file is there.
    Raises: RunError if the disk refuses
    """
    folder = results_dir / "runs" / identity.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            taken = identity.records(results_dir)
            number = max(taken) + 1 if attempt.number in taken else attempt.number
            path = folder / (f"seed{identity.seed}.attempt{number}.json" if taken else f"seed{identity.seed}.json")
            attempt.note(record=str(path.resolve()))
            with suppress(FileExistsError):  # another process was faster: look again
                files.write_whole(path, as_text(content | {"attempt": number}).encode(), overwrite=False)
                return path
    except OSError as error:
        raise RunError(f"{folder} could not take the record ({error.strerror}); {KEPT}") from error


def write_private_record(attempt: Attempt, content: dict[str, Any]) -> Path:
    """In the attempt's own folder, for a run whose record enters no results. Raises RunError if the disk refuses."""
    path = attempt.path / "record.json"
    attempt.note(record=str(path.resolve()))
    try:
        files.write_whole(path, as_text(content | {"attempt": attempt.number}).encode(), overwrite=True)
    except OSError as error:
        raise RunError(f"{path} could not be written ({error.strerror}); {KEPT}") from error
    return path


def as_text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
