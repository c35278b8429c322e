"""Cells of the Markdown tables, and the table around them."""

import math
import re
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from lra_mru.records.proof import proves
from lra_mru.report.load import ACC, Record
from lra_mru.report.rows import Row
from lra_mru.report.sections import Section

FOLDERS = re.compile(r" (?:(?:results|runs)_dir=\S+|'(?:results|runs)_dir=[^']*')")  # everyone's own affair
SEED = re.compile(r" seed=\d+\b")


def markdown_table(head: list[str], lines: Iterable[list[str]]) -> str:
    """The first column is aligned left, the others right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    rows = [head, rule, *([cell.replace("|", "\\|") for cell in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def row_name(row: Row, section: Section) -> str:
    """The model with a link to its records, its hash where another row has the same name, and how many of its seeds
    ran from uncommitted code."""
    dirty = f" (dirty: {len(row.dirty_seeds)} of {len(row.records)})" if row.dirty_seeds else ""
    return f"[{section.label(row)}]({folder_link(row)}){dirty}"


def folder_link(row: Row) -> str:
    """From the page to the folder of a row's records."""
    return row.first.link.rpartition("/")[0]


def rerun(records: Sequence[Record]) -> list[str]:
    """The command that repeats a row: one for all seeds, where the records' own commands differ in the seed alone."""
    commands = [FOLDERS.sub("", record.command) for record in records if record.command]
    bare = {SEED.sub("", command) for command in commands}
    if len(commands) < 2 or len(bare) > 1 or not all(map(SEED.search, commands)):
        return commands
    seeds = ",".join(str(record.seed) for record in records)
    return [SEED.sub(f" seed={seeds}", commands[0]).replace("train.py", "train.py -m", 1)]


def where(metric: str, section: Section) -> str:
    """The length that an accuracy belongs to, in words."""
    if metric != ACC:
        return f"at {int(metric.split('@')[1]):,}"
    return f"at {section.trained_length:,} (trained)" if section.lengths else "at the trained lengths"


def accuracy_header(metric: str, section: Section) -> str:
    return f"acc {where(metric, section)} (%)" if section.lengths else "accuracy (%)"


def accuracy(row: Row, metric: str) -> str:
    """Mean ± half of the 95 % interval, in percent; n where it is not that of the row.

    Where every answer was right, or none, there is no spread: the bound that the sequences allow stands in its place.
    """
    summary = row.summary(metric)
    if summary is None:
        return "—"
    interval = "" if summary.half_width is None else f" ± {percent(summary.half_width)}"
    if bound := row.bound(metric):
        interval = bound_text(*bound)
    fewer = "" if summary.n == len(row.records) else f" (n = {summary.n})"
    return f"{percent(summary.mean)}{interval}{fewer}"


def bound_text(sign: str, bound: float, digits: int = 2) -> str:
    """ " (≥ 99.85)": rounded away from the certain side, so that what it says stays true."""
    cut = math.floor if sign == "≥" else math.ceil
    return f" ({sign} {cut(round(bound * 100 * 10**digits, 6)) / 10**digits:.{digits}f})"


def percent(fraction: float, digits: int = 2) -> str:
    """So many decimals; 100 only for exactly 100 %."""
    value = 100 * fraction
    return f"{value if fraction >= 1 else min(value, 100 - 10**-digits):.{digits}f}"


def whole(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f}"


def has_certificates(section: Section) -> bool:
    return any(record.certificate for record in section.records)


def bars(section: Section) -> list[str]:
    """The bars of the section's failing lengths, the lowest first."""
    found = {bar for record in section.records for bar in (record.failing_length or {"at": {}})["at"]}
    return sorted(found, key=float)


def failing_length(row: Row, bar: str, trained: int) -> str:
    """The median over the seeds that learned the trained length, and how many did."""
    measured = [record.failing_length for record in row.records if record.failing_length]
    lengths = [_length(m["at"].get(bar), m["reached"]) for m in measured]
    learned = [length for length in lengths if length > trained]
    if not measured:
        return "—"
    count = f"({len(learned)} of {len(measured)} learned)"
    return f"{_shown(learned, measured)} {count}" if learned else f"none {count}"


def _length(found: int | None, reached: int) -> float:
    return reached + 0.5 if found is None else float(found)  # beyond all that was tried


def _shown(learned: Sequence[float], measured: Sequence[dict]) -> str:
    middle = median(learned)
    furthest = max(m["reached"] for m in measured)
    return f"no failure to {furthest:,}" if middle > furthest else f"{middle:,.0f}"


def proof(row: Row) -> str:
    """For each seed with a certificate a link: ∞ right at every length, "no" words were found that fail, ? neither
    is known: the walk met its limit, or rounding decides."""
    return " ".join(f"[{sign}]({place})" for sign, place in proofs(row)) or "—"


def proofs(row: Row) -> list[tuple[str, str]]:
    """For each seed with a certificate the sign and the link."""
    return [
        (_sign(r.certificate), f"{r.link.removesuffix('.json')}.certificate.json") for r in row.records if r.certificate
    ]


def _sign(certificate: dict[str, Any]) -> str:
    return "∞" if proves(certificate) else "no" if certificate.get("wrong_steps", 1) else "?"
