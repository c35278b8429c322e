"""Three sentences that the records alone write: what keeps, what is best, what it costs."""

from collections.abc import Sequence

from lra_mru.report.load import ACC
from lra_mru.report.matrix import CLOSE, Line, models_of
from lra_mru.report.rows import Row
from lra_mru.report.sections import Section
from lra_mru.report.tables.costs import cost
from lra_mru.report.tables.lengths import Bench

KEPT = 0.05  # a model keeps its accuracy if it loses no more than this
LEARNED = 0.8  # of the way from the floor to the best model, in every seed


def findings(lines: Sequence[Line], benches: Sequence[Bench] = ()) -> list[str]:
    """The sentences for which there are rows; none without a row of several seeds."""
    return list(filter(None, [_keeping(lines), _best(lines), cost(lines, benches)]))


def _keeping(lines: Sequence[Line]) -> str:
    """On how many of the tasks that a model learned it keeps its accuracy at all further lengths."""
    trained = [line for line in lines if line.metric == ACC and line.section.lengths]
    counts = []
    for model in models_of(trained):
        learned = [line for line in trained if model in line.cells and _learned(line.cells[model], line)]
        kept = sum(_keeps(line.cells[model], line.section) for line in learned)
        if learned:
            counts.append((model, kept, len(learned)))
    if not counts:
        return ""
    furthest = max(max(line.section.lengths) // line.section.trained_length for line in trained)
    return (
        f"**What is kept.** Tested at up to {furthest:,} times the trained length, of the tasks that it learned (every "
        f"seed at least {100 * LEARNED:.0f} % of the way from the floor to the best model) a model loses at most "
        f"{100 * KEPT:.0f} points at any length on: {_ranking(counts)}."
    )


def _learned(row: Row, line: Line) -> bool:
    """line: of the trained length"""
    best = max(found.mean for other in line.cells.values() if (found := other.summary(ACC)))
    floor, own = line.section.best_floor() or 0.0, row.summary(ACC)
    return own is not None and min(own.per_seed.values()) >= floor + LEARNED * (best - floor)


def _keeps(row: Row, section: Section) -> bool:
    """Not kept as well: a length that the model cannot read."""
    trained, found = row.summary(ACC), [row.summary(metric) for metric in section.accuracy_metrics]
    return trained is not None and all(there is not None and there.mean >= trained.mean - KEPT for there in found)


def _best(lines: Sequence[Line]) -> str:
    """How often a model is the best at the trained length, or close to it and not to be told from it."""
    trained = [line for line in lines if line.metric == ACC and len(line.cells) > 1]
    if not trained:
        return ""
    counts = []
    for model in models_of(trained):
        known = [line for line in trained if model in line.cells]
        best = sum(model in line.best for line in known)
        counts.append((model, best, len(known)))
    return (
        f"**What is learned.** At the trained length the best, or within {100 * CLOSE:.0f} points of it and not shown "
        f"to be worse: {_ranking(counts)}."
    )


def _ranking(counts: Sequence[tuple[str, int, int]]) -> str:
    """`model k of n`, the most first; of equal counts the one with fewer misses."""
    ranked = sorted(counts, key=lambda count: (-count[1], count[2]))
    return ", ".join(f"{model} {found} of {of}" for model, found, of in ranked)
