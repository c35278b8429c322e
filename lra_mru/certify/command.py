"""Prove a trained model right on every word of its task, or find the shortest word that it gets wrong.

    python -m lra_mru.certify runs/copy_first/bmru-1a2b3c4d/seed0

The model's states must be finitely many (bmru, fq_bmru, nfsm), the task's alphabet finite. The certificate is written
beside the run's record, or beside its weights where the run has no record.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.common.arguments import OneLineParser
from data_prep.common.json_files import read_json
from data_prep.common.output import printing_program
from lra_mru import files
from lra_mru.certify.certificate import REPEATED, certify, evaluations, sentences
from lra_mru.certify.run import Run, load_run
from lra_mru.certify.walk import walk
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.provenance import code_version
from lra_mru.engine.saving.attempts import Attempt
from lra_mru.records.digest import as_text
from lra_mru.records.proof import GRADES, OPEN, holds, is_certificate, place_beside
from lra_mru.tasks.generated import GeneratedTask

SHOWN_EVERY_S = 1.0


@printing_program
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if the model is proven right, at every length or from some on; 1 if not; 2 for a wrong argument."""
    parser = OneLineParser(prog="python -m lra_mru.certify", description=__doc__)
    parser.add_argument("run", help="folder of a finished run, below runs/, or its best.ckpt")
    parser.add_argument("--max-states", type=int, default=1_000_000, help="give up beyond (default %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=600.0, help="give up after (default %(default)s)")
    parser.add_argument("--batch", type=int, default=4096, help="steps computed at a time (default %(default)s)")
    parser.add_argument("--out", type=Path, help="file to write (default: beside the record)")
    parser.add_argument("--check", action="store_true", help="walk again, and compare with the certificate")
    options = parser.parse_args(argv)
    try:
        run = load_run(options.run)
        out = options.out or place(run)
        before = standing(out, run, options.check)
        found = facts(run, options.max_states, options.max_seconds, options.batch)
        if options.check:
            compare(found, before, out)
            print(f"{out}: a second walk finds the same")
        elif found["grade"] == OPEN and before.get("grade", OPEN) != OPEN:
            raise ValueError(f"{found['claim']}; {out}, of a whole walk of these weights, is kept")
        else:
            files.write_whole(out, as_text(found).encode(), overwrite=True)
    except (ConfigError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    first, *others = sentences(found)
    print("\n".join([f"{run.task.name}, {run.task.variant}: {first}", *others, f"{out}"]))
    return 0 if holds(found) else 1


def facts(run: Run, max_states: int, max_seconds: float, batch: int) -> dict[str, Any]:
    """The certificate's content. Raises ValueError for a task or a model that is no finite machine."""
    if not isinstance(run.task, GeneratedTask):
        raise ValueError(f"task={run.task.name} is no finite machine of tokens: nothing to prove")
    task, models = run.task.machine(), evaluations(run.model, batch)
    found = walk(models, task, max_states=max_states, max_seconds=max_seconds, batch=batch, progress=_Progress().show)
    names = {"task": run.task.name, "variant": run.task.variant, "weights_sha256": run.weights_sha256}
    return names | certify(found, run.model, task) | {"git": code_version()}


def place(run: Run) -> Path:
    """seed<k>.certificate.json beside the record, or certificate.json beside the weights."""
    record = Attempt(run.checkpoint.parent).record
    return place_beside(record) if record else run.checkpoint.with_name("certificate.json")


def standing(out: Path, run: Run, check: bool) -> dict[str, Any]:
    """The certificate of these weights that stands at out; empty if there is none, and none is asked for.

    Raises: ValueError if one is asked for, or out cannot take one: in a minute of walking, or ten, it is too late
    """
    if not out.exists():
        if check:
            raise ValueError(f"{out}: there is no certificate; leave --check out to make one")
        if not out.parent.is_dir():
            raise ValueError(f"{out}: there is no folder {out.parent}: make it first")
        try:
            files.try_to_write(out.parent)
        except OSError as error:
            raise ValueError(f"{out} cannot be written ({error.strerror}): give --out") from error
        return {}
    try:
        found = read_json(out)
    except ValueError:
        found = None
    readable = isinstance(found, dict) and found.get("grade") in GRADES
    if not readable and not is_certificate(out):
        raise ValueError(f"{out} stands there, and is no certificate: give another --out")
    of_these_weights = readable and found.get("weights_sha256") == run.weights_sha256
    if check and not of_these_weights:
        raise ValueError(f"{out} is no certificate of these weights; leave --check out to make one")
    return found if of_these_weights else {}


def compare(found: dict[str, Any], said: dict[str, Any], path: Path) -> None:
    """Raises ValueError unless the certificate at path says what this walk found."""
    if found["grade"] == OPEN and said.get("grade") != OPEN:
        raise ValueError(f"{path} is neither confirmed nor refuted: {found['claim']}; give --max-states, --max-seconds")
    if differing := [name for name in REPEATED if said.get(name) != found.get(name)]:
        raise ValueError(f"{path}: a second walk finds another {', '.join(differing)}: do not trust this certificate")


class _Progress:
    """A line a second on stderr."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def show(self, line: str) -> None:
        if time.monotonic() - self._shown >= SHOWN_EVERY_S:
            self._shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)
