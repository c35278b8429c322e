import math

import pytest
from scipy import stats

from lra_mru.report.stats import summarise, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 30, 199])
def test_quantile_is_that_of_scipy(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-10)


def test_interval_is_student_t_over_seeds() -> None:
    values = [0.5, 0.6, 0.9]
    summary = summarise(dict(enumerate(values)))
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    assert summary.mean == pytest.approx(2 / 3)
    assert summary.half_width == pytest.approx((high - low) / 2)
    assert summary.n == 3


def test_one_seed_has_no_interval() -> None:
    summary = summarise({7: 0.5})
    assert (summary.mean, summary.half_width, summary.n) == (0.5, None, 1)


def test_interval_is_not_cut_at_the_ends_of_the_scale() -> None:
    summary = summarise({0: 0.9, 1: 1.0})
    assert summary.half_width is not None
    assert summary.mean + summary.half_width > 1.5
    assert summary.mean - summary.half_width < 0.35


def test_order_of_seeds_does_not_matter() -> None:
    assert summarise({2: 0.3, 0: 0.1, 1: 0.2}) == summarise({0: 0.1, 1: 0.2, 2: 0.3})
    assert list(summarise({2: 0.3, 0: 0.1}).per_seed) == [0, 2]


def test_nothing_to_summarise_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        summarise({})
    with pytest.raises(ValueError, match="degrees=0"):
        t_quantile(0)
    assert math.isfinite(t_quantile(1))
