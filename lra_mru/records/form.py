"""What a record must say, and reading one: a file that was cut, damaged or edited is refused by name.

Only what the report prints is required; further keys are left alone.
"""

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from data_prep.common.json_files import read_json
from lra_mru.records.content import ACC, check_content
from lra_mru.records.digest import is_as_written
from lra_mru.records.naming import RULE, present_name
from lra_mru.records.proof import is_certificate, place_beside, read_certificate

BESIDE = ("certificate", "certificate_fault", "link")  # what is not in the file itself
SCHEMAS = (1, 2)  # 1 has no attempts, and its peak memory counts from the start of the process


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run, with the fields of its JSON file.

    trials: configurations of the sweep that this one was chosen from; 1 where there was none
    command: what repeats the run; None where it was started from Python, or by a version that did not say
    curve: pairs (step, validation accuracy), by step; empty in older records
    git:   commit and dirty flag of the source; None where it was no git checkout
    failing_length: rows, cap, longest T tried, and for each bar the T at which too few are right, or None; None where
           it was not measured
    Units: accuracies and floors in [0, 1]; throughput in steps without padding (tokens) per second; memory in bytes;
           wall_s in seconds
    """

    attempt: int
    trials: int
    name_rule: int
    command: str | None
    curve: list[Any]

    model: str
    task: str
    variant: str
    budget: str
    seed: int
    config_hash: str
    config: dict[str, Any]
    git: dict[str, Any] | None
    num_params: int
    metrics: dict[str, float]
    failing_length: dict[str, Any] | None
    skipped: dict[str, str]
    floors: dict[str, float]
    throughput: dict[str, float | None]
    memory: dict[str, float | None]
    wall_s: float
    steps: int
    best_step: int
    device: str
    num_devices: int
    cores: int
    precision: str | int
    bidirectional: bool
    pooling: str
    finished_at: str
    certificate: dict[str, Any] | None = None  # of the file beside the record, if there is a good one
    certificate_fault: str = ""  # why the file that stands there is none
    link: str = ""  # from the page that shows it to its file; the report sets it

    @property
    def run(self) -> tuple[str, ...]:
        """What all attempts at one run share."""
        return (*self.configuration, str(self.seed))

    @property
    def configuration(self) -> tuple[str, ...]:
        """What all seeds of one row share."""
        return (self.task, self.model, self.computes)

    @property
    def computes(self) -> str:
        """One name for all runs that compute the same thing, by whichever rule each was named."""
        return present_name(self.config, self.config_hash) if self.name_rule < RULE else self.config_hash

    @property
    def lengths(self) -> set[int]:
        """Lengths beyond the trained one at which the run was evaluated, or was meant to be."""
        matches = (re.fullmatch(rf"{ACC}@(\d+)", key) for key in {*self.metrics, *self.skipped})
        return {int(match[1]) for match in matches if match}

    @property
    def groups(self) -> set[str]:
        """Names of the example groups with an accuracy of their own (ListOps: root operators)."""
        return {match[1] for key in self.metrics if (match := re.fullmatch(rf"{ACC}/([^@/]+)", key))}

    @property
    def dirty(self) -> bool:
        """Whether the code differed from the commit."""
        return self.git is not None and self.git["dirty"]

    @property
    def commit(self) -> str:
        """Short name of the source version."""
        if self.git is None:
            return "no git"
        return f"{str(self.git.get('commit'))[:8]}{', dirty' if self.dirty else ''}"

    @property
    def machine(self) -> str:
        """What throughput and peak memory depend on besides the model."""
        count = f"{self.num_devices} x " if self.num_devices > 1 else ""
        return f"{count}{self.device}, {self.cores} cores, {self.precision}"


def load_record(path: Path) -> Record:
    """The record at path. Raises: ValueError naming the file and the mend; OSError if it cannot be opened"""
    try:
        raw = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path}: not a readable record ({error}): delete it and run its command again") from error
    record = parse(path, raw)
    if not is_as_written(raw):
        raise ValueError(f"{path}: its content is not what was written: delete it and run its command again")
    return _with_certificate(path, raw, record)


def _with_certificate(path: Path, raw: dict[str, Any], record: Record) -> Record:
    """With what `python -m lra_mru.certify` wrote beside it. A certificate that is none costs the proof alone."""
    place = place_beside(path)
    if not place.exists():
        return record
    try:
        return replace(record, certificate=read_certificate(place, raw))
    except ValueError as error:
        return replace(record, certificate_fault=str(error))
    except OSError as error:
        return replace(record, certificate_fault=f"{place} cannot be opened ({error.strerror})")


def is_record(path: Path) -> bool:
    """Whether a JSON file below runs/ is meant as a record; temporary files and certificates are not."""
    return not path.name.startswith(".") and not is_certificate(path)


def is_whole(path: Path) -> bool:
    """Whether a record stands at path that was neither cut nor damaged, wherever it belongs."""
    try:
        raw = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(raw, dict) and "metrics" in raw and is_as_written(raw)


def parse(path: Path, raw: Any) -> Record:
    """The record that `raw` describes, which stands at path or is meant to. Raises: ValueError"""
    if not isinstance(raw, dict) or raw.get("schema") not in SCHEMAS:
        found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
        read = " and ".join(map(str, SCHEMAS))
        raise ValueError(f"{path}: schema {found!r}, this report reads {read}: use the version that wrote it, or rerun")
    older: dict[str, Any] = {"trials": 1, "name_rule": 1, "failing_length": None, "command": None, "curve": []}
    older |= {"attempt": 1} if raw["schema"] == 1 else {}
    raw = older | raw  # what records did not say before there were sweeps, attempts, curves and a second rule
    stored = [field for field in fields(Record) if field.name not in BESIDE]
    record = Record(**{field.name: _field(path, raw, field.name, field.type) for field in stored})
    check_content(path, record)
    folder = Path(record.task) / f"{record.model}-{record.config_hash}"
    names = [f"seed{record.seed}.json", f"seed{record.seed}.attempt{record.attempt}.json"]
    if path.parts[-4:] not in [("runs", *folder.parts, name) for name in names]:
        expected = folder / names[".attempt" in path.name]
        raise ValueError(f"{path}: its content belongs at runs/{expected}: move it there, or delete it and rerun")
    return record


def _field(path: Path, raw: dict[str, Any], name: str, kind: Any) -> Any:
    if name not in raw:
        raise ValueError(f"{path}: field {name!r} is missing: delete the file and run its command again")
    value = raw[name]
    kinds = [get_origin(part) or part for part in (get_args(kind) if isinstance(kind, UnionType) else [kind])]
    if type(value) not in (*kinds, *([int] if float in kinds else [])):
        expected = " or ".join(part.__name__ for part in kinds)
        raise ValueError(f"{path}: {name}={value!r} must be of type {expected}: delete the file and rerun")
    return value
