"""The attempts at a run: a working folder each, so that none overwrites another, and what each has come to.

<runs_dir>/<task>/<model>-<hash8>/seed<k>/attempt<n>/
    attempt.json    which run, by which command, where its record goes, how far it is. Paths in it start at this folder,
                    so that it can be moved; a run goes on without the file, too
    lock            held by the process that works on it: it dies with the process, whatever kills that
    last.ckpt, previous.ckpt, best.ckpt
"""

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from data_prep.common.json_files import read_json
from lra_mru import files
from lra_mru.engine.console import warn
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.records.form import is_whole

JOIN_WAIT_S = 60.0  # how long the other processes of a data-parallel run wait for the first to open the attempt
UNDECIDED = "undecided"
RELEASE_WAIT_S = 2.0  # a killed process can take a moment to let go


class Attempt:
    """One working folder. `checkpoint` is what to go on from, None for the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint: Path | None = None
        self._lock: IO[bytes] | None = None

    @property
    def number(self) -> int:
        return int(self.path.name.removeprefix("attempt"))

    @property
    def notes(self) -> dict[str, Any]:
        """attempt.json; empty where there is none that can be read."""
        try:
            content = read_json(self.path / "attempt.json")
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def note(self, **facts: Any) -> None:
        """Adds to attempt.json. Raises RunError if the disk refuses."""
        text = json.dumps(self.notes | facts, indent=1) + "\n"
        try:
            files.write_whole(self.path / "attempt.json", text.encode(), overwrite=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror}); its checkpoints are kept") from error

    def relative(self, path: Path) -> str:
        """How attempt.json names a path: from the attempt's own folder on."""
        return os.path.relpath(path.resolve(), self.path.resolve())

    def _noted(self, key: str) -> Path | None:
        """The path that attempt.json names, from where this process works; None if it names none."""
        noted = self.notes.get(key)
        try:
            return (self.path / noted).resolve() if isinstance(noted, str) else None
        except (ValueError, OSError, RuntimeError):  # what no file is named, a loop of links
            return None

    @property
    def record(self) -> Path | None:
        """The record that this attempt has written, if it has and nothing has cut or damaged it since."""
        path = self._noted("record")
        return path if path and is_whole(path) else None

    def serves(self, results_dir: Path) -> bool:
        """Whether its record goes to results_dir: as attempt.json says, or because it names no folder that is there.

        So a run goes on after its folders were moved, and after attempt.json was lost.
        """
        noted = self._noted("results_dir")
        return noted is None or not noted.exists() or noted == results_dir.resolve()

    @property
    def state(self) -> str:
        """finished, running, resumable or dead (nothing to go on from)."""
        if self.record:
            return "finished"
        if files.is_held(self.path / "lock"):
            return "running"
        return "resumable" if any(self.path.glob("*.ckpt")) else "dead"

    def start_from(self, checkpoint: Path | None) -> None:
        """Decides where to start from, for this process and those that join."""
        self.checkpoint = checkpoint
        self.note(start=self.relative(checkpoint) if checkpoint else None)

    def acquire(self) -> bool:
        """Whether this process now works on the attempt, alone."""
        self._lock = files.hold(self.path / "lock")
        return self._lock is not None

    def close(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None


def find(folder: Path) -> list[Attempt]:
    """The attempts below the folder of a run, oldest first."""
    found = [Attempt(path) for path in folder.glob("attempt*") if path.name.removeprefix("attempt").isdigit()]
    found = [attempt for attempt in found if attempt.notes or any(attempt.path.glob("*.ckpt"))]
    return sorted(found, key=lambda attempt: attempt.number)


def newest(folder: Path, results_dir: Path) -> Attempt | None:
    """The newest attempt whose record goes to results_dir."""
    return next((attempt for attempt in reversed(find(folder)) if attempt.serves(results_dir)), None)


def open_attempt(
    folder: Path,
    *,
    go_on: bool,
    results_dir: Path,
    above: int,
    facts: Mapping[str, Any],
    finished: Callable[[], bool] = lambda: False,
) -> Attempt | None:
    """The attempt to work on, held by this process alone; None if the run was finished a moment ago.

    go_on:    go on with the newest attempt if it is not finished, instead of opening a new one
    above:    the highest number of a record; a new attempt has a higher one than this, and than any attempt before it
    facts:    what an attempt notes of itself
    finished: asked again under the lock, so that what another process has just finished is not done twice

    Raises: ConfigError if the attempt to go on with is being worked on, or the folder cannot be written
    """
    deadline = time.monotonic() + RELEASE_WAIT_S
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            with files.locked(folder / "lock"):  # who starts in the same instant decides one after the other
                last = newest(folder, results_dir) if go_on else None
                if last and (last.record or last.number <= above):
                    last = None  # it has come to its end
                held = last is not None and last.acquire()
                if finished():  # asked last: whoever works on it may write the record at any moment before
                    if last:
                        last.close()
                    return None
                if last is None:
                    return _new(folder, results_dir, above, facts)
                if held:
                    return _take_over(last, results_dir, facts)
            if time.monotonic() >= deadline:
                break
            time.sleep(0.1)
    except OSError as error:
        raise ConfigError(f"runs_dir: {folder} cannot be written ({error.strerror}): give runs_dir=<dir>") from error
    worker = f"process {last.notes.get('pid')} on {last.notes.get('host')}"
    raise ConfigError(
        f"{folder} is running already ({worker}): wait for it, or start another attempt beside it with resume=none"
    )


def _new(folder: Path, results_dir: Path, above: int, facts: Mapping[str, Any]) -> Attempt:
    numbers = [Attempt(path).number for path in folder.glob("attempt*") if path.name[7:].isdigit()]
    attempt = Attempt(folder / f"attempt{max([above, *numbers]) + 1}")
    attempt.path.mkdir()
    attempt.acquire()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    attempt.note(**_worker(), results_dir=attempt.relative(results_dir), started_at=began, step=0, **facts)
    return attempt


def _take_over(attempt: Attempt, results_dir: Path, facts: Mapping[str, Any]) -> Attempt:
    for leftover in (*attempt.path.glob(".*.tmp"), *attempt.path.glob("new-*.ckpt")):
        leftover.unlink(missing_ok=True)  # what a killed process was writing
    lost: Mapping[str, Any] = {}
    if not attempt.notes:
        lost = facts
        warn(f"{attempt.path}/attempt.json cannot be read; its checkpoints are gone on with")
    attempt.note(**_worker(), results_dir=attempt.relative(results_dir), **lost)
    return attempt


def _worker() -> dict[str, Any]:
    """Who works on an attempt; it has not decided yet where to start from."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "start": UNDECIDED}


def join_attempt(folder: Path) -> Attempt:
    """For the other processes of a data-parallel run: the attempt that the first one works on, and its checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + JOIN_WAIT_S
    while time.monotonic() < deadline:
        with files.locked(folder / "lock"):
            held = [attempt for attempt in find(folder) if files.is_held(attempt.path / "lock")]
        if held and (start := held[-1].notes.get("start", UNDECIDED)) != UNDECIDED:
            held[-1].checkpoint = held[-1].path / start if start else None
            return held[-1]
        time.sleep(0.1)
    raise ConfigError(f"{folder}: the first process of this run opened no attempt within {JOIN_WAIT_S:.0f} s")
