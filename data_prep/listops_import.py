"""Import ListOps files in the official layout: python -m data_prep.listops_import --source DIR --out DIR

DIR holds basic_train.tsv, basic_val.tsv and basic_test.tsv; the Arrow files are those of data_prep.listops. Nothing in
them is believed: every tree must close, and its value is worked out anew. A bad row is named by its line.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.common import program
from data_prep.common.arguments import OneLineParser
from data_prep.common.arrow import write_token_file
from data_prep.common.data_set import Recipe, ensure, sha256
from data_prep.common.program import Clock
from data_prep.common.splits import SPLITS
from data_prep.listops.generate import CLOSE, MIN, TOKENS, apply_operator
from data_prep.listops.text import BLANK, CLOSE_PAIR, FEED, HEADER, OPEN_PAIR, RETURN, TAB, ZERO

VERSION = 1
OK, NO_TOKEN, BRACKETS, PARENTHESES, NO_LABEL, WRONG_LABEL = range(6)
SAYS = {
    NO_TOKEN: "a word that is no digit, operator, bracket or parenthesis",
    BRACKETS: "unbalanced brackets",
    PARENTHESES: "unbalanced parentheses",
    NO_LABEL: "no label 0 .. 9 after a tab",
    WRONG_LABEL: "the label is not the value of the tree",
}
_WORD_SIZES = np.array([len(name) for name in TOKENS[MIN:]])
_WORDS = np.array([list(name.ljust(4).encode()) for name in TOKENS[MIN:]], np.uint8)  # operators and the bracket


def import_listops(folder: Path, source: Path, *, clock: Clock) -> bool:
    """Make the data set from the three files of `source` unless it is there -> whether it was made.

    Raises: ValueError for a file that is not there, or that holds a bad row
    """
    files = {split: source / f"basic_{split}.tsv" for split in SPLITS}
    if absent := [str(path) for path in files.values() if not path.is_file()]:
        raise ValueError(f"source={source}: there is no {', '.join(absent)}")
    digests = {split: sha256(path) for split, path in files.items()}

    def write(folder: Path) -> dict[str, Any]:
        rows = {}
        with clock.making("ListOps", 0) as advance:
            for split, path in files.items():
                tokens, lengths, labels = read_tsv(path)
                write_token_file(folder / f"{split}.arrow", tokens=tokens, lengths=lengths, labels=labels)
                rows[split] = len(labels)
                advance(len(labels))
        return {"rows": rows}

    recipe = Recipe(generator="listops_import", version=VERSION, parameters={"sha256_of_source": digests})
    return ensure(folder, recipe, write)


def read_tsv(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """Rows of one official file, parentheses left out -> tokens, lengths, labels.

    Shapes:  tokens (sum of lengths,), row after row; lengths, labels (rows,)
    Raises:  ValueError naming file and line for a wrong header, unknown word, unbalanced tree or wrong label
    """
    text = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
    line = bytes(text[: len(HEADER)]).split(b"\n")[0]
    if line.rstrip(b"\r") != HEADER.rstrip(b"\r\n"):
        raise ValueError(f"{path}, line 1: the header must be {HEADER!r}")
    start = len(line) + 1
    num_rows = _count_lines(text[start:])
    tokens = np.empty(len(text) // 2 + 1, np.uint8)  # a token is at least a character and a blank
    lengths, labels = np.empty(num_rows, np.int64), np.empty(num_rows, np.uint8)
    row, used, problem = _parse(text[start:], tokens, lengths, labels)
    if problem != OK:
        raise ValueError(f"{path}, line {row + 2}: {SAYS[problem]}")
    return tokens[:used], lengths, labels


@njit(cache=True, nogil=True)
def _count_lines(text: NDArray[np.uint8]) -> int:
    """Number of lines, the last one with or without its line feed."""
    lines = 0
    for byte in text:
        lines += byte == FEED
    return lines + (len(text) > 0 and text[-1] != FEED)


@njit(cache=True, nogil=True)
def _parse(
    text: NDArray[np.uint8], tokens: NDArray[np.uint8], lengths: NDArray[np.int64], labels: NDArray[np.uint8]
) -> tuple[int, int, int]:
    """Read line after line -> (lines read well, tokens, problem of the next line)."""
    at, used = 0, 0
    for row in range(len(lengths)):
        end = at
        while end < len(text) and text[end] != FEED:
            end += 1
        stop = end - 1 if end > at and text[end - 1] == RETURN else end
        length, problem = _parse_line(text[at:stop], tokens[used:], labels[row : row + 1])
        if problem != OK:
            return row, used, problem
        lengths[row] = length
        used, at = used + length, end + 1
    return len(lengths), used, OK


@njit(cache=True, nogil=True)
def _parse_line(line: NDArray[np.uint8], tokens: NDArray[np.uint8], label: NDArray[np.uint8]) -> tuple[int, int]:
    """One tree and its label -> (length, problem)."""
    if len(line) < 3 or line[-2] != TAB or not ZERO <= line[-1] <= ZERO + 9:
        return 0, NO_LABEL
    label[0] = line[-1] - ZERO
    length, pairs, start = 0, 0, 0
    while start < len(line) - 2:
        end = start
        while line[end] != BLANK and line[end] != TAB:
            end += 1
        first, size, start = start, end - start, end + 1
        if size == 1 and (line[first] == OPEN_PAIR or line[first] == CLOSE_PAIR):
            pairs += 1 if line[first] == OPEN_PAIR else -1
            if pairs < 0:
                return 0, PARENTHESES
            continue
        token = _token_at(line, first, size)
        if token < 0:
            return 0, NO_TOKEN
        tokens[length] = token
        length += 1
    if pairs != 0:
        return 0, PARENTHESES
    value = evaluate(tokens, length)
    if value < 0:
        return 0, BRACKETS
    return length, OK if value == label[0] else WRONG_LABEL


@njit(cache=True, nogil=True)
def _token_at(line: NDArray[np.uint8], first: int, size: int) -> int:
    """Token id of the word of this size, -1 if it has none."""
    if size == 1 and ZERO <= line[first] <= ZERO + 9:
        return int(line[first]) - ZERO
    for token in range(MIN, CLOSE + 1):
        if size == _WORD_SIZES[token - MIN]:
            same = True
            for i in range(size):
                same &= line[first + i] == _WORDS[token - MIN, i]
            if same:
                return token
    return -1


@njit(cache=True, nogil=True)
def evaluate(tree: NDArray[np.uint8], length: int) -> int:
    """Value 0 .. 9 of a tree; -1 if its brackets do not close exactly at its end, or a list has no argument."""
    operators = np.empty(length, np.uint8)  # of the lists still open, outermost first
    counts = np.empty((length, 10), np.int64)  # values they have got
    depth = 0
    for i in range(length):
        if MIN <= tree[i] < CLOSE:
            operators[depth] = tree[i]
            counts[depth] = 0
            depth += 1
            continue
        value = int(tree[i])
        if tree[i] == CLOSE:
            if depth == 0 or counts[depth - 1].sum() == 0:
                return -1
            depth -= 1
            value = apply_operator(operators[depth], counts[depth])
        if depth == 0:
            return value if i == length - 1 else -1
        counts[depth - 1, value] += 1
    return -1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m data_prep.listops_import", description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of the three official files")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line -> exit status, see program.run."""
    arguments = _arguments(argv)
    return program.run(
        "listops_import",
        arguments.out,
        lambda clock: import_listops(arguments.out, arguments.source, clock=clock),
    )


if __name__ == "__main__":
    raise SystemExit(main())
