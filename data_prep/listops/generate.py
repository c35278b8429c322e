"""ListOps trees: drawn, evaluated and dealt out to splits in one pass, as token arrays.

The distribution is that of the official generator (google-research/long-range-arena cd31e5c,
lra_benchmarks/data/listops.py, max_depth 10, max_args 10). A node at level d (the root is level 1) is

    a list with probability 1/4 if d < max_depth, else a digit 0 .. 9, uniform
    list:    operator uniform in MIN MAX MED SM, number of arguments uniform in 2 .. max_args
    value:   MED is the mean of the two middle values cut down, SM is the sum mod 10
    length:  digits + operators + closing brackets; a tree is kept if min_length < length < max_length

A tree whose root is a digit is never drawn: it has length 1, which every range allowed here refuses.

What differs: example i of a split is a pure function of (seed, split, i), and no tree can stand in two splits,
whatever the seeds and sizes. (The official program removes duplicates, and deals out a Python set in hash order: it
cannot be repeated.) The last digit of a tree is a check digit. With c = hash of all tokens before it, mod 10,

    last digit = c: validation      c + 1: test      any other of the ten: training      (mod 10)

so that the split can be read off the tree itself; drawing costs the same for all three, as no tree is thrown away
for its split. To any reader who does not compute the hash, the digit is uniform as all others are.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.common.numba_rng import below, chain, example_key, mix64, next_below, next_word
from data_prep.common.splits import FNV_OFFSET, FNV_PRIME, TRAIN, VAL

TOKENS = [*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]"]  # token id = position; there is no padding token
OPERATORS = ["MIN", "MAX", "MED", "SM"]
MIN, MAX, MED, SM, CLOSE = 10, 11, 12, 13, 14

MAX_ATTEMPTS = 1_000_000  # trees drawn for one example; the official range needs about 3


@njit(cache=True, nogil=True)
def apply_operator(operator: int, counts: NDArray[np.int64]) -> int:
    """Value of an operator on a bag of digits; counts[v] says how often digit v is in it, at least one in all."""
    num_args, total = 0, 0
    for value in range(10):
        num_args += counts[value]
        total += value * counts[value]
    if operator == SM:
        return total % 10
    if operator == MIN:
        return _ranked(counts, 0)
    if operator == MAX:
        return _ranked(counts, num_args - 1)
    return (_ranked(counts, (num_args - 1) // 2) + _ranked(counts, num_args // 2)) // 2


@njit(cache=True, nogil=True)
def _ranked(counts: NDArray[np.int64], rank: int) -> int:
    """The digit at this rank of a bag, 0 the lowest."""
    value, seen = 0, counts[0]
    while seen <= rank:
        value += 1
        seen += counts[value]
    return value


@njit(cache=True, nogil=True)
def _check_digit(state: NDArray[np.uint64], content: np.uint64, split: int) -> int:
    """Last digit of a tree of this split; content: hash of all tokens before it."""
    offset = 2 + next_below(state, 8) if split == TRAIN else split - VAL
    return (int(np.int64(below(mix64(content), np.uint64(10)))) + offset) % 10


@njit(cache=True, nogil=True)
def _draw_tree(
    state: NDArray[np.uint64],
    split: int,
    min_length: int,
    max_length: int,
    max_depth: int,
    max_args: int,
    tokens: NDArray[np.uint8],
) -> tuple[int, int, np.uint64]:
    """Draw one tree into tokens -> (length, value, hash of its content), or (0, 0, 0) once its length cannot fit."""
    operators = np.empty(max_depth, np.int64)  # of the lists still open, outermost first
    missing = np.empty(max_depth, np.int64)  # arguments they still wait for
    counts = np.empty((max_depth, 10), np.int64)  # values they have got
    depth, length, pending = 0, 0, 1  # pending: the fewest tokens still to come
    content = FNV_OFFSET
    while True:
        word = next_word(state)  # upper half: which node; lower half: which list
        node = int(np.int64(below(word, np.uint64(40))))
        if depth == 0 or (node < 10 and depth + 1 < max_depth):
            lower = int(np.int64(word & np.uint64(0xFFFFFFFF)))
            num_args = 2 + (((lower >> 2) * (max_args - 1)) >> 30)
            operators[depth] = MIN + (lower & 3)
            missing[depth] = num_args
            counts[depth] = 0
            tokens[length] = operators[depth]
            content = (content ^ np.uint64(tokens[length])) * FNV_PRIME
            depth, length, pending = depth + 1, length + 1, pending + num_args
            if length + pending >= max_length:
                return 0, 0, content
            continue
        is_last = pending == depth + 1  # this digit and the closing brackets
        value = _check_digit(state, content, split) if is_last else node % 10
        tokens[length] = value
        content = (content ^ np.uint64(value)) * FNV_PRIME
        length, pending = length + 1, pending - 1
        while True:  # hand the value to its list; a list that is full has a value in turn
            counts[depth - 1, value] += 1
            missing[depth - 1] -= 1
            if missing[depth - 1] > 0:
                break
            value = apply_operator(operators[depth - 1], counts[depth - 1])
            tokens[length] = CLOSE
            content = (content ^ np.uint64(CLOSE)) * FNV_PRIME
            depth, length, pending = depth - 1, length + 1, pending - 1
            if depth == 0:
                return (length, value, mix64(content)) if length > min_length else (0, 0, content)


@njit(cache=True, nogil=True)
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
) -> tuple[int, int]:
    """Draw examples first, first + 1, ... of a split, one row after the other -> (rows, tokens) written.

    It stops early, at the first example for which MAX_ATTEMPTS trees did not do.

    Shapes:  tokens (rows * max_length,), of which the front is used; lengths, labels, hashes (rows,)
    """
    state = np.empty(1, np.uint64)
    used = 0
    for i in range(len(lengths)):
        example = example_key(seed, split, first + i)
        for attempt in range(MAX_ATTEMPTS):
            state[0] = chain(example, attempt)
            length, value, content = _draw_tree(
                state, split, min_length, max_length, max_depth, max_args, tokens[used : used + max_length]
            )
            if length > 0:
                lengths[i], labels[i], hashes[i] = length, value, content
                used += length
                break
        else:
            return i, used
    return len(lengths), used
