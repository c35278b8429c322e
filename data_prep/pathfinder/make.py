"""Make a Pathfinder data set: are two discs joined by one dashed line (label 1), or do they end two of them (0)?

    python -m data_prep.pathfinder --out DIR --size 32 --contour 14 --train 160000 --val 20000 --test 20000 --seed 0

Size 32 is the Long Range Arena's Pathfinder, 128 its Path-X; contour 6, 9, 14 are easy, intermediate and hard. Size 16
is our own, for small models: two lines of 2 to 5 paddles, and nothing else. Arrow files <split>-<i>-of-<n>.arrow:
columns `pixels` (uint8, size * size, rows from the top) and `label`. With --format lra: the tree of PNG files and text
metadata that LRA's and S4's loaders read, training images first. The same arguments give the same bytes, with any
number of workers; a command that was stopped goes on where it was.

The default reproduces the distribution of the official program, its accidents included: at 32, snakes start in only
30 of 360 orientations, up and left; of the 5 distractors asked for, about 1.2 find a place, and they are brighter than
the targets. --clean true mends these: any orientation, all the distractors (targets that leave no room for them are
thrown away), one brightness, and no two snakes started across each other.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.common import program
from data_prep.common.arguments import OneLineParser
from data_prep.common.arrow import read_image_file, write_image_file
from data_prep.common.checks import MOST_ROWS, check_int, check_seed
from data_prep.common.data_set import Recipe, ensure, whole_file
from data_prep.common.program import Clock
from data_prep.common.splits import SPLITS
from data_prep.common.workers import in_order
from data_prep.pathfinder.generate import MAX_ATTEMPTS, draw_images
from data_prep.pathfinder.settings import SETTINGS, shades
from data_prep.pathfinder.tables import tables

VERSION = 2  # raise it whenever the same parameters would give other data
FORMATS = ("arrow", "lra")
FILE_PIXELS = 2**26  # in an Arrow file
CHUNK_PIXELS = 2**20  # a worker draws so many at a time
FOLDER_IMAGES = 1000  # of the tree of PNG files
DIFFICULTY = {6: "curv_baseline", 9: "curv_contour_length_9", 14: "curv_contour_length_14"}


@dataclass(frozen=True, kw_only=True)
class PathfinderParameters:
    """What a Pathfinder data set is made from.

    Raises: ValueError for a size or contour length that there is not, or no images at all
    """

    train: int
    val: int
    test: int
    seed: int
    size: int
    contour: int
    clean: bool
    format: str

    def __post_init__(self) -> None:
        for split in SPLITS:
            check_int(split, getattr(self, split), minimum=0, maximum=MOST_ROWS)
        if self.train + self.val + self.test == 0:
            raise ValueError("train=0, val=0, test=0: ask for at least one image")
        check_seed("seed", self.seed)
        if self.size not in SETTINGS:
            raise ValueError(f"size={self.size} must be one of {', '.join(map(str, SETTINGS))}")
        contours = SETTINGS[self.size].contours
        if self.contour not in contours:
            raise ValueError(
                f"contour={self.contour} must be one of {', '.join(map(str, contours))} at size={self.size}: "
                "longer snakes find no room, shorter ones are another task"
            )
        if self.format not in FORMATS:
            raise ValueError(f"format={self.format!r} must be one of {', '.join(FORMATS)}")

    @property
    def num_distractors(self) -> int:
        return SETTINGS[self.size].distractor_paddles // max(1, self.contour // 3)

    @property
    def recipe(self) -> Recipe:
        return Recipe(generator="pathfinder", version=VERSION, parameters=asdict(self))


class Images(NamedTuple):
    """images (rows, size, size); labels, hashes (of the pixels), margins (in pixels), distractors (snakes) (rows,)"""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    margins: NDArray[np.uint8]
    distractors: NDArray[np.uint8]


def make_images(parameters: PathfinderParameters, split: str, first: int, num_rows: int) -> Images:
    """Examples first .. first + num_rows - 1 of a split, each a pure function of (seed, split, its number)."""
    p, setting = parameters, SETTINGS[parameters.size]
    images = np.empty((num_rows, p.size, p.size), np.uint8)
    hashes, (labels, numbers, drawn) = np.empty(num_rows, np.uint64), np.empty((3, num_rows), np.uint8)
    by_margin = tables(p.size, p.clean)
    for number, table in enumerate(by_margin):
        done = draw_images(
            table, number, len(by_margin), p.seed, SPLITS.index(split), first, p.contour, p.num_distractors,
            shades(p.size, p.clean), p.clean, images, labels, hashes, numbers, drawn,
        )  # fmt: skip
        if done < num_rows:
            raise ValueError(
                f"size={p.size}, contour={p.contour}, clean={p.clean}: not one of {MAX_ATTEMPTS:,} pairs of snakes "
                f"drawn for {split} example {first + done} found room"
            )
    return Images(images, labels, hashes, np.array(setting.margins, np.uint8)[numbers], drawn)


def make_pathfinder(folder: Path, parameters: PathfinderParameters, *, workers: int, clock: Clock) -> bool:
    """Make the data set unless it is there, all or nothing -> whether it was made.

    Raises: ValueError if the folder holds anything else, or content that its manifest does not know
    """
    check_int("workers", workers, minimum=1)
    write_part = _write_arrow if parameters.format == "arrow" else _write_pngs

    def write(folder: Path) -> dict[str, Any]:
        sizes = {split: getattr(parameters, split) for split in SPLITS}
        with clock.compiling():
            make_images(parameters, "train", 0, 1)
        with clock.making("Pathfinder", sum(sizes.values())) as advance:
            write_part(folder, parameters, workers, advance)
        return {"rows": sizes}

    return ensure(folder, parameters.recipe, write)


def read_images(folder: Path, split: str) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Map the Arrow files of a split, in order -> (pixels (rows, size * size), labels (rows,)) of each."""
    return [read_image_file(path) for path in sorted(folder.glob(f"{split}-*.arrow"))]


def _chunks(parameters: PathfinderParameters, split: str, first: int, num_rows: int, workers: int) -> Iterator[Images]:
    step = max(1, CHUNK_PIXELS // parameters.size**2)
    parts = [(start, min(step, first + num_rows - start)) for start in range(first, first + num_rows, step)]
    return in_order(lambda part: make_images(parameters, split, *part), parts, workers=workers)


def _write_arrow(folder: Path, parameters: PathfinderParameters, workers: int, advance: Callable[[int], None]) -> None:
    """Files of at most FILE_PIXELS pixels; those that an earlier attempt left whole are kept."""
    step = FILE_PIXELS // parameters.size**2
    for split in SPLITS:
        num_rows = getattr(parameters, split)
        num_files = -(-num_rows // step)
        for number in range(num_files):
            path = folder / f"{split}-{number:05d}-of-{num_files:05d}.arrow"
            if path.exists():
                continue
            first = number * step
            chunks = []
            for chunk in _chunks(parameters, split, first, min(step, num_rows - first), workers):
                chunks.append(chunk)
                advance(len(chunk.labels))
            rows = Images(*(np.concatenate(column) for column in zip(*chunks, strict=True)))
            write_image_file(path, images=rows.images, labels=rows.labels)


def _write_pngs(folder: Path, parameters: PathfinderParameters, workers: int, advance: Callable[[int], None]) -> None:
    """imgs/<n>/sample_<i>.png, and a line for each in metadata/<n>.npy, a text file in spite of its name."""
    p, setting = parameters, SETTINGS[parameters.size]
    base = folder / f"pathfinder{p.size}" / DIFFICULTY.get(p.contour, f"curv_contour_length_{p.contour}")
    (base / "metadata").mkdir(parents=True, exist_ok=True)
    number = 0
    for split in SPLITS:
        for first in range(0, getattr(p, split), FOLDER_IMAGES):
            num_rows = min(FOLDER_IMAGES, getattr(p, split) - first)
            metadata, images = base / f"metadata/{number}.npy", base / f"imgs/{number}"
            images.mkdir(parents=True, exist_ok=True)
            lines: list[str] = []
            for chunk in _chunks(p, split, first, num_rows, workers) if not metadata.exists() else ():
                for image, label, margin in zip(chunk.images, chunk.labels, chunk.margins, strict=True):
                    name = f"sample_{len(lines)}.png"
                    Image.fromarray(image).save(images / name)
                    lines.append(
                        f"imgs/{number} {name} {len(lines)} {label} {setting.continuity} {p.contour} {p.contour // 3} "
                        f"{setting.paddle_length} {setting.thickness} {margin} 1\n"
                    )
                advance(len(chunk.labels))
            if lines:
                with whole_file(metadata, along=[images / f"sample_{i}.png" for i in range(len(lines))]) as path:
                    path.write_text("".join(lines))
            number += 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m data_prep.pathfinder", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--size", type=int, required=True, help=f"pixels a side: {', '.join(map(str, SETTINGS))}")
    parser.add_argument("--contour", type=int, required=True, help="paddles of a target: 6, 9, 14 (2 to 5 at size 16)")
    for split in SPLITS:
        parser.add_argument(f"--{split}", type=int, required=True, help=f"number of {split} images")
    parser.add_argument("--seed", type=int, required=True, help="which images")
    parser.add_argument("--clean", choices=("true", "false"), default="false", help="mend the official accidents")
    parser.add_argument("--workers", type=int, default=1, help="threads; the data are the same (default %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="arrow", help="default %(default)s")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line -> exit status, see program.run."""
    arguments = vars(_parse(argv))
    out, workers = arguments.pop("out"), arguments.pop("workers")
    arguments["clean"] = arguments["clean"] == "true"

    def make(clock: Clock) -> bool:
        return make_pathfinder(out, PathfinderParameters(**arguments), workers=workers, clock=clock)

    return program.run("pathfinder", out, make)
