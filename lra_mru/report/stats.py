"""Mean over seeds and its 95 % interval, in plain Python: the same bytes on every machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

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

    Bisection on theta = atan(t / sqrt(degrees)), in which the two-sided probability is a finite sum.
    Source:  Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4
    """
    if degrees < 1:
        raise ValueError(f"degrees={degrees} must be at least 1")
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # each halving gives one bit; a double has 53
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < CONFIDENCE else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _within(theta: float, degrees: int) -> float:
    """P(|t| <= sqrt(degrees) tan(theta)) for a whole number of degrees of freedom."""
    sin, cos = math.sin(theta), math.cos(theta)
    odd = degrees % 2
    term, total = (cos, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, degrees, 2):  # term: product of (k - 1) / k, times a power of cos that grows by 2
        total += term
        term *= k / (k + 1) * cos * cos
    return 2 / math.pi * (theta + sin * total) if odd else sin * total
