"""All failing lengths in one table: models x monoids of state_tracking, published rows below ours."""

from collections.abc import Sequence

from lra_mru.report.order import in_order
from lra_mru.report.rows import Row, grouped
from lra_mru.report.sections import Section
from lra_mru.report.tables.cells import bars, failing_length, markdown_table, percent
from lra_mru.report.tables.published import published_failing_lengths

ABOUT = (
    "The shortest length at which fewer than {bar} % of {rows} fresh sequences are right throughout: median of the "
    "seeds that pass that bar at the trained length, *(k of n)*; *> n*: no failure up to there. *∞ k of n*: so many "
    "seeds are proven right at every length. Published rows were trained at the same length, with other sizes and "
    "steps, and have five seeds; +: no failure up to there. *none*: no seed learned the trained length.\n"
)


def failing_lengths(sections: Sequence[Section]) -> list[str]:
    """A table for each budget whose sections of state_tracking have failing lengths of several monoids."""
    measured = [section for section in sections if section.task == "state_tracking" and bars(section)]
    return [_table(members, budget) for budget, members in grouped(measured, lambda s: s.budget) if len(members) > 1]


def _table(sections: list[Section], budget: str) -> str:
    bar = bars(sections[0])[0]
    rows = max(r.failing_length["rows"] for s in sections for r in s.records if r.failing_length)
    head = [f"[{section.variant.split(',')[0]}](#{section.anchor})" for section in sections]
    models = in_order(row.model for section in sections for row in section.rows)
    lines = [[model, *(_ours(section, model, bar) for section in sections)] for model in models]
    published = [{model: length for model, length, *_ in published_failing_lengths(section)} for section in sections]
    lines += [[f"{model}, *published*", *(found.get(model, "—") for found in published)] for model in published[0]]
    text = ABOUT.format(bar=percent(float(bar), digits=0), rows=rows)
    return f"## Failing lengths: state_tracking (budget: {budget})\n\n{markdown_table(['model', *head], lines)}\n{text}"


def _ours(section: Section, model: str, bar: str) -> str:
    """Of several rows of a model the one with the most seeds."""
    found = [row for row in section.rows if row.model == model]
    if not found:
        return "—"
    row: Row = max(found, key=lambda row: (len(row.records), row.validation))
    proven = f", ∞ {len(row.proven_seeds)} of {len(row.records)}" if row.proven_seeds else ""
    text = failing_length(row, bar, section.trained_length)
    return text.replace("no failure to ", "> ").replace(" learned", "") + proven  # short, for many columns
