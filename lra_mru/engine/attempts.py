"""The working folders of a run: one per attempt, so that no attempt overwrites another's checkpoints."""

from dataclasses import dataclass
from pathlib import Path

from lra_mru.engine.console import is_first_process, say
from lra_mru.engine.errors import ConfigError


@dataclass(frozen=True)
class Attempt:
    """path: the attempt's folder; checkpoint: what it goes on from, or None for a fresh start."""

    path: Path
    checkpoint: Path | None


def open_attempt(folder: Path, resume: str | None) -> Attempt:
    """A new attempt below folder; with resume="auto" the newest one that has a checkpoint, or the one resume names.

    Raises: ConfigError if there is nothing to resume, or the folder cannot be written
    """
    found = sorted(folder.glob("attempt*/last.ckpt"), key=lambda path: _number(path.parent))
    if resume is None:
        newest = max((_number(path) for path in folder.glob("attempt*")), default=-1)
        # other processes of one run join the attempt that the first has opened
        path = folder / f"attempt{newest + 1 if is_first_process() else max(newest, 0)}"
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"runs_dir: {path} cannot be made ({error.strerror}): give runs_dir=<dir>") from error
        if found and is_first_process():
            say(f"starting anew; an unfinished attempt is kept at {found[-1].parent} (resume=auto goes on with it)")
        return Attempt(path, None)
    checkpoint = found[-1] if resume == "auto" and found else Path(resume)
    if not checkpoint.is_file():
        where = f"{folder} has no attempt to go on with" if resume == "auto" else "there is no such checkpoint"
        raise ConfigError(f"resume={resume}: {where}; leave resume out to start anew")
    say(f"resuming {checkpoint}")
    return Attempt(checkpoint.parent, checkpoint)


def _number(path: Path) -> int:
    return int(path.name.removeprefix("attempt"))
