"""CIFAR-10 in grey, 32 x 32: the image task of the Long Range Arena.

Local layout (what LRA's own loader downloads): cifar-10-batches-bin/data_batch_1.bin .. data_batch_5.bin and
test_batch.bin; a record is a label byte, then 1,024 red, green and blue bytes each, row by row.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.common.arrow import write_image_file
from data_prep.common.checks import check_int, check_seed
from data_prep.common.data_set import Recipe, ensure
from data_prep.common.program import name_the_task
from data_prep.common.sources import apart, carve_val, check_rows, content_hashes, hub_splits, local_path

VERSION = 1
SIDE, RECORD = 32, 1 + 3 * 32 * 32
GET_IT = (
    "unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz and give task.lra_dir=<the folder that holds "
    "cifar-10-batches-bin>"
)
Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # (rows, 32, 32) grey, (rows,)


@dataclass(frozen=True, kw_only=True)
class ImageParameters:
    """num_train + num_val rows of the official training split, num_test of the test split; source: folder or hub id."""

    num_train: int
    num_val: int
    num_test: int
    seed: int
    source: str

    def __post_init__(self) -> None:
        for name in ("num_train", "num_val", "num_test"):
            check_int(name, getattr(self, name), minimum=1)
        check_seed("seed", self.seed)

    @property
    def recipe(self) -> Recipe:
        return Recipe(generator="image", version=VERSION, parameters=asdict(self))


def make_image(folder: Path, parameters: ImageParameters, *, lra_dir: str | None, hub_id: str | None) -> bool:
    """Import the data set unless it is there -> whether it was imported."""

    def write(partial: Path) -> dict[str, Any]:
        (images, labels), (test_images, test_labels) = _local(lra_dir) if lra_dir else _hub(hub_id)
        check_rows("train", len(labels), parameters.num_train + parameters.num_val)
        check_rows("test", len(test_labels), parameters.num_test)
        train, val = carve_val("image", len(labels), parameters.num_val, parameters.seed)
        train, val = apart(content_hashes(images), train, val, content_hashes(test_images))
        write_image_file(partial / "train.arrow", images=images[train], labels=labels[train])
        write_image_file(partial / "val.arrow", images=images[val], labels=labels[val])
        write_image_file(partial / "test.arrow", images=test_images, labels=test_labels)
        return {"rows": {"train": len(train), "val": len(val), "test": len(test_labels)}}

    return ensure(folder, parameters.recipe, write)


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in the integers of Pillow's mode L: (..., 3) -> (...)."""
    weighted = rgb.astype(np.uint32) @ np.array([19595, 38470, 7471], dtype=np.uint32)
    return ((weighted + 0x8000) >> 16).astype(np.uint8)


def _local(lra_dir: str) -> tuple[Labelled, Labelled]:
    batches = local_path(lra_dir, "cifar-10-batches-bin", GET_IT)
    train = [_read_batch(batches / f"data_batch_{i}.bin") for i in range(1, 6)]
    images, labels = (np.concatenate(part) for part in zip(*train, strict=True))
    return (images, labels), _read_batch(batches / "test_batch.bin")


def _read_batch(path: Path) -> Labelled:
    if not path.is_file():
        raise ValueError(f"{path} is missing: {GET_IT}")
    content = np.fromfile(path, dtype=np.uint8)
    if not len(content) or len(content) % RECORD:
        raise ValueError(f"{path} has {len(content):,} bytes, no multiple of {RECORD:,}: it is cut off, get it again")
    records = content.reshape(-1, RECORD)
    labels = records[:, 0].copy()
    if labels.max() > 9:
        raise ValueError(f"{path} has a label {labels.max()}, must be 0 .. 9: this is no CIFAR-10 batch")
    return grey(records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)), labels


def _hub(hub_id: str | None) -> tuple[Labelled, Labelled]:
    splits = hub_splits(hub_id, GET_IT, other_key="task.lra_dir")

    def read(split: Any) -> Labelled:
        images = np.stack([grey(np.asarray(image.convert("RGB"))) for image in split["img"]])
        return images, np.array(split["label"], dtype=np.uint8)

    return read(splits["train"]), read(splits["test"])


if __name__ == "__main__":
    raise SystemExit(name_the_task("image", "task.lra_dir=<the folder that holds cifar-10-batches-bin>"))
