"""Three sentences that the records alone write: what keeps, what is best, what it costs."""

from collections.abc import Sequence

from lra_mru.report.load import ACC
from lra_mru.report.matrix import Line, models_of
from lra_mru.report.rows import Row
from lra_mru.report.tables.costs import cost
from lra_mru.report.tables.lengths import Bench

KEPT = 0.05  # a model keeps its accuracy if it loses no more than this


def findings(lines: Sequence[Line], benches: Sequence[Bench] = ()) -> list[str]:
    """The sentences for which there are rows; none without a row of several seeds."""
    return list(filter(None, [_keeping(lines), _best(lines), cost(lines, benches)]))


def _keeping(lines: Sequence[Line]) -> str:
    """On how many of the tasks that a model learned it keeps its accuracy at the longest length."""
    long = [line for line in lines if line.metric != ACC]
    if not long:
        return ""
    counts = []
    for model in models_of(long):
        rows = [(line.cells[model], line) for line in long if model in line.cells]
        learned = [(row, line) for row, line in rows if _learned(row, line)]
        kept = sum(_keeps(row, line.metric) for row, line in learned)
        if learned:
            counts.append((model, kept, len(learned)))
    if not counts:
        return ""
    times = sorted({max(line.section.lengths) // line.section.trained_length for line in long})
    span = f"{times[0]:,}" if len(times) == 1 else f"{times[0]:,} to {times[-1]:,}"
    return (
        f"**What is kept.** Tested at {span} times the trained length, of the tasks that it learned (every seed above "
        f"the floor) a model loses at most {100 * KEPT:.0f} points on: {_ranking(counts)}."
    )


def _learned(row: Row, line: Line) -> bool:
    floor = line.section.best_floor()
    above = None if floor is None else row.seeds_above(floor, ACC)
    return above is None or above[0] == above[1]


def _keeps(row: Row, metric: str) -> bool:
    """Not kept as well: a length that the model cannot read."""
    trained, longest = row.summary(ACC), row.summary(metric)
    return trained is not None and longest is not None and longest.mean >= trained.mean - KEPT


def _best(lines: Sequence[Line]) -> str:
    """How often a model is the best, or cannot be told from the best, at the trained length."""
    trained = [line for line in lines if line.metric == ACC and len(line.cells) > 1]
    if not trained:
        return ""
    counts = []
    for model in models_of(trained):
        known = [line for line in trained if model in line.cells]
        best = sum(model in line.best for line in known)
        counts.append((model, best, len(known)))
    return f"**What is learned.** At the trained length the best, or not to be told from the best: {_ranking(counts)}."


def _ranking(counts: Sequence[tuple[str, int, int]]) -> str:
    """`model k of n`, the most first; of equal counts the one with fewer misses."""
    ranked = sorted(counts, key=lambda count: (-count[1], count[2]))
    return ", ".join(f"{model} {found} of {of}" for model, found, of in ranked)
