"""Which of two rows is better, and how sure that is: other seeds and another test set might turn the order round."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import ndtr, stdtr

from lra_mru.report.rows import Row, num_sequences
from lra_mru.report.stats import CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean accuracy over seeds, and what it may be off by.

    mean:          over seeds and test sequences, with two right and two wrong sequences added
    seed_variance: of the mean, from the spread of n seeds: s^2 / n
    test_variance: of the mean, because the test set is finite; all seeds share it
    degrees:       of freedom of seed_variance, n - 1
    """

    mean: float
    seed_variance: float
    test_variance: float
    degrees: int


def estimate(row: Row, metric: str) -> Estimate | None:
    """What the records say of a row; None with less than two seeds, whose spread nobody knows.

        mean = q = (m accuracy + 2) / (m + 4),   test_variance = q (1 - q) / (m + 4)         m test sequences

    All targets of a sequence count as one draw. Two right and two wrong sequences are added (Agresti and Coull), so
    that 2 of 2 right is not taken for certainty.
    """
    summary = row.summary(metric)
    if summary is None or summary.n < 2:
        return None
    m = min(num_sequences(record, metric) for record in row.records if metric in record.metrics)
    q = (m * summary.mean + 2) / (m + 4)
    return Estimate(
        mean=q,
        seed_variance=summary.variance / summary.n,
        test_variance=q * (1 - q) / (m + 4),
        degrees=summary.n - 1,
    )


def probability_better(a: Estimate, b: Estimate) -> float:
    """How sure it is that the model of `a` is the better one: 1 less the one-sided p-value of "it is not".

        P = T_nu((mean_a - mean_b) / sqrt(v_a + v_b)),    v = seed_variance + test_variance
        nu = (v_a + v_b)^2 / (seed_variance_a^2 / degrees_a + seed_variance_b^2 / degrees_b)

    T_nu is the distribution function of Student's t: Welch's test, with the noise of a finite test set added. A
    bootstrap over seeds is left out on purpose: of three seeds it can draw ten sets only, and its intervals are too
    narrow. Records do not say which sequences a model got right, so what the two share is not taken off: P is cautious.
    """
    variance = a.seed_variance + a.test_variance + b.seed_variance + b.test_variance
    t = (a.mean - b.mean) / math.sqrt(variance)
    per_degree = a.seed_variance**2 / a.degrees + b.seed_variance**2 / b.degrees
    return float(ndtr(t)) if per_degree == 0 else float(stdtr(variance**2 / per_degree, t))


def best_of(estimates: Mapping[str, Estimate]) -> set[str]:
    """The name with the highest mean, and every name that it does not beat with a probability of at least 97.5 %.

    97.5 % on one side is the usual 95 % on both. Each pair is judged alone.
    """
    if not estimates:
        return set()
    best = max(estimates.values(), key=lambda e: e.mean)
    return {name for name, e in estimates.items() if probability_better(best, e) < (1 + CONFIDENCE) / 2}
