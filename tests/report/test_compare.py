"""Which row is better: the statistic against scipy and against simulation, and what the bold of the overview means."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lra_mru.report.compare import Estimate, best_of, estimate, probability_better
from lra_mru.report.load import load_records
from lra_mru.report.rows import Row
from lra_mru.report.sections import make_sections

WriteRecord = Callable[..., Path]


def of(values: list[float], test_variance: float = 0.0) -> Estimate:
    variance = float(np.var(values, ddof=1)) / len(values)
    mean = float(np.mean(values))
    return Estimate(mean=mean, seed_variance=variance, test_variance=test_variance, degrees=len(values) - 1)


def test_without_test_noise_it_is_the_test_of_welch() -> None:
    a, b = [0.80, 0.83, 0.85], [0.70, 0.79, 0.81, 0.77]
    one_sided = stats.ttest_ind(a, b, equal_var=False, alternative="less").pvalue
    assert probability_better(of(a), of(b)) == pytest.approx(one_sided)
    assert probability_better(of(a), of(b)) + probability_better(of(b), of(a)) == pytest.approx(1)


def test_seeds_that_agree_are_told_apart_by_the_size_of_the_test_set_alone() -> None:
    a, b = of([0.9, 0.9, 0.9], 0.0009), of([0.8, 0.8, 0.8], 0.0016)
    assert probability_better(a, b) == pytest.approx(stats.norm.cdf(0.1 / 0.05))


def test_of_two_equal_models_noise_seldom_makes_a_winner() -> None:
    """Three seeds each, all on one test set of 64: at most 2.5 % of such pairs may seem decided in a's favour."""
    rng = np.random.default_rng(0)
    decided = 0
    for _ in range(2000):
        truth = np.clip(rng.normal(0.8, 0.05, (2, 3)), 0, 1)
        values = rng.binomial(64, truth) / 64
        a, b = (of(list(v), v.mean() * (1 - v.mean()) / 64) for v in values)
        decided += probability_better(a, b) >= 0.975
    assert decided / 2000 < 0.025


def row_of(results: Path) -> Row:
    return make_sections(load_records(results))[0].rows[0]


def test_all_right_on_a_small_test_set_is_not_certainty(results: Path, write_record: WriteRecord) -> None:
    for seed in range(3):
        config = {"task": {"num_test": 16, "eval_lengths": [3000], "eval_examples": [16]}}
        write_record(seed=seed, config=config, metrics={"test/acc@3000": 1.0, "test/num_examples@3000": 16})
    found = estimate(row_of(results), "test/acc@3000")
    assert found is not None
    assert (found.mean, found.seed_variance) == (18 / 20, 0.0)
    assert found.test_variance == pytest.approx(18 / 20 * 2 / 20 / 20)


def test_two_of_two_against_none_of_two_is_not_sure(results: Path, write_record: WriteRecord) -> None:
    config = {"task": {"eval_lengths": [3000], "eval_examples": [2]}}
    for seed in range(3):
        for model, far in {"bmru": 1.0, "lru": 0.0}.items():
            write_record(
                model=model, seed=seed, config=config, metrics={"test/acc@3000": far, "test/num_examples@3000": 2}
            )
    (section,) = make_sections(load_records(results))
    better, worse = (estimate(row, "test/acc@3000") for row in section.rows)
    assert better is not None
    assert worse is not None
    assert probability_better(better, worse) == pytest.approx(stats.norm.cdf((4 - 2) / 6 / (2 * 2 / 9 / 6) ** 0.5))


def test_one_seed_cannot_be_compared(results: Path, write_record: WriteRecord) -> None:
    write_record()
    assert estimate(row_of(results), "test/acc") is None


def test_the_best_and_what_it_cannot_be_told_from() -> None:
    found = {"a": of([0.90, 0.91, 0.92]), "b": of([0.89, 0.90, 0.92]), "c": of([0.50, 0.51, 0.52])}
    assert best_of(found) == {"a", "b"}
    assert best_of({}) == set()
