"""The overview: one line for each task, at the trained length and at the longest one, and one column for each model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lra_mru.report.compare import Estimate, best_of, estimate
from lra_mru.report.load import ACC
from lra_mru.report.order import in_order
from lra_mru.report.rows import Row
from lra_mru.report.sections import Section

CLOSE = 0.05  # to the best: within five points, as "cannot be told" is also said of what three seeds cannot show
MIN_SEEDS = 2  # one seed has no interval, and stands in the tables of its task alone


@dataclass(frozen=True, kw_only=True)
class Line:
    """One task at one length.

    name:  the task, and of its variant and budget what tells it from the other lines
    cells: by model the row that stands for it: of several the one with the highest validation accuracy
    best:  the best model above the floor, and those above it in every seed that come close and cannot be told from it
    """

    section: Section
    metric: str
    name: str
    cells: Mapping[str, Row]
    best: frozenset[str]


def make_matrix(sections: Sequence[Section]) -> list[Line]:
    """Lines in the order of the sections, of those in which several models have rows of several seeds: the others
    compare nothing, and have lines only while there is no such section."""
    known = [(section, cells) for section in sections if (cells := _cells(section))]
    chosen = [(section, cells) for section, cells in known if len(cells) > 1] or known
    names = short_names([section for section, _ in chosen])
    return [
        Line(section=section, metric=metric, name=name, cells=cells, best=_best(section, cells, metric))
        for (section, cells), name in zip(chosen, names, strict=True)
        for metric in dict.fromkeys([ACC, section.accuracy_metrics[-1]])
    ]


def models_of(lines: Sequence[Line]) -> list[str]:
    """The columns, in the declared order."""
    return in_order(model for line in lines for model in line.cells)


def estimates_of(section: Section, metric: str) -> dict[str, Estimate]:
    """By label what each row of several seeds reaches, in the order of the rows."""
    return _estimates({section.label(row): row for row in section.rows}, metric)


def _estimates(cells: Mapping[str, Row], metric: str) -> dict[str, Estimate]:
    return {model: found for model, row in cells.items() if (found := estimate(row, metric))}


def _cells(section: Section) -> dict[str, Row]:
    rows = [row for row in section.rows if len(row.records) >= MIN_SEEDS]
    rows.sort(key=lambda row: (row.validation, row.config_hash))
    return {row.model: row for row in rows}


def _best(section: Section, cells: Mapping[str, Row], metric: str) -> frozenset[str]:
    """The model with the highest mean, and those close to it that cannot be told from it: none that some seeds did not
    lift above the floor. With so few seeds, one that has not learned makes an interval that holds everything."""
    floor, estimates = section.best_floor(), _estimates(cells, metric)
    found = best_of(estimates)
    if floor is None or not found:
        return frozenset(found)
    first = max(found, key=lambda model: estimates[model].mean)
    close = {model for model in found if estimates[model].mean >= estimates[first].mean - CLOSE}
    above = {model: cells[model].seeds_above(floor, metric) or (0, 1) for model in close}
    return frozenset(model for model, (k, n) in above.items() if k == n or (model == first and k))


def usual_budget(sections: Sequence[Section]) -> str:
    """The budget of most sections; of equals the first; of none "quick"."""
    budgets = [section.budget for section in sections] or ["quick"]
    return max(budgets, key=budgets.count)


def short_names(sections: Sequence[Section]) -> list[str]:
    """The task of each section, what tells it from others of this task, and its budget if it is not the usual one."""
    names, usual = [], usual_budget(sections)
    for section in sections:
        sisters = [other.variant.split(", ") for other in sections if other.task == section.task]
        seen: list[list[bool]] = []
        told = []
        for part in section.variant.split(", "):
            pattern = [part in sister for sister in sisters]
            if not all(pattern) and pattern not in seen:  # what always stands together is said once
                told.append(part)
                seen.append(pattern)
        budget = [] if section.budget == usual else [f"budget {section.budget}"]
        names.append(", ".join([section.task, *told, *budget]))
    return names
