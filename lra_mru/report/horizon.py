"""How far a row is right: its failing length, and whether a certificate proves it right for ever."""

from collections.abc import Sequence
from statistics import median

from lra_mru.report.load import Record
from lra_mru.report.rows import Row
from lra_mru.report.sections import Section

PROVEN = "every word"  # the grade of a certificate that holds at every length


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


def proof(row: Row, link: str) -> str:
    """The infinity sign with a link to a certificate for each seed that has one; `link` leads to the results folder."""
    signs = [
        f"[∞]({link}{_place(record)})" if record.certificate["grade"] == PROVEN else f"[no]({link}{_place(record)})"
        for record in row.records
        if record.certificate
    ]
    return " ".join(signs) or "—"


def _place(record: Record) -> str:
    return f"runs/{record.task}/{record.model}-{record.config_hash}/seed{record.seed}.certificate.json"
