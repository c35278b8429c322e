"""Random words are a function of (key, row, column), uniform, and without likeness between neighbours."""

import numpy as np
from scipy.stats import chisquare

from data_prep.common.counter_rng import GOLDEN, below, mix64, random_words, stream_key


def test_any_part_can_be_had_alone() -> None:
    whole = random_words(5, np.arange(20), 30)
    assert np.array_equal(random_words(5, np.array([7, 3]), 4, first=11), whole[[7, 3], 11:15])


def test_words_differ_over_keys_rows_and_columns() -> None:
    words = np.concatenate([random_words(key, np.arange(100), 100).ravel() for key in range(10)])
    assert len(np.unique(words)) == 100_000


def test_splitmix64_as_published() -> None:
    """First outputs of the reference implementation for seed 0: with mix64 and GOLDEN nothing else is splitmix64."""
    counters = np.arange(1, 4, dtype=np.uint64) * GOLDEN
    assert [hex(word) for word in mix64(counters)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


def test_below_is_uniform_along_rows_and_columns() -> None:
    draws = below(random_words(1, np.arange(700), 700), np.uint64(7)).astype(np.int64)
    assert draws.min() == 0
    assert draws.max() == 6
    assert chisquare(np.bincount(draws.ravel(), minlength=7)).pvalue > 0.001
    for neighbours in (draws[:, 1:] * 7 + draws[:, :-1], draws[1:] * 7 + draws[:-1]):
        assert chisquare(np.bincount(neighbours.ravel(), minlength=49)).pvalue > 0.001


def test_streams_have_their_own_keys() -> None:
    keys = {stream_key("copy_first", split, seed) for split in ("train", "val", "test") for seed in range(100)}
    assert len(keys) == 300
