"""Counter-based random numbers: number n of a stream is a hash of (key, n), so any of them can be had in any order.

This is splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), whose state
is a plain counter. The same lines serve NumPy arrays and, compiled by Numba in numba_rng.py, single numbers.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: the step of the counter
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


def mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bijective scramble of 64 bits: every output bit depends on every input bit."""
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


def below(word: NDArray[np.uint64], n: np.uint64) -> NDArray[np.uint64]:
    """Map random words to 0 .. n - 1 by their upper 32 bits; no value is favoured by more than n / 2**32."""
    return ((word >> _32) * n) >> _32


def stream_key(*parts: int | str) -> int:
    """64-bit key of a stream, a pure function of its name, e.g. `stream_key(seed, "val")`."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little")


def random_words(key: int, index: NDArray[np.int64], num_words: int, *, first: int = 0) -> NDArray[np.uint64]:
    """Words first .. first + num_words - 1 of the streams (key, index).

    Shapes:  index (B,) -> (B, num_words)
    """
    return random_words_at(key, index, np.arange(first, first + num_words)[None])


def random_words_at(
    key: int | NDArray[np.uint64], index: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Words `places` of the streams (key, index).

    Shapes:  key one for all rows or (B,); index (B,); places (B, K), or (1, K) for all rows -> (B, K)
    """
    start = mix64(np.asarray(key, dtype=np.uint64) ^ mix64((index.astype(np.uint64) + np.uint64(1)) * GOLDEN))
    steps = (places.astype(np.uint64) + np.uint64(1)) * GOLDEN
    return mix64(start[:, None] + steps)
