"""The record of a run: its name, its content, and how it reaches the disk."""

import copy
import glob
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lra_mru import files
from lra_mru.engine.errors import ConfigError, RunError, one_line
from lra_mru.engine.recording.protocol import CUSTOM, budget_of
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.places import PACKAGE, RESULTS
from lra_mru.records.digest import as_text
from lra_mru.records.form import is_record, load_record
from lra_mru.records.naming import NOT_COMPUTED, computed, name_of

SCHEMA = 2
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
        """The good records of this run that stand in results_dir, by number of attempt.

        A record that was cut or damaged is none. One that an older rule named lies in another folder, and counts.
        """
        found = {}
        folders = (results_dir / "runs" / self.task).glob(f"{glob.escape(self.model)}-*")
        for folder in sorted(folders, key=lambda folder: folder.name == self.folder.name):  # its own folder last
            for path in self._files(folder):
                with suppress(ValueError, OSError):
                    record = load_record(path)
                    if self.config_hash in (record.config_hash, record.computes):
                        found[record.attempt] = path
        return dict(sorted(found.items()))

    def is_private(self, results_dir: Path) -> bool:
        """A custom budget never enters the suite's own results folder: its record stays with its checkpoints."""
        return self.budget == CUSTOM and results_dir.resolve() == RESULTS.resolve()

    def damaged(self, results_dir: Path) -> list[str]:
        """What is wrong with each file that lies where records of this run lie, and is none."""
        found = []
        for path in self._files(results_dir / "runs" / self.folder):
            try:
                load_record(path)
            except ValueError as error:
                found.append(one_line(error))
            except OSError as error:
                found.append(f"{path} cannot be opened ({error.strerror})")
        return found

    def _files(self, folder: Path) -> list[Path]:
        found = [*folder.glob(f"seed{self.seed}.json"), *folder.glob(f"seed{self.seed}.attempt*.json")]
        return [path for path in found if is_record(path)]

    def __str__(self) -> str:
        return f"{self.folder}/seed{self.seed}"


def identify(cfg: DictConfig, *, model: str, task: str) -> Identity:
    """Names a run by the hash of what it computes: the resolved config without seed, places and devices."""
    bare = copy.deepcopy(cfg)
    for key in NOT_COMPUTED:
        bare[key] = None  # also where another key reads it
    resolved: Any = OmegaConf.to_container(bare, resolve=True)
    resolved["budget"]["name"] = budget = budget_of(cfg, task)
    config = computed(resolved)
    return Identity(model=model, task=task, budget=budget, seed=cfg.seed, config=config, config_hash=name_of(config))


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


def check_writable(results_dir: Path, below: Path = Path()) -> None:
    """Finds out before training, not after, that a record could not be written there, or below. Raises ConfigError."""
    try:
        results_dir.mkdir(parents=True, exist_ok=True)
        files.try_to_write(results_dir / below)
    except OSError as error:
        where = f"results_dir={results_dir}" if below == Path() else f"results_dir={results_dir}: {below} in it"
        raise ConfigError(f"{where} cannot be written ({error.strerror}): give results_dir=<dir>") from error


def write_record(results_dir: Path, identity: Identity, attempt: Attempt, content: dict[str, Any]) -> Path:
    """Writes the whole record or nothing, never over another: seed<k>.json, or seed<k>.attempt<n>.json beside it.

    The attempt notes its record's path first, and counts as finished as soon as that file is there.
    Raises: RunError if the disk refuses
    """
    folder = results_dir / "runs" / identity.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / f"seed{identity.seed}.json"
            stands = path.exists()  # before the records are read, so that one written just now is among them
            taken = identity.records(results_dir)
            number = max(taken) + 1 if attempt.number in taken else attempt.number
            if taken or stands:  # a damaged file stays, too
                while (path := folder / f"seed{identity.seed}.attempt{number}.json").exists():
                    number += 1
            attempt.note(record=attempt.relative(path))
            with suppress(FileExistsError):  # another process was faster: look again
                files.write_whole(path, as_text(content | {"attempt": number}).encode(), overwrite=False)
                return path
    except OSError as error:
        raise RunError(f"{folder} could not take the record ({error.strerror}); {KEPT}") from error


def write_private_record(attempt: Attempt, content: dict[str, Any]) -> Path:
    """In the attempt's own folder, for a run whose record enters no results. Raises RunError if the disk refuses."""
    path = attempt.path / "record.json"
    attempt.note(record=attempt.relative(path))
    try:
        files.write_whole(path, as_text(content | {"attempt": attempt.number}).encode(), overwrite=True)
    except OSError as error:
        raise RunError(f"{path} could not be written ({error.strerror}); {KEPT}") from error
    return path
