"""Random numbers for many rows at once, each row from a stream of its own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.common.counter_rng import below, random_words_at
from lra_mru.tasks.sampling import Rows

Key = int | NDArray[np.uint64]  # one for all rows, or one for each: (B,)


class Draws:
    """The next random numbers of every row of `index`: a pure function of (key, row) and of the calls before.

    Shapes:  index (B,)
    """

    def __init__(self, key: Key, index: Rows) -> None:
        self.key, self.index = key, index
        self._used = 0

    def block(self, count: int) -> "Block":
        """Set aside the next `count` numbers of every row, to be had later, in any parts."""
        self._used += count
        return Block(self.key, self.index, self._used - count)

    def integers(self, n: int, count: int) -> NDArray[np.int64]:
        """Uniform on 0 .. n - 1: (B, count)."""
        return self.block(count).integers(n, 0, count)

    def uniforms(self, count: int) -> NDArray[np.float32]:
        """Uniform on [0, 1), in steps of 2**-24: (B, count)."""
        return self.block(count).uniforms(0, count)

    def subsets(self, n: int, count: int) -> NDArray[np.int64]:
        """`count` different numbers of 0 .. n - 1, ascending, every such set equally likely: (B, count).

        Source: R. W. Floyd's sampling (Bentley, "Programming pearls", CACM 30(9), 1987), one draw per number.
        """
        chosen = np.full((len(self.index), count), -1, dtype=np.int64)
        for i, last in enumerate(range(n - count, n)):
            drawn = self.integers(last + 1, 1)
            chosen[:, i] = np.where((chosen == drawn).any(axis=1), last, drawn[:, 0])
        return np.sort(chosen, axis=1)

    def normals(self) -> "NormalStreams":
        """N(0, 1), as many as are asked for. The only numbers that do not come from the counter: call it once."""
        return NormalStreams(self.key, self.index)


@dataclass(frozen=True)
class Block:
    """Consecutive numbers of every row's stream, from number `start` on."""

    key: Key
    index: Rows
    start: int

    def integers(self, n: int, first: int, last: int) -> NDArray[np.int64]:
        """Numbers first .. last - 1 of the block, uniform on 0 .. n - 1: (B, last - first)."""
        return self.integers_at(n, np.arange(first, last)[None])

    def uniforms(self, first: int, last: int) -> NDArray[np.float32]:
        """Numbers first .. last - 1 of the block, uniform on [0, 1), in steps of 2**-24: (B, last - first)."""
        return self.uniforms_at(np.arange(first, last)[None])

    def integers_at(self, n: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers `places` of the block, (B, K) or (1, K) for all rows, uniform on 0 .. n - 1: (B, K)."""
        return below(self._words(places), np.uint64(n)).view(np.int64)

    def uniforms_at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Numbers `places` of the block, (B, K) or (1, K) for all rows, uniform on [0, 1): (B, K)."""
        return (self._words(places) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)

    def _words(self, places: NDArray[np.int64]) -> NDArray[np.uint64]:
        return random_words_at(self.key, self.index, places + self.start)


class NormalStreams:
    """An endless stream of N(0, 1) for every row of `index`; parts of any size give the numbers of one whole part.

    Shapes:  index (B,)
    """

    def __init__(self, key: Key, index: Rows) -> None:
        keys = np.broadcast_to(np.asarray(key, dtype=np.uint64), index.shape)
        self.generators = [
            np.random.Generator(np.random.SFC64([key, row]))
            for key, row in zip(keys.tolist(), index.tolist(), strict=True)
        ]

    def fill(self, values: NDArray[np.float32]) -> None:
        """Overwrite (B, ...), each row contiguous, with the next numbers of each stream."""
        for row, generator in zip(values, self.generators, strict=True):
            generator.standard_normal(out=row, dtype=np.float32)
