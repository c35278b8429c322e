"""`python -m lra_mru.runs`: which runs are finished, running, resumable or dead, and the command for each."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_prep.common.arguments import OneLineParser
from data_prep.common.output import printing_program
from lra_mru.engine.saving.attempts import Attempt, find
from lra_mru.files import below
from lra_mru.places import MY_RESULTS
from lra_mru.records.form import is_record, load_record

UNKNOWN = "(no command was noted: started from Python, or by an older version)"
RESULTS_PLACE = "'results_dir=<results_dir>'"  # how a record names the folder, whose name is of one machine
STATES = ("running", "resumable", "dead", "finished")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One run. step of max_steps; command: what to type next, and `why`."""

    state: str
    run: str
    detail: str
    command: str


def lines(results_dir: Path, runs_dir: Path) -> list[Line]:
    """A line for every run that writes to results_dir or has a record there, those that need somebody first."""
    found = {}
    attempts = {path.parent for path in below(runs_dir, "*") if path.parent.name.startswith("attempt")}
    for folder in sorted({attempt.parent for attempt in attempts}):
        ours = [attempt for attempt in find(folder) if attempt.serves(results_dir)]
        if ours:
            line = _of_attempt(ours[-1])
            found[line.run] = line
    found |= {line.run: line for line in _of_records(results_dir) if line.run not in found}
    return sorted(found.values(), key=lambda line: (STATES.index(line.state), line.run))


def _of_attempt(attempt: Attempt) -> Line:
    notes, state = attempt.notes, attempt.state
    typed = noted if isinstance(noted := notes.get("command"), str) and noted else UNKNOWN
    where = f"{attempt.path}, step {notes.get('step')} of {notes.get('max_steps')}"
    detail, command = {
        "finished": (f"{attempt.record}", again(typed)),
        "running": (f"{where}, process {notes.get('pid')} on {notes.get('host')}", f"kill {notes.get('pid')}"),
        "resumable": (where, typed),
        "dead": (f"{attempt.path}, nothing saved", typed),
    }[state]
    return Line(state=state, run=str(notes.get("run", attempt.path.parent)), detail=detail, command=command)


def _of_records(results_dir: Path) -> Iterator[Line]:
    """Finished runs whose working folder is elsewhere, or gone."""
    for path in below(results_dir / "runs", "seed*.json"):
        if not is_record(path):
            continue
        run = str((path.parent / path.name.split(".")[0]).relative_to(results_dir / "runs"))
        try:
            command = load_record(path).command or UNKNOWN
            here = command.replace(RESULTS_PLACE, shlex.quote(f"results_dir={results_dir}"))
            yield Line(state="finished", run=run, detail=str(path), command=again(here))
        except (OSError, ValueError):
            yield Line(state="dead", run=run, detail=f"{path} is no good record", command=f"rm {path}")


def again(command: str) -> str:
    """What repeats a finished run."""
    return command if command == UNKNOWN or "force=true" in command else f"{command} force=true"


@printing_program
def main() -> None:
    parser = OneLineParser(prog="python -m lra_mru.runs", description=__doc__)
    parser.add_argument("--results-dir", type=Path, default=MY_RESULTS, help="where the runs' records go")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where their checkpoints are")
    arguments = parser.parse_args()
    try:
        found = lines(arguments.results_dir, arguments.runs_dir)
    except OSError as error:
        parser.error(f"{error.filename} cannot be read ({error.strerror})")
    if not found:
        print(f"no runs: neither records in {arguments.results_dir} nor attempts in {arguments.runs_dir} that go there")
    for line in found:
        print(f"{line.state:<10} {line.run}   {line.detail}\n{'':<10} {line.command}")


if __name__ == "__main__":
    main()
