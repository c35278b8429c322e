"""A row of the leaderboard: one model configuration over its seeds."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from scipy.special import betainc

from lra_mru.records.naming import computed
from lra_mru.records.proof import proves
from lra_mru.report.load import Record
from lra_mru.report.stats import CONFIDENCE, Summary, summarise


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model configuration; `records` are its seeds, in order."""

    model: str
    config_hash: str
    records: list[Record]

    @property
    def first(self) -> Record:
        """A record to read what all seeds share: parameters, pooling, direction."""
        return self.records[0]

    @property
    def dirty_seeds(self) -> list[int]:
        """Seeds that ran from a working tree with uncommitted changes."""
        return [record.seed for record in self.records if record.dirty]

    def summary(self, metric: str) -> Summary | None:
        """Mean and interval of a metric over the seeds that have it; None where no seed has it."""
        values = {record.seed: record.metrics[metric] for record in self.records if metric in record.metrics}
        return summarise(values) if values else None

    def bound(self, metric: str) -> tuple[str, float] | None:
        """("≥", accuracy) where every answer of every seed was right, ("≤", accuracy) where every one was wrong: what
        95 % of such tests do not cross, as their number of sequences allows; None elsewhere.

            0.05 ** (1 / n), or 1 less that: the one-sided bound of Clopper and Pearson for all or none of n

        It is of these trained models, not of the next seed; all seeds are tested on the same sequences, so more seeds
        do not make n larger.
        """
        records = [record for record in self.records if metric in record.metrics]
        values = {record.metrics[metric] for record in records}
        if values not in ({0.0}, {1.0}):
            return None
        least = (1 - CONFIDENCE) ** (1 / min(num_sequences(record, metric) for record in records))
        return ("≥", least) if values == {1.0} else ("≤", 1 - least)

    @property
    def validation(self) -> float:
        """The mean of all validation accuracies, of further lengths too, which may choose between rows; 0 if none."""
        found = [v for r in self.records for key, v in r.metrics.items() if key.partition("@")[0] == "val/acc"]
        return fmean(found) if found else 0.0

    @property
    def proven_seeds(self) -> list[int]:
        """Seeds with a certificate that they are right on every word, at every length."""
        return [r.seed for r in self.records if r.certificate and proves(r.certificate)]

    def skipped(self, metric: str) -> str | None:
        """Why seeds have no such metric; None if all have it."""
        missing = [record for record in self.records if metric not in record.metrics]
        return "; ".join(sorted({record.skipped.get(metric, "not asked for") for record in missing})) or None

    def seeds_above(self, floor: float, metric: str) -> tuple[int, int] | None:
        """(k, n): k of n seeds lie above the floor, or are proven right at every length. None where that cannot be told
        of any: with so few sequences no accuracy would lie above."""
        tested = [record for record in self.records if metric in record.metrics]
        if not any(can_lie_above(floor, num_sequences(r, metric)) or r.seed in self.proven_seeds for r in tested):
            return None
        above = [
            record.seed in self.proven_seeds or lies_above(record.metrics[metric], floor, num_sequences(record, metric))
            for record in tested
        ]
        return sum(above), len(above)

    def settings(self) -> dict[str, str]:
        """What the config computes, with dotted keys."""
        return dict(_flat(computed(self.first.config)))

    def by_machine(self) -> list[tuple[str, list[Record]]]:
        """Seeds apart by machine: speed and peak memory of two machines have no common mean."""
        return grouped(self.records, lambda record: record.machine)


def middle(records: Iterable[Record], part: str, name: str) -> float | None:
    """Median over records of a number of `throughput` or `memory`; None where none was measured."""
    values = [value for record in records if (value := getattr(record, part).get(name)) is not None]
    return median(values) if values else None


def num_examples(record: Record, metric: str) -> int:
    """Test examples behind an accuracy, of steps or of whole sequences."""
    return int(record.metrics[re.sub(r"(seq_)?acc", "num_examples", metric)])


def num_sequences(record: Record, metric: str) -> int:
    """Independent sequences behind an accuracy: all targets of one sequence are one draw."""
    task, length = record.config.get("task", {}), metric.partition("@")[2]
    if length:
        rows = dict(zip(task.get("eval_lengths", []), task.get("eval_examples", []), strict=False)).get(int(length))
    else:
        rows = task.get("num_test")
    return min(rows or num_examples(record, metric), num_examples(record, metric))


def lies_above(accuracy: float, floor: float, num_sequences: int) -> bool:
    """Whether so many right answers would be rarer than 2.5 % if each sequence were right with the floor's probability.

    P(X >= k) = I_floor(k, n - k + 1),   k = n accuracy        the binomial tail, as an incomplete beta function
    """
    right = accuracy * num_sequences
    return right > 0 and float(betainc(right, num_sequences - right + 1, floor)) <= (1 - CONFIDENCE) / 2


def can_lie_above(floor: float, num_sequences: int) -> bool:
    return lies_above(1.0, floor, num_sequences)


def grouped(members: Iterable[Any], key: Callable[[Any], object]) -> list[tuple]:
    """(key, members with that key) by ascending key."""
    groups: dict[object, list[Any]] = defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return sorted(groups.items(), key=lambda item: item[0])


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value)
