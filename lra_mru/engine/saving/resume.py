"""Where a run starts: from nothing, where its newest attempt stopped, or at a checkpoint that the user names."""

import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from lra_mru import files
from lra_mru.engine.console import is_first_process, say, warn
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.saving import attempts
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.engine.saving.checkpoint_files import LAST, PREVIOUS, load_to_go_on


def begin(
    folder: Path,
    *,
    resume: str | None,
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    results_dir: Path,
    above: int,
    facts: dict[str, Any],
    finished: Callable[[], bool],
) -> Attempt | None:
    """The attempt to work on, and in it the checkpoint to start from; None if the run was finished a moment ago.

    resume: "auto" goes on with the newest attempt unless it is finished; "none" (or null) opens a new attempt; a path
            opens a new attempt that starts from that checkpoint
    config: what a checkpoint must have been written for; shapes: of the weights that it must hold, by name
    above, facts, finished: as in attempts.open_attempt

    Raises: ConfigError if the path is no checkpoint of this config, if the attempt has checkpoints and none of them
            can be gone on with, or as in attempts.open_attempt
    """
    if not is_first_process():
        return attempts.join_attempt(folder)
    if resume in (None, "none", "auto"):
        named = None
    else:
        named = Path(str(resume))
        try:
            load_to_go_on(named, config, shapes)
        except ConfigError as error:
            raise ConfigError(f"resume={resume}: {error}") from error
    attempt = attempts.open_attempt(
        folder, go_on=resume == "auto", results_dir=results_dir, above=above, facts=facts, finished=finished
    )
    if attempt is None:
        return None
    try:
        attempt.start_from(_copied(named, attempt) if named else _newest_good(attempt, config, shapes))
    except BaseException:
        attempt.close()
        raise
    if attempt.checkpoint:
        say(f"resuming {named or attempt.checkpoint}")
        if attempt.notes.get("git") != facts.get("git"):
            warn(f"the code is not the one that {attempt.path} began with; resume=none starts anew")
    elif left := [old for old in attempts.find(folder) if old.path != attempt.path and list(old.path.glob("*.ckpt"))]:
        say(f"starting anew; an earlier attempt is kept at {left[-1].path}")
    return attempt


def _newest_good(attempt: Attempt, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Path | None:
    """The attempt's newest checkpoint that can be gone on with; None if it has saved none.

    A damaged last.ckpt is put aside: else the next one to be saved would push it onto the good previous.ckpt.
    Raises: ConfigError if there are checkpoints, and none is good: to start at step 0 is for the user to decide
    """
    refused: dict[Path, ConfigError] = {}
    for path in (attempt.path / LAST, attempt.path / PREVIOUS):
        if os.path.lexists(path):  # also a link that leads nowhere
            try:
                load_to_go_on(path, config, shapes)
            except ConfigError as error:
                refused[path] = error
                continue
            for damaged, reason in refused.items():
                warn(f"{reason}; falling back to the checkpoint before it; it is kept as {_put_aside(damaged).name}")
            return path
    if refused:
        reasons = "; ".join(str(error) for error in refused.values())
        raise ConfigError(f"{reasons}; nothing is left to go on from: resume=none starts anew, and keeps these files")
    if step := attempt.notes.get("step"):
        warn(f"{attempt.path} had come to step {step}, but its checkpoints are gone; starting anew")
    return None


def _copied(named: Path, attempt: Attempt) -> Path:
    """The named checkpoint as the attempt's own: of a run with nothing left to train it is what the record tells of."""
    path = attempt.path / LAST
    try:
        files.write_whole(path, named.read_bytes(), overwrite=True)
    except OSError as error:
        raise RunError(f"{path} could not be written ({error.strerror}); make room, then start again") from error
    return path


def _put_aside(path: Path) -> Path:
    aside = next(name for n in count(1) if not os.path.lexists(name := path.with_name(f"{path.name}.damaged{n}")))
    path.rename(aside)
    return aside
