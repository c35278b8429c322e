"""Import MNIST: python -m data_prep.mnist --source DIR --out DIR

DIR holds the four official files, plain or as .gz. They are believed only if their SHA-256 is that of the official
ones, unpacked. Arrow files train.arrow (60,000) and test.arrow (10,000): columns `pixels` (uint8, 784, rows from the
top) and `label`; the official test set is left as it is.
"""

import argparse
import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.common import program
from data_prep.common.arguments import OneLineParser
from data_prep.common.arrow import write_image_file
from data_prep.common.data_set import Recipe, ensure
from data_prep.common.program import Clock
from data_prep.common.sources import hub_splits

VERSION = 1
SIDE = 28
SPLITS = {"train": "train", "test": "t10k"}  # split -> how its files begin
OFFICIAL = {  # SHA-256 of the unpacked files, as published by LeCun, Cortes, Burges
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
GET_IT = (
    "name a folder (task.mnist_dir, --source) with the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, plain or .gz (yann.lecun.com/exdb/mnist and its mirrors)"
)
Grey = NDArray[np.uint8]


def recipe() -> Recipe:
    """There is one MNIST: wherever it comes from, it has these bytes."""
    return Recipe(generator="mnist", version=VERSION, parameters={"sha256_of_source": OFFICIAL})


def make_mnist(folder: Path, *, mnist_dir: str | None, hub_id: str | None, clock: Clock) -> bool:
    """Make the data set from mnist_dir, else from the hub, unless it is there -> whether it was made.

    Raises: ValueError naming the file that is not there, truncated, another one's, or not the official one
    """

    def write(folder: Path) -> dict[str, Any]:
        rows = {}
        hub = {} if mnist_dir else hub_splits(hub_id, GET_IT, other_key="task.mnist_dir")
        with clock.making("MNIST", 0) as advance:
            for split, prefix in SPLITS.items():
                names = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
                if mnist_dir:
                    images, labels = (_read_official(Path(mnist_dir), name) for name in names)
                else:
                    images, labels = _of_hub(hub[split], names, str(hub_id))
                write_image_file(folder / f"{split}.arrow", images=images, labels=labels)
                rows[split] = len(labels)
                advance(len(labels))
        return {"rows": rows}

    return ensure(folder, recipe(), write)


def read_idx(content: bytes, name: str) -> Grey:
    """Array of an IDX file: two zero bytes, 8 (uint8), number of dimensions, each as 4 bytes, then the values.

    Raises: ValueError that begins with `name`, unless dimensions and length are those that the name promises
    """
    num_dimensions = 3 if "idx3" in name else 1
    start = 4 + 4 * num_dimensions
    if len(content) < start or content[:3] != b"\0\0\x08":
        raise ValueError(f"{name} is no IDX file of bytes")
    if content[3] != num_dimensions:
        raise ValueError(f"{name} has {content[3]} dimensions, not {num_dimensions}: was it renamed?")
    shape = np.frombuffer(content, ">u4", num_dimensions, 4).tolist()
    if len(content) != start + np.prod(shape):
        raise ValueError(f"{name} has {len(content):,} bytes, its head promises {start + np.prod(shape):,}: truncated?")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def write_idx(values: Grey) -> bytes:
    """The IDX file of an array."""
    return b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def _read_official(source: Path, name: str) -> Grey:
    plain, packed = source / name, source / f"{name}.gz"
    path = plain if plain.is_file() else packed
    if not path.is_file():
        raise ValueError(f"{source} holds neither {name} nor {name}.gz: {GET_IT}")
    content = path.read_bytes()
    if path == packed:
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} cannot be unpacked, it is truncated or damaged ({error})") from error
    values = read_idx(content, str(path))
    _check_digest(content, name, str(path))
    return values


def _of_hub(rows: Any, names: tuple[str, str], hub_id: str) -> tuple[Grey, Grey]:
    """Images and labels of one split of the hub's data set; its pictures are those of the files, in their order."""
    images = np.stack([np.asarray(image, np.uint8) for image in rows["image"]])
    labels = np.asarray(rows["label"], np.uint8)
    for values, name in zip((images, labels), names, strict=True):
        _check_digest(write_idx(values), name, f"{name} of task.hub_id={hub_id}")
    return images, labels


def _check_digest(content: bytes, name: str, where: str) -> None:
    if hashlib.sha256(content).hexdigest() != OFFICIAL[name]:
        others = [other for other, digest in OFFICIAL.items() if hashlib.sha256(content).hexdigest() == digest]
        reason = f"is {others[0]} under another name" if others else "does not have the SHA-256 of the official file"
        raise ValueError(f"{where} {reason}: {GET_IT}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="python -m data_prep.mnist", description=__doc__)
    parser.add_argument("--source", required=True, help="folder of the four official files, plain or .gz")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line -> exit status, see program.run."""
    arguments = _parse(argv)
    return program.run(
        "mnist",
        arguments.out,
        lambda clock: make_mnist(arguments.out, mnist_dir=arguments.source, hub_id=None, clock=clock),
    )


if __name__ == "__main__":
    raise SystemExit(main())
