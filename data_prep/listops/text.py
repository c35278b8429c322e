"""ListOps as text: the official files, a tree written as nested pairs.

[MAX 3 4 ]   is   ( ( ( [MAX 3 ) 4 ) ] )      one pair of parentheses per argument, and one for the bracket
"""

from collections.abc import Iterable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.listops.generate import CLOSE, MIN, TOKENS

HEADER = b"Source\tTarget\r\n"
MAX_BYTES = 9  # of a token: "[MIN " and its share of parentheses, "( " and ") "

_NAMES = np.zeros((4, 5), np.uint8)  # operators, each ended by blanks
for _row, _name in zip(_NAMES, TOKENS[MIN:CLOSE], strict=True):
    _row[:] = np.frombuffer(_name.ljust(5).encode(), np.uint8)
_NAME_BYTES = np.array([len(name) + 1 for name in TOKENS[MIN:CLOSE]])
BLANK, OPEN_PAIR, CLOSE_PAIR, TAB, ZERO, BRACKET, RETURN, FEED = (ord(character) for character in " ()\t0]\r\n")


def to_tsv(tokens: NDArray[np.uint8], lengths: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows as the official program writes them: tab between columns, CRLF at line ends.

    Shapes:  tokens (sum of lengths,), row after row; lengths, labels (rows,) -> (bytes,), ASCII
    """
    text = np.empty(MAX_BYTES * len(tokens) + 3 * len(lengths), np.uint8)
    return text[: _write(tokens, lengths, labels, text)]


def to_text(tokens: Iterable[int]) -> str:
    """Token ids of one tree -> its official text."""
    tree = np.fromiter(tokens, np.uint8)
    return to_tsv(tree, np.array([len(tree)]), np.zeros(1, np.uint8)).tobytes().decode().partition("\t")[0]


@njit(cache=True, nogil=True)
def _write(
    tokens: NDArray[np.uint8], lengths: NDArray[np.int64], labels: NDArray[np.uint8], text: NDArray[np.uint8]
) -> int:
    """Write the lines into text -> number of bytes."""
    start, at = 0, 0
    for row in range(len(lengths)):
        tree = tokens[start : start + lengths[row]]
        at += _write_tree(tree, text[at:]) - 1  # without the last blank
        text[at], text[at + 1], text[at + 2], text[at + 3] = TAB, ZERO + labels[row], RETURN, FEED
        at += 4
        start += lengths[row]
    return at


@njit(cache=True, nogil=True)
def _write_tree(tree: NDArray[np.uint8], text: NDArray[np.uint8]) -> int:
    num_args = _arguments(tree)
    depth, at = 0, 0
    for i in range(len(tree)):
        token = tree[i]
        if MIN <= token < CLOSE:
            for _ in range(num_args[i] + 1):
                text[at], text[at + 1] = OPEN_PAIR, BLANK
                at += 2
            for byte in range(5):
                text[at + byte] = _NAMES[token - MIN, byte]
            at += _NAME_BYTES[token - MIN]
            depth += 1
            continue
        text[at], text[at + 1] = BRACKET if token == CLOSE else ZERO + token, BLANK
        at += 2
        if token == CLOSE:
            text[at], text[at + 1] = CLOSE_PAIR, BLANK
            at += 2
            depth -= 1
        if depth > 0:  # an argument of the list around it
            text[at], text[at + 1] = CLOSE_PAIR, BLANK
            at += 2
    return at


@njit(cache=True, nogil=True)
def _arguments(tree: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number of arguments of the list that opens at each token, 0 where none does: (L,)."""
    num_args = np.zeros(len(tree), np.int64)
    opened = np.empty(len(tree), np.int64)  # where the lists still open begin, outermost first
    depth = 0
    for i in range(len(tree)):
        if tree[i] == CLOSE:
            depth -= 1
            continue
        if depth > 0:
            num_args[opened[depth - 1]] += 1
        if tree[i] >= MIN:
            opened[depth] = i
            depth += 1
    return num_args
