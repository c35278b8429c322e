"""ListOps trees: drawn, evaluated and sorted into splits in one pass, as token arrays.

The distribution is that of the official generator (google-research/long-range-arena cd31e5c,
lra_benchmarks/data/listops.py, max_depth 10, max_args 10). A node at level d (the root is level 1) is

    a list with probability 1/4 if d < max_depth, else a digit 0 .. 9, uniform
    list:    operator uniform in MIN MAX MED SM, number of arguments uniform in 2 .. max_args
    value:   MED is the mean of the two middle values cut down, SM is the sum mod 10
    length:  digits + operators + closing brackets; a tree is kept if min_length < length < max_length

A tree whose root is a digit is never drawn: it has length 1, which every range allowed here refuses.

What differs: example i of a split is a pure function of (seed, split, i). Attempt 0, 1, 2 ... is drawn until the
length fits and the tree belongs to the split; to which split a tree belongs is a hash of its content, so that no
tree can stand in two, whatever the seeds. (The official program removes duplicates, and deals out a Python set in
hash order: it cannot be repeated.)
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.counter_rng import GOLDEN, below, mix64

TOKENS = [*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]"]  # token id = position; there is no padding token
OPERATORS = ["MIN", "MAX", "MED", "SM"]
MIN, MAX, MED, SM, CLOSE = 10, 11, 12, 13, 14

SPLITS = ["train", "val", "test"]
TRAIN, VAL, TEST = 0, 1, 2
NUM_BUCKETS = 50  # of tree hashes: 1 for val, 1 for test, 48 for train, as 2,000 : 2,000 : 96,000
MAX_ATTEMPTS = 1_000_000  # the official ranges need about 3 for a training tree, 150 for a validation tree

_mix64 = cast(Callable[[np.uint64], np.uint64], njit(mix64, inline="always"))
_below = cast(Callable[[np.uint64, np.uint64], np.uint64], njit(below, inline="always"))


@njit(cache=True)
def _next_below(state: NDArray[np.uint64], n: int) -> int:
    """Next random number 0 .. n - 1 of the stream whose counter is state[0]."""
    state[0] += GOLDEN
    return int(np.int64(_below(_mix64(state[0]), np.uint64(n))))


@njit(cache=True)
def _chain(key: int | np.uint64, part: int) -> np.uint64:
    return _mix64((np.uint64(key) ^ np.uint64(part)) + GOLDEN)


@njit(cache=True)
def apply_operator(operator: int, counts: NDArray[np.int64]) -> int:
    """Value of an operator on a bag of digits; counts[v] says how often digit v is in it, at least one in all."""
    num_args, total = 0, 0
    for value in range(10):
        num_args += counts[value]
        total += value * counts[value]
    if operator == SM:
        return total % 10
    if operator == MIN:
        low = high = 0
    elif operator == MAX:
        low = high = num_args - 1
    else:
        low, high = (num_args - 1) // 2, num_args // 2
    ranked, seen = 0, 0  # sum of the values at ranks low and high
    for value in range(10):
        ranked += value * ((seen <= low < seen + counts[value]) + (seen <= high < seen + counts[value]))
        seen += counts[value]
    return ranked // 2


@njit(cache=True)
def _draw_tree(
    state: NDArray[np.uint64],
    min_length: int,
    max_length: int,
    max_depth: int,
    max_args: int,
    tokens: NDArray[np.uint8],
) -> tuple[int, int]:
    """Draw one tree into tokens -> (length, value), or (0, 0) as soon as its length cannot fit."""
    operators = np.empty(max_depth, np.int64)  # of the lists still open, outermost first
    missing = np.empty(max_depth, np.int64)  # arguments they still wait for
    counts = np.empty((max_depth, 10), np.int64)  # values they have got
    depth, length, pending = 0, 0, 1  # pending: the fewest tokens still to come
    while True:
        if depth == 0 or (depth + 1 < max_depth and _next_below(state, 4) == 0):
            num_args = 2 + _next_below(state, max_args - 1)
            operators[depth] = MIN + _next_below(state, 4)
            missing[depth] = num_args
            counts[depth] = 0
            tokens[length] = operators[depth]
            depth, length, pending = depth + 1, length + 1, pending + num_args
            if length + pending >= max_length:
                return 0, 0
            continue
        value = _next_below(state, 10)
        tokens[length] = value
        length, pending = length + 1, pending - 1
        while True:  # hand the value to its list; a list that is full has a value in turn
            counts[depth - 1, value] += 1
            missing[depth - 1] -= 1
            if missing[depth - 1] > 0:
                break
            value = apply_operator(operators[depth - 1], counts[depth - 1])
            tokens[length] = CLOSE
            depth, length, pending = depth - 1, length + 1, pending - 1
            if depth == 0:
                return (length, value) if length > min_length else (0, 0)


@njit(cache=True)
def tree_hash(tokens: NDArray[np.uint8]) -> np.uint64:
    """64-bit hash of a tree's content (FNV-1a, then mixed); independent of every seed."""
    h = np.uint64(0xCBF29CE484222325)
    for token in tokens:
        h = (h ^ np.uint64(token)) * np.uint64(0x100000001B3)
    return _mix64(h)


@njit(cache=True)
def split_of(content: np.uint64) -> int:
    """The one split in which a tree of this hash may stand."""
    bucket = content % np.uint64(NUM_BUCKETS)
    return VAL if bucket == 0 else TEST if bucket == 1 else TRAIN


@njit(cache=True)
def draw_rows(
    seed: int,
    split: int,
    first: int,
    min_length: int,
    max_length: int,
    max_depth: int,
    max_args: int,
    tokens: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    labels: NDArray[np.uint8],
    hashes: NDArray[np.uint64],
) -> int:
    """Fill row i of the buffers with example first + i of a split -> number of rows found.

    It stops early, at the first example for which MAX_ATTEMPTS trees did not do.

    Shapes:  tokens (rows, max_length); lengths, labels, hashes (rows,)
    """
    state = np.empty(1, np.uint64)
    for i in range(len(lengths)):
        example = _chain(_chain(_chain(0, seed), split), first + i)
        for attempt in range(MAX_ATTEMPTS):
            state[0] = _chain(example, attempt)
            length, value = _draw_tree(state, min_length, max_length, max_depth, max_args, tokens[i])
            if length == 0:
                continue
            hashes[i] = tree_hash(tokens[i, :length])
            if split_of(hashes[i]) == split:
                lengths[i] = length
                labels[i] = value
                break
        else:
            return i
    return len(lengths)
