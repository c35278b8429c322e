"""Make a ListOps data set: python -m data_prep.listops --out DIR --train 96000 --val 2000 --test 2000 --seed 0

Arrow files train.arrow, val.arrow, test.arrow: columns `tokens` (list<uint8>, ids in generate.TOKENS) and
`label` (uint8). With --format tsv: basic_train.tsv, basic_val.tsv, basic_test.tsv, laid out as the official files.
The same arguments give the same bytes, with any number of workers; a command that was stopped goes on where it was.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.common import program
from data_prep.common.arguments import OneLineParser
from data_prep.common.arrow import write_token_file
from data_prep.common.checks import MOST_ROWS, check_int, check_seed
from data_prep.common.data_set import Recipe, ensure, whole_file
from data_prep.common.program import Clock
from data_prep.common.splits import SPLITS
from data_prep.common.workers import in_order
from data_prep.listops.generate import MAX_ATTEMPTS, draw_rows
from data_prep.listops.text import HEADER, to_tsv

VERSION = 2  # raise it whenever the same parameters would give other data
FORMATS = ("arrow", "tsv")
MOST_DEPTH = 1000
MOST_ARGS = 1000
CHUNK_TOKENS = 2**22  # a worker draws trees of at most so many tokens in all at a time


@dataclass(frozen=True, kw_only=True)
class ListOpsParameters:
    """What a ListOps data set is made from; lengths count no parentheses, min_length < length < max_length.

    Raises: ValueError if no tree can have such a length
    """

    train: int
    val: int
    test: int
    seed: int
    min_length: int
    max_length: int
    max_depth: int
    max_args: int
    format: str

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            check_int(name, getattr(self, name), minimum=1, maximum=MOST_ROWS)
        for name, minimum, maximum in (
            ("min_length", 0, None),
            ("max_depth", 2, MOST_DEPTH),
            ("max_args", 2, MOST_ARGS),
        ):
            check_int(name, getattr(self, name), minimum=minimum, maximum=maximum)
        check_int("max_length", self.max_length, minimum=5)
        check_seed("seed", self.seed)
        if self.max_length > CHUNK_TOKENS:
            raise ValueError(f"max_length={self.max_length} must be at most {CHUNK_TOKENS}: a tree is made in memory")
        if self.format not in FORMATS:
            raise ValueError(f"format={self.format!r} must be one of {', '.join(FORMATS)}")
        if not self._some_tree_fits():
            raise ValueError(
                f"min_length={self.min_length}, max_length={self.max_length}: no tree of max_depth={self.max_depth} "
                f"and max_args={self.max_args} has a length strictly between them; widen the range"
            )

    def _some_tree_fits(self) -> bool:
        """A tree of m lists has a length between 1 + 3 m and 1 + (max_args + 1) m; the full tree is the longest."""
        longest = 1
        for _ in range(self.max_depth - 1):
            longest = min(2 + self.max_args * longest, self.max_length)
        wanted = max(self.min_length + 1, 4)
        num_lists = -(-(wanted - 1) // (self.max_args + 1))
        return max(wanted, 1 + 3 * num_lists) <= min(longest, self.max_length - 1)

    @property
    def recipe(self) -> Recipe:
        return Recipe(generator="listops", version=VERSION, parameters=asdict(self))


class Rows(NamedTuple):
    """tokens (sum of lengths,), row after row; lengths, labels (rows,); hashes (rows,) of the trees' content"""

    tokens: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    labels: NDArray[np.uint8]
    hashes: NDArray[np.uint64]


def make_rows(parameters: ListOpsParameters, split: str, first: int, num_rows: int) -> Rows:
    """Examples first .. first + num_rows - 1 of a split, each a pure function of (seed, split, its number)."""
    p = parameters
    rows = Rows(
        np.empty(num_rows * p.max_length, np.uint8),  # as long as it may get: pages that are not used cost nothing
        np.empty(num_rows, np.int64),
        np.empty(num_rows, np.uint8),
        np.empty(num_rows, np.uint64),
    )
    found, used = draw_rows(
        p.seed, SPLITS.index(split), first, p.min_length, p.max_length, p.max_depth, p.max_args, *rows
    )
    if found < num_rows:
        raise ValueError(
            f"min_length={p.min_length}, max_length={p.max_length}: not one of {MAX_ATTEMPTS:,} trees drawn for "
            f"{split} example {first + found} fits; widen the range"
        )
    return rows._replace(tokens=rows.tokens[:used])


def make_listops(folder: Path, parameters: ListOpsParameters, *, workers: int, clock: Clock) -> bool:
    """Make the data set unless it is there, all or nothing -> whether it was made.

    Raises: ValueError if the folder holds anything else, or content that its manifest does not know
    """
    check_int("workers", workers, minimum=1)

    def write(folder: Path) -> dict[str, Any]:
        sizes = {split: getattr(parameters, split) for split in SPLITS}
        with clock.compiling():
            to_tsv(*make_rows(parameters, "train", 0, 1)[:3])
        with clock.making("ListOps", sum(sizes.values())) as advance:
            for split in SPLITS:
                _write_split(folder, parameters, split, workers, advance)
        return {"rows": sizes}

    return ensure(folder, parameters.recipe, write)


def _write_split(
    folder: Path, parameters: ListOpsParameters, split: str, workers: int, advance: Callable[[int], None]
) -> None:
    """Write one file, unless an earlier attempt left it whole."""
    num_rows: int = getattr(parameters, split)
    step = max(1, CHUNK_TOKENS // parameters.max_length)
    parts = [(first, min(step, num_rows - first)) for first in range(0, num_rows, step)]
    write, name = (
        (_write_arrow, f"{split}.arrow") if parameters.format == "arrow" else (_write_tsv, f"basic_{split}.tsv")
    )
    if not (folder / name).exists():
        write(folder / name, partial(make_rows, parameters, split), parts, workers, advance)


MakeRows = Callable[[int, int], Rows]
Parts = Iterable[tuple[int, int]]  # first row and number of rows of each


def _write_arrow(path: Path, make: MakeRows, parts: Parts, workers: int, advance: Callable[[int], None]) -> None:
    chunks = []
    for chunk in in_order(lambda part: make(*part), parts, workers=workers):
        chunks.append(chunk)
        advance(len(chunk.lengths))
    rows = Rows(*(np.concatenate(columns) for columns in zip(*chunks, strict=True)))
    write_token_file(path, tokens=rows.tokens, lengths=rows.lengths, labels=rows.labels)


def _write_tsv(path: Path, make: MakeRows, parts: Parts, workers: int, advance: Callable[[int], None]) -> None:
    def text_of(part: tuple[int, int]) -> tuple[int, NDArray[np.uint8]]:
        rows = make(*part)
        return len(rows.lengths), to_tsv(rows.tokens, rows.lengths, rows.labels)

    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        file.write(HEADER)
        for num_rows, text in in_order(text_of, parts, workers=workers):
            file.write(text.data)
            advance(num_rows)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m data_prep.listops", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    for split in SPLITS:
        parser.add_argument(f"--{split}", type=int, required=True, help=f"number of {split} examples")
    parser.add_argument("--seed", type=int, required=True, help="which trees")
    parser.add_argument("--workers", type=int, default=1, help="threads; the data are the same (default %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="arrow", help="default %(default)s")
    # The official setting: Tay et al., "Long Range Arena", arXiv 2011.04006, and its released generator.
    parser.add_argument("--min-length", type=int, default=500, help="lengths are above this (default %(default)s)")
    parser.add_argument("--max-length", type=int, default=2000, help="lengths are below this (default %(default)s)")
    parser.add_argument("--max-depth", type=int, default=10, help="levels of a tree (default %(default)s)")
    parser.add_argument("--max-args", type=int, default=10, help="arguments of a list (default %(default)s)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line -> exit status, see program.run."""
    arguments = vars(_parse(argv))
    out, workers = arguments.pop("out"), arguments.pop("workers")

    def make(clock: Clock) -> bool:
        return make_listops(out, ListOpsParameters(**arguments), workers=workers, clock=clock)

    return program.run("listops", out, make)
