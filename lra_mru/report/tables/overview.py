"""Findings and overview matrix as Markdown, for the top of the leaderboard and for a README."""

from collections.abc import Sequence

from lra_mru.report.load import ACC
from lra_mru.report.matrix import MIN_SEEDS, Line, models_of, usual_budget
from lra_mru.report.tables.cells import bound_text, markdown_table, percent
from lra_mru.report.tables.findings import findings
from lra_mru.report.tables.lengths import Bench

EXPLANATION = (
    "Test accuracy in percent, mean over seeds ± half of its 95 % interval, which holds what changes with the seed and "
    "not that a test set is finite; (≥ ...) or (≤ ...) stands where every answer was right or wrong, a 95 % bound for "
    "these trained models. **Bold**: the best model above the floor, and each within 5 points of it that is above the "
    "floor in every seed and that the best does not beat at 97.5 % (Welch's t over seeds, with the noise of the finite "
    "test set added). *k of n*: only so many seeds are above the floor; *dirty*: with uncommitted code. —: no row of "
    "several seeds; *too long*: the model cannot read so far. A task that is tested at other lengths than the trained "
    "one has two lines: the trained length and the longest. Tasks on which a single model has several seeds are left "
    "to their own sections."
)
PROOF = "*∞ k of n*: so many seeds are proven right at every length, by a walk over all states that they can reach."
NO_MATRIX = f"No row has {MIN_SEEDS} seeds yet: as soon as one has, an overview of tasks and models stands here.\n"


def overview(lines: Sequence[Line], page: str = "", benches: Sequence[Bench] = ()) -> str:
    """Findings, matrix and what its cells mean; the names of tasks link to their section of `page`."""
    if not lines:
        return NO_MATRIX
    parts = [f"- {sentence}" for sentence in findings(lines, benches)]
    proven = any(row.proven_seeds for line in lines for row in line.cells.values())
    about = " ".join([EXPLANATION, *([PROOF] if proven else []), budget_of(lines)])
    return "\n".join([*parts, "", matrix_table(lines, page), about, ""])


def budget_of(lines: Sequence[Line]) -> str:
    sections = [line.section for line in lines if line.metric == ACC]
    several = len({section.budget for section in sections}) > 1
    return f"Budget: {usual_budget(sections)}{', where a task names no other' if several else ''}."


def matrix_table(lines: Sequence[Line], page: str = "") -> str:
    models = models_of(lines)
    body = []
    for line in lines:
        name = f"[{line.name}]({page}#{line.section.anchor}){length_of(line)}"
        body.append([name, *(_cell(line, model) for model in models)])
    return markdown_table(["task", *models], body)


def length_of(line: Line) -> str:
    """Of a task with several lengths the one of this line."""
    if not line.section.lengths:
        return ""
    length = line.section.trained_length if line.metric == ACC else max(line.section.lengths)
    return f", at {length:,}"


def cell_text(line: Line, model: str) -> str:
    """Mean and interval, or bound; k of n where some seeds, not all, are above the floor; if uncommitted code ran."""
    row = line.cells.get(model)
    if row is None:
        return "—"
    if (summary := row.summary(line.metric)) is None:
        return "too long"
    text = percent(summary.mean, digits=1)
    if bound := row.bound(line.metric):
        text += bound_text(*bound, digits=1)
    elif summary.half_width is not None:
        text += f" ± {percent(summary.half_width, digits=1)}"
    floor = line.section.best_floor()
    above = None if floor is None else row.seeds_above(floor, line.metric)
    some = f", {above[0]} of {above[1]}" if above and 0 < above[0] < above[1] else ""
    proven = f", ∞ {len(row.proven_seeds)} of {len(row.records)}" if row.proven_seeds and line.metric != ACC else ""
    return f"{text}{some}{proven}{', dirty' if row.dirty_seeds else ''}"


def _cell(line: Line, model: str) -> str:
    text = cell_text(line, model)
    return f"**{text}**" if model in line.best else text
