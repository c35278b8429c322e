"""Published results that stand beside a section: facts from results/published.yaml, with source and provenance."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from lra_mru.places import RESULTS
from lra_mru.report.sections import Section

PUBLISHED = RESULTS / "published.yaml"


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One published test accuracy, in percent; `remark` is what a reader must know to compare it, or empty."""

    model: str
    accuracy: float
    source: str
    provenance: str
    remark: str


def published_rows(section: Section, path: Path = PUBLISHED) -> list[PublishedRow]:
    """Published rows of a section, in the order of the file; none unless the section follows the published protocol.

    Raises:  ValueError if the file does not have the column that its own `sections` names
    """
    facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    where = facts["sections"].get(section.task)
    if where is None or (section.budget, section.variant) != (where["budget"], where["variant"]):
        return []
    table = facts[where["table"]]
    if where["column"] not in table["columns"]:
        raise ValueError(f"{path}: {where['table']} has no column {where['column']!r}: name one of {table['columns']}")
    column = table["columns"].index(where["column"])
    return [
        PublishedRow(
            model=row["model"],
            accuracy=row["values"][column],
            source=row["source"],
            provenance=row["provenance"],
            remark="; ".join(
                [*(["bidirectional"] if row.get("bidirectional") else []), *filter(None, [row.get("note")])]
            ),
        )
        for row in table["rows"]
        if row["values"][column] is not None
    ]


def published_failing_lengths(section: Section, path: Path = PUBLISHED) -> list[list[str]]:
    """Rows of model, median failing length, source and provenance; none for a task other than state_tracking.

    They were trained at the same length with other sizes and steps, so they stand beside rows of any budget.
    """
    if section.task != "state_tracking":
        return []
    table = yaml.safe_load(path.read_text(encoding="utf-8"))[section.task]
    monoid = section.variant.split(",")[0]
    if monoid not in table["columns"]:
        return []
    column = table["columns"].index(monoid)
    return [[r["model"], r["values"][column] or "none", r["source"], r["provenance"]] for r in table["rows"]]
