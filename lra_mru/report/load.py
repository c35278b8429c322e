"""Read run records, and check each one before anything is made of it.

A record is one finished run: results/runs/<task>/<model>-<hash8>/seed<k>.json. One that was repeated (force=true) has
further ones beside it, seed<k>.attempt<n>.json: the newest attempt counts, and the page names those it replaces.
"""

from dataclasses import replace
from pathlib import Path

from lra_mru.files import below
from lra_mru.records.content import ACC, MEASURES
from lra_mru.records.form import Record, is_record, load_record

__all__ = ["ACC", "MEASURES", "Record", "load_attempts", "load_good", "load_records"]
SHARED = ("variant", "budget", "num_params", "bidirectional", "pooling")  # by all seeds of one configuration


def load_records(results_dir: Path) -> list[Record]:
    """All records under `results_dir`/runs that count: of each run its newest attempt, in the order of their paths.

    Raises:  ValueError as load_attempts
    """
    return _newest(load_attempts(results_dir))


def load_good(results_dir: Path) -> tuple[list[Record], list[str]]:
    """The records that count among those that are good, and a complaint for every other: it costs its own row only."""
    attempts, complaints = _read(results_dir)
    return _newest(attempts), complaints


def load_attempts(results_dir: Path) -> list[Record]:
    """All records under `results_dir`/runs, repeated ones included, in the order of their paths.

    Raises:  OSError for a folder that cannot be read; ValueError naming the file and the mend, if one cannot be read,
             has another schema, misses a field, lies in a folder that contradicts its content, or differs from its
             sister seeds in what they must share
    """
    attempts, complaints = _read(results_dir)
    if complaints:
        raise ValueError(complaints[0])
    return attempts


def _read(results_dir: Path) -> tuple[list[Record], list[str]]:
    if not results_dir.is_dir():
        raise ValueError(f"results directory {results_dir} does not exist: give an existing one with --results")
    good: list[Record] = []
    complaints = []
    first_of: dict[tuple[str, ...], tuple[Path, Record]] = {}
    for path in filter(is_record, below(results_dir / "runs", "*.json")):
        try:
            record = replace(load_record(path), link=path.relative_to(results_dir).as_posix())
            _compare(path, record, *first_of.setdefault(record.configuration, (path, record)))
            good.append(record)
            if record.certificate_fault:
                complaints.append(record.certificate_fault)
        except ValueError as error:
            complaints.append(str(error))
        except OSError as error:
            complaints.append(f"{path} cannot be opened ({error.strerror})")
    return good, complaints


def _compare(path: Path, record: Record, first_path: Path, first: Record) -> None:
    for name in SHARED:
        if getattr(record, name) != getattr(first, name):
            raise ValueError(
                f"{path}: {name} {getattr(record, name)!r} differs from {getattr(first, name)!r} in "
                f"{first_path.name}, though both carry one config hash: delete the one that is wrong and rerun"
            )


def _newest(attempts: list[Record]) -> list[Record]:
    newest: dict[tuple[str, ...], Record] = {}
    for record in attempts:
        if record.attempt >= newest.setdefault(record.run, record).attempt:
            newest[record.run] = record
    return list(newest.values())
