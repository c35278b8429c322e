"""Random numbers for many rows at once, each row from a stream of its own."""

import numpy as np
from numpy.typing import NDArray

from data_prep.common.counter_rng import below, random_words
from lra_mru.tasks.sampling import Rows


class Draws:
    """The next random numbers of every row of `index`: a pure function of (key, row) and of the calls before.

    Shapes:  index (B,)
    """

    def __init__(self, key: int, index: Rows) -> None:
        self.key, self.index = key, index
        self._used = 0

    def integers(self, n: int, count: int) -> NDArray[np.int64]:
        """Uniform on 0 .. n - 1: (B, count)."""
        return below(self._words(count), np.uint64(n)).view(np.int64)

    def uniforms(self, count: int) -> NDArray[np.float32]:
        """Uniform on [0, 1), in steps of 2**-24: (B, count)."""
        return (self._words(count) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)

    def subsets(self, n: int, count: int) -> NDArray[np.int64]:
        """`count` different numbers of 0 .. n - 1, ascending, every such set equally likely: (B, count).

        Source: R. W. Floyd's sampling (Bentley, "Programming pearls", CACM 30(9), 1987), one draw per number.
        """
        chosen = np.full((len(self.index), count), -1, dtype=np.int64)
        for i, last in enumerate(range(n - count, n)):
            drawn = self.integers(last + 1, 1)
            chosen[:, i] = np.where((chosen == drawn).any(axis=1), last, drawn[:, 0])
        return np.sort(chosen, axis=1)

    def fill_normal(self, values: NDArray[np.float32]) -> None:
        """Overwrite (B, ...) with N(0, 1). The only numbers that do not come from the counter: call it once."""
        NormalStreams(self.key, self.index).fill(values)

    def _words(self, count: int) -> NDArray[np.uint64]:
        words = random_words(self.key, self.index, count, first=self._used)
        self._used += count
        return words


class NormalStreams:
    """An endless stream of N(0, 1) for every row of `index`; parts of any size give the numbers of one whole part.

    Shapes:  index (B,)
    """

    def __init__(self, key: int, index: Rows) -> None:
        self.generators = [np.random.Generator(np.random.SFC64([key, i])) for i in index.tolist()]

    def fill(self, values: NDArray[np.float32]) -> None:
        """Overwrite (B, ...), each row contiguous, with the next numbers of each stream."""
        for row, generator in zip(values, self.generators, strict=True):
            generator.standard_normal(out=row, dtype=np.float32)
