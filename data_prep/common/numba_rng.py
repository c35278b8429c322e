"""The random numbers of counter_rng.py, one at a time inside compiled generators."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.common import counter_rng
from data_prep.common.counter_rng import GOLDEN

Word = np.uint64
mix64 = cast(Callable[[np.uint64], np.uint64], njit(counter_rng.mix64, inline="always"))
below = cast(Callable[[np.uint64, np.uint64], np.uint64], njit(counter_rng.below, inline="always"))


@njit(cache=True, nogil=True)
def next_word(state: NDArray[np.uint64]) -> Word:
    """Next random word of the stream whose counter is state[0]."""
    state[0] += GOLDEN
    return mix64(state[0])


@njit(cache=True, nogil=True)
def next_below(state: NDArray[np.uint64], n: int) -> int:
    """Next random number 0 .. n - 1 of the stream whose counter is state[0]."""
    return int(np.int64(below(next_word(state), np.uint64(n))))


@njit(cache=True, nogil=True)
def chain(key: int | np.uint64, part: int) -> Word:
    """Key of a sub-stream: example_key = chain(chain(chain(0, seed), split), index)."""
    return mix64((np.uint64(key) ^ np.uint64(part)) + GOLDEN)


@njit(cache=True, nogil=True)
def example_key(seed: int, split: int, index: int) -> Word:
    """Key of one example: all that a generator may draw from."""
    return chain(chain(chain(0, seed), split), index)
