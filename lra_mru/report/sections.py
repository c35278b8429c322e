"""Records in the order in which the leaderboard shows them: sections of rows, rows of seeds.

A section holds what may be compared: one task, variant and budget.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lra_mru.records.content import TRAINED_LENGTH
from lra_mru.report.load import ACC, Record
from lra_mru.report.order import task_rank
from lra_mru.report.rows import Row, grouped, middle, num_examples, num_sequences

ZERO_AT = 1 / 8  # of the shortest other length: where length 0 stands on a logarithmic axis


@dataclass(frozen=True, kw_only=True)
class Section:
    """One task, variant and budget; `rows` best first. twin: how many before it would give their figures its name."""

    task: str
    variant: str
    budget: str
    rows: list[Row]
    twin: int = 0

    @property
    def title(self) -> str:
        return f"{self.task}: {self.variant} (budget: {self.budget})"

    @property
    def anchor(self) -> str:
        return anchor(self.title)

    @property
    def slug(self) -> str:
        """File name of its figure, without the ending."""
        twin = f"-{self.twin + 1}" if self.twin else ""
        return f"{self.task}_{re.sub(r'[^a-z0-9]+', '-', self.variant.lower()).strip('-')}_{self.budget}{twin}"

    @property
    def records(self) -> list[Record]:
        return [record for row in self.rows for record in row.records]

    @property
    def lengths(self) -> list[int]:
        """Lengths other than the trained one, ascending."""
        return sorted(set().union(*(record.lengths for record in self.records)))

    @property
    def points(self) -> list[tuple[int, str]]:
        """(length, metric) of every test set, ascending; the trained length is that of `test/acc`."""
        return sorted([(self.trained_length, ACC), *((length, f"{ACC}@{length}") for length in self.lengths)])

    @property
    def places(self) -> dict[int, float]:
        """Where each length stands on a logarithmic axis; 0, which has no logarithm, a little left of the others."""
        lengths = [length for length, _ in self.points]
        shortest = min(length for length in lengths if length > 0)
        return {length: length or shortest * ZERO_AT for length in lengths}

    @property
    def groups(self) -> list[str]:
        return sorted(set().union(*(record.groups for record in self.records)))

    @property
    def accuracy_metrics(self) -> list[str]:
        """The metric of every test set by ascending length: the last one is the hardest."""
        return [metric for _, metric in self.points] if self.lengths else [ACC]

    @property
    def trained_length(self) -> int:
        """The T that the variant names, as in "symbols, T = 300"."""
        match = re.search(TRAINED_LENGTH, self.variant)
        if match is None:
            raise ValueError(f"variant={self.variant!r} of {self.task} must name the trained length, as in 'T = 300'")
        return int(match[1])

    def floors(self) -> list[tuple[str, float, float]]:
        """(name, lowest, highest) over the records, ascending; the two differ where test data does."""
        values: dict[str, list[float]] = defaultdict(list)
        for record in self.records:
            for name, value in record.floors.items():
                values[name.replace("_", " ")].append(value)
        return sorted(((name, min(found), max(found)) for name, found in values.items()), key=lambda f: (f[2], f[0]))

    def best_floor(self) -> float | None:
        return max((highest for _, _, highest in self.floors()), default=None)

    def num_examples(self, metric: str) -> list[int]:
        """Numbers of test examples behind a metric; more than one if records differ."""
        return sorted({num_examples(record, metric) for record in self.records if metric in record.metrics})

    def num_sequences(self, metric: str) -> list[int]:
        """Numbers of independent test sequences behind a metric; more than one if records differ."""
        return sorted({num_sequences(record, metric) for record in self.records if metric in record.metrics})

    @property
    def drawn(self) -> list[Row]:
        """The rows that figures show: of a model with rows of several seeds those alone."""
        several = {row.model for row in self.rows if len(row.records) > 1}
        return [row for row in self.rows if row.model not in several or len(row.records) > 1]

    def memory(self, row: Row) -> list[tuple[int, float]]:
        """(length, bytes): most in use while the row's seeds were tested at it, the median; older records have none."""
        names = [(length, metric.replace(ACC, "peak_bytes/test")) for length, metric in self.points]
        return [(length, used) for length, name in names if (used := middle(row.records, "memory", name)) is not None]

    @property
    def has_memory(self) -> bool:
        """Whether a row was measured at several lengths."""
        return bool(self.lengths) and any(len(self.memory(row)) > 1 for row in self.drawn)

    def namesakes(self, row: Row, among: Sequence[Row] | None = None) -> list[Row]:
        """All configurations of the row's model, its own among them."""
        return [other for other in (self.rows if among is None else among) if other.model == row.model]

    def label(self, row: Row) -> str:
        """The row's model, with its hash where the section has another configuration of it."""
        return f"{row.model} {row.config_hash}" if len(self.namesakes(row)) > 1 else row.model

    def distinction(self, row: Row) -> str:
        """The settings in which a row differs from its namesakes: what its hash stands for."""
        own, others = row.settings(), [other.settings() for other in self.namesakes(row)]
        keys = sorted(set(own).union(*others))
        return ", ".join(
            f"{key} = {own.get(key, 'not set')}"
            for key in keys
            if any(other.get(key) != own.get(key) for other in others)
        )


def anchor(title: str) -> str:
    """The name under which code hosts link a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def make_sections(records: list[Record]) -> list[Section]:
    """Sections in the declared order of tasks, then by variant and budget; those with one seed a row after all others.

    Rows by accuracy at the longest length of the section, then at the trained one, then by name. At the longest length
    all rows without a seed above the floor count as equal; those not tested there stand last.
    """
    sections = []
    for (_, variant, budget), members in grouped(records, lambda r: (task_rank(r.task), r.variant, r.budget)):
        rows = [
            Row(model=model, config_hash=seeds[0].config_hash, records=sorted(seeds, key=lambda r: r.seed))
            for (model, _), seeds in grouped(members, lambda r: (r.model, r.computes))
        ]
        unsorted = Section(task=members[0].task, variant=variant, budget=budget, rows=rows)
        hardest, floor = unsorted.accuracy_metrics[-1], unsorted.best_floor()
        rows.sort(key=lambda row: (-_told(row, hardest, floor), -_mean(row, ACC), row.model, row.config_hash))
        sections.append(unsorted)
    sections.sort(key=lambda section: all(len(row.records) == 1 for row in section.rows))
    named: Counter[str] = Counter()
    for place, section in enumerate(sections):
        named[section.slug] += 1
        sections[place] = replace(section, twin=named[section.slug] - 1)
    return sections


def _mean(row: Row, metric: str) -> float:
    summary = row.summary(metric)
    return -1.0 if summary is None else summary.mean


def _told(row: Row, metric: str, floor: float | None) -> float:
    """The mean accuracy; the floor where no seed lies above it, as what is left there is noise."""
    above = None if floor is None else row.seeds_above(floor, metric)
    return floor if floor is not None and above is not None and above[0] == 0 else _mean(row, metric)
