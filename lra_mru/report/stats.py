"""Mean over seeds and its 95 % interval."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev, variance

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A quantity over seeds.

    mean:       arithmetic mean
    half_width: half of the 95 % interval of the mean (Student t); None for one seed, which has no interval
    per_seed:   value by seed, in the order of the seeds
    """

    mean: float
    half_width: float | None
    per_seed: dict[int, float]

    @property
    def n(self) -> int:
        return len(self.per_seed)

    @property
    def variance(self) -> float:
        """Of one seed, estimated from all. Raises: StatisticsError for one seed"""
        return variance(self.per_seed.values())


def summarise(per_seed: Mapping[int, float]) -> Summary:
    """Mean and 95 % interval of values keyed by seed.

        half_width = t(0.975, n - 1) * s / sqrt(n)

    The interval covers what changes with the seed. It is not cut at 0 or 100 %: an interval that runs beyond says that
    there are too few seeds.
    Raises:  ValueError if there is no value
    """
    if not per_seed:
        raise ValueError("per_seed={} has no value: give at least one seed")
    values = [per_seed[seed] for seed in sorted(per_seed)]
    n = len(values)
    half_width = None if n == 1 else t_quantile(n - 1) * stdev(values) / math.sqrt(n)
    return Summary(mean=fmean(values), half_width=half_width, per_seed=dict(sorted(per_seed.items())))


def t_quantile(degrees: int) -> float:
    """The t for which a Student t variable lies within -t..t with probability 0.95.

    Raises:  ValueError for less than one degree of freedom
    """
    if degrees < 1:
        raise ValueError(f"degrees={degrees} must be at least 1")
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
