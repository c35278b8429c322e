"""`python -m lra_mru.report --check PATH...`: whether records from outside can join those that are here, and why not.

What is seen: a record that was cut or edited (its digest covers metrics and weights together), that is named after
another config, made by code that nobody can look up, with other steps than its budget has, with numbers that do not
fit each other, or that is there already. What cannot be seen: a record whose digest was made anew after an edit. To
see that, run its command again.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data_prep.common.json_files import read_json
from lra_mru.files import below
from lra_mru.records.form import Record, load_record
from lra_mru.report.faults import faults
from lra_mru.report.load import SHARED, load_good

NAME = re.compile(r"seed\d+(\.attempt\d+)?\.json")
SECOND_WALK = "a second walk finds the same"  # what certify --check says


def check_paths(paths: Iterable[Path], *, results: Path, runs: Path) -> int:
    """Prints a line for each record at or below the paths. Returns: how many of them cannot join

    results: the folder with runs/ that they are to join; runs: where weights may lie
    Raises:  ValueError in one line for a path that is not there, or without records
    """
    here = load_good(results)[0] if (results / "runs").is_dir() else []
    known = {record.run: record for record in here}
    weights: dict[tuple[object, ...], Record] = {}
    refused = 0
    for path in _records_at(paths):
        reasons, notes = _judge(path, known, weights, results, runs)
        refused += bool(reasons)
        print(f"{'cannot join' if reasons else 'can join':<12} {path}: {'; '.join([*reasons, *notes])}", flush=True)
    return refused


def _records_at(paths: Iterable[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            records = [file for file in below(path, "*.json") if NAME.fullmatch(file.name)]
            if not records:
                raise ValueError(f"{path}: no record at or below it: name a record, or the folder runs/ that holds it")
        elif not path.is_file():
            raise ValueError(f"{path}: there is no such file or folder")
        elif not NAME.fullmatch(path.name):
            raise ValueError(f"{path} is no record: records are named runs/<task>/<model>-<hash>/seed<k>.json")
        else:
            records = [path]
        found |= {file.resolve(): file for file in records}
    return list(found.values())


def _judge(
    path: Path,
    known: dict[tuple[str, ...], Record],
    weights: dict[tuple[object, ...], Record],
    results: Path,
    runs: Path,
) -> tuple[list[str], list[str]]:
    """Why the record cannot join, and what else is to be said of it."""
    try:
        record = load_record(path)
        raw = read_json(path)
    except (ValueError, OSError) as error:
        return [" ".join(str(error).removeprefix(f"{path}: ").split())], []
    reasons = [*faults(record, raw), *_of_neighbours(path, record, raw, known, weights, results)]
    if record.certificate_fault:
        reasons.append(record.certificate_fault)
    said, confirmed = _certificate(path, record, runs)
    if not confirmed:
        return [*reasons, said], []
    notes = [] if reasons else [f"{record.model} on {record.task}, seed {record.seed}"]
    return reasons, [*notes, *([said] if said else [])]


def _of_neighbours(
    path: Path,
    record: Record,
    raw: dict[str, Any],
    known: dict[tuple[str, ...], Record],
    weights: dict[tuple[object, ...], Record],
    results: Path,
) -> Iterator[str]:
    """It is there once, has weights of its own, and agrees with other seeds of its row and other rows of its task."""
    own = (results / "runs").resolve() in path.resolve().parents  # it is one of them
    if not own and record.run in known:
        yield f"seed {record.seed} of this configuration is in {results} already"
    others = [other for other in known.values() if other.run != record.run]
    for other in (other for other in others if other.configuration == record.configuration):
        if differing := [name for name in SHARED if getattr(other, name) != getattr(record, name)]:
            yield f"{differing[0]} differs from that of seed {other.seed}, though both carry one config hash"
    for other in others:
        if _test_set(other) == _test_set(record) and other.floors != record.floors:
            yield f"its floors {record.floors} differ from {other.floors} of {other.model}, seed {other.seed}"
            break
    same = weights.setdefault((*record.configuration, str(raw.get("weights_sha256"))), record)
    if same.seed != record.seed:
        yield f"its weights are those of seed {same.seed}"
    if not own:
        known.setdefault(record.run, record)


def _test_set(record: Record) -> tuple[object, ...]:
    task = record.config.get("task", {})
    return (record.task, record.variant, task.get("data_seed"), task.get("num_test"))


def _certificate(path: Path, record: Record, runs: Path) -> tuple[str, bool]:
    """What can be said here of a certificate beside the record, nothing where there is none; whether it may be true."""
    if record.certificate is None:
        return "", True
    folder = runs / record.task / f"{record.model}-{record.config_hash}" / f"seed{record.seed}"
    kept = folder / f"attempt{record.attempt}" / "best.ckpt"
    if not kept.is_file():
        return f"its certificate cannot be verified here: no weights at {kept}", True
    beside = path.with_suffix(".certificate.json")
    command = [sys.executable, "-m", "lra_mru.certify", str(kept), "--check", "--out", str(beside)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if SECOND_WALK in done.stdout:
        return f"its certificate holds: {SECOND_WALK}", True
    said = (done.stderr.strip().splitlines() or ["the walk said nothing"])[-1]
    return f"its certificate is not confirmed: {said.removeprefix('error: ')}", False
