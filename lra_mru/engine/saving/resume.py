"""Where a run starts: from nothing, where its newest attempt stopped, or at a checkpoint that the user names."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lra_mru.engine.console import is_first_process, say, warn
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.saving import attempts
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.engine.saving.checkpoint_files import LAST, PREVIOUS, DamagedCheckpoint, load_for


def begin(
    folder: Path,
    *,
    resume: str | None,
    config: Mapping[str, Any],
    results_dir: Path,
    above: int,
    facts: dict[str, Any],
    finished: Callable[[], bool],
) -> Attempt | None:
    """The attempt to work on, and in it the checkpoint to start from; None if the run was finished a moment ago.

    resume: "auto" goes on with the newest attempt unless it is finished; "none" (or null) opens a new attempt; a path
            opens a new attempt that starts from that checkpoint
    config: what a checkpoint must have been written for; above, facts, finished: as in attempts.open_attempt

    Raises: ConfigError if the path is no checkpoint of this config, or as in attempts.open_attempt
    """
    if not is_first_process():
        return attempts.join_attempt(folder)
    if resume in (None, "none", "auto"):
        named = None
    else:
        named = Path(str(resume))
        try:
            if "optimizer_states" not in load_for(named, config):
                raise ConfigError(f"it holds weights to test, and nothing to train on with; give {LAST} beside it")
        except ConfigError as error:
            raise ConfigError(f"resume={resume}: {error}") from error
    attempt = attempts.open_attempt(
        folder, go_on=resume == "auto", results_dir=results_dir, above=above, facts=facts, finished=finished
    )
    if attempt is None:
        return None
    attempt.start_from(named or _newest_good(attempt, config))
    if attempt.checkpoint:
        say(f"resuming {attempt.checkpoint}")
        if attempt.notes.get("git") != facts.get("git"):
            warn(f"the code is not the one that {attempt.path} began with; resume=none starts anew")
    elif left := [old for old in attempts.find(folder) if old.path != attempt.path and list(old.path.glob("*.ckpt"))]:
        say(f"starting anew; an earlier attempt is kept at {left[-1].path}")
    return attempt


def _newest_good(attempt: Attempt, config: Mapping[str, Any]) -> Path | None:
    """The attempt's newest checkpoint that can be read; None if it has none."""
    damaged = 0
    for path in (attempt.path / LAST, attempt.path / PREVIOUS):
        if path.exists():
            try:
                load_for(path, config)
                return path
            except DamagedCheckpoint as error:
                damaged += 1
                warn(f"{error}; falling back to the checkpoint before it")
    if damaged:
        warn(f"{attempt.path} has no checkpoint that can be read; starting anew")
    return None
