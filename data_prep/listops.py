"""Make a ListOps data set: python -m data_prep.listops --out DIR --train 96000 --val 2000 --test 2000 --seed 0

Arrow files train.arrow, val.arrow, test.arrow: columns `tokens` (list<uint8>, ids in listops_generate.TOKENS) and
`label` (uint8). With --format tsv: basic_train.tsv, basic_val.tsv, basic_test.tsv, laid out as the official files.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from data_prep.arrow import Recipe, ensure, write_token_file
from data_prep.checks import check_int, check_seed
from data_prep.listops_generate import MAX_ATTEMPTS, SPLITS, draw_rows
from data_prep.listops_text import write_tsv
from data_prep.progress import progress_bar

VERSION = 1  # raise it whenever the same parameters would give other data
FORMATS = ("arrow", "tsv")
CHUNK_TOKENS = 2**21  # size of the buffer that trees are drawn into


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
        for name, minimum in {"train": 1, "val": 1, "test": 1, "min_length": 0, "max_depth": 2, "max_args": 2}.items():
            check_int(name, getattr(self, name), minimum=minimum)
        check_int("max_length", self.max_length, minimum=5)
        check_seed("seed", self.seed)
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
    tokens = np.empty((num_rows, p.max_length), np.uint8)  # (rows, max_length)
    rows = Rows(tokens, np.empty(num_rows, np.int64), np.empty(num_rows, np.uint8), np.empty(num_rows, np.uint64))
    found = draw_rows(p.seed, SPLITS.index(split), first, p.min_length, p.max_length, p.max_depth, p.max_args, *rows)
    if found < num_rows:
        raise ValueError(
            f"min_length={p.min_length}, max_length={p.max_length}: not one of {MAX_ATTEMPTS:,} trees drawn for "
            f"{split} example {first + found} fits; widen the range"
        )
    return rows._replace(tokens=tokens[np.arange(p.max_length) < rows.lengths[:, None]])


def make_listops(folder: Path, parameters: ListOpsParameters) -> bool:
    """Make the data set unless it is there, all or nothing -> whether it was made.

    Raises: ValueError if the folder holds anything else, or content that its manifest does not know
    """

    def write(partial: Path) -> dict[str, Any]:
        sizes = {split: getattr(parameters, split) for split in SPLITS}
        distinct = {}
        with progress_bar("ListOps", sum(sizes.values())) as advance:
            for split in SPLITS:
                distinct[split] = _write_split(partial, parameters, split, advance)
        return {"rows": sizes, "distinct_rows": distinct}

    return ensure(folder, parameters.recipe, write)


def _write_split(folder: Path, parameters: ListOpsParameters, split: str, advance: Callable[[int], None]) -> int:
    """Write one file -> its number of distinct trees (the same as its rows, unless the length range holds few)."""
    chunks = []
    step = max(1, CHUNK_TOKENS // parameters.max_length)
    num_rows: int = getattr(parameters, split)
    for first in range(0, num_rows, step):
        chunks.append(make_rows(parameters, split, first, min(step, num_rows - first)))
        advance(len(chunks[-1].lengths))
    rows = Rows(*(np.concatenate(columns) for columns in zip(*chunks, strict=True)))
    if parameters.format == "arrow":
        write_token_file(folder / f"{split}.arrow", tokens=rows.tokens, lengths=rows.lengths, labels=rows.labels)
    else:
        write_tsv(folder / f"basic_{split}.tsv", _listed(rows))
    return len(np.unique(rows.hashes))


def _listed(rows: Rows) -> Iterator[tuple[list[int], int]]:
    trees = np.split(rows.tokens, np.cumsum(rows.lengths)[:-1])
    return ((tree.tolist(), label) for tree, label in zip(trees, rows.labels.tolist(), strict=True))


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _OneLineParser(prog="python -m data_prep.listops", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    for split in SPLITS:
        parser.add_argument(f"--{split}", type=int, required=True, help=f"number of {split} examples")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--format", choices=FORMATS, default="arrow")
    # The official setting: Tay et al., "Long Range Arena", arXiv 2011.04006, and its released generator.
    parser.add_argument("--min-length", type=int, default=500, help="lengths are above this (default %(default)s)")
    parser.add_argument("--max-length", type=int, default=2000, help="lengths are below this (default %(default)s)")
    parser.add_argument("--max-depth", type=int, default=10, help="levels of a tree (default %(default)s)")
    parser.add_argument("--max-args", type=int, default=10, help="arguments of a list (default %(default)s)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line -> exit status: 2 for arguments that cannot be, 1 for a disk that refuses, 130 for Ctrl-C."""
    arguments = vars(_parse(argv))
    out: Path = arguments.pop("out")
    try:
        made = make_listops(out, ListOpsParameters(**arguments))
    except ValueError as error:
        print(f"data_prep.listops: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"data_prep.listops: cannot write {out}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"data_prep.listops: interrupted, {out} was not written", file=sys.stderr)
        return 130
    print(f"{out}: made" if made else f"{out}: kept, it holds this data set already")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
