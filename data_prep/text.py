"""IMDb reviews as bytes: the text task of the Long Range Arena.

Local layout (what LRA's own loader downloads): aclImdb/train/pos/*.txt, train/neg, test/pos, test/neg.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.common.arrow import write_token_file
from data_prep.common.checks import check_int, check_seed
from data_prep.common.data_set import Recipe, ensure
from data_prep.common.program import name_the_task
from data_prep.common.sources import apart, carve_val, check_rows, content_hashes, hub_splits, local_path

VERSION = 1
GET_IT = (
    "unpack https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz and give task.lra_dir=<the folder that "
    "holds aclImdb>"
)
LABELS = {"neg": 0, "pos": 1}
Labelled = tuple[list[bytes], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class TextParameters:
    """num_train + num_val rows of the official training split, num_test of the test split; source: folder or hub id.

    max_length: bytes kept of a review
    """

    num_train: int
    num_val: int
    num_test: int
    max_length: int
    seed: int
    source: str

    def __post_init__(self) -> None:
        for name in ("num_train", "num_val", "num_test", "max_length"):
            check_int(name, getattr(self, name), minimum=1)
        check_seed("seed", self.seed)

    @property
    def recipe(self) -> Recipe:
        return Recipe(generator="text", version=VERSION, parameters=asdict(self))


def make_text(folder: Path, parameters: TextParameters, *, lra_dir: str | None, hub_id: str | None) -> bool:
    """Import the data set unless it is there -> whether it was imported."""

    def write(partial: Path) -> dict[str, Any]:
        (reviews, labels), (test_reviews, test_labels) = _local(lra_dir) if lra_dir else _hub(hub_id)
        check_rows("train", len(reviews), parameters.num_train + parameters.num_val)
        check_rows("test", len(test_reviews), parameters.num_test)
        train, val = carve_val("text", len(reviews), parameters.num_val, parameters.seed)
        reviews, test_reviews = ([text[: parameters.max_length] for text in part] for part in (reviews, test_reviews))
        train, val = apart(content_hashes(reviews), train, val, content_hashes(test_reviews))
        for name, rows in {"train": train, "val": val}.items():
            write_documents(partial / f"{name}.arrow", [reviews[i] for i in rows], labels[rows])
        write_documents(partial / "test.arrow", test_reviews, test_labels)
        return {"rows": {"train": len(train), "val": len(val), "test": len(test_reviews)}}

    return ensure(folder, parameters.recipe, write)


def write_documents(path: Path, documents: list[bytes], labels: NDArray[np.uint8]) -> None:
    """Documents as a file of tokens: a token is a byte. Raises ValueError for an empty document."""
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    if not lengths.all():
        raise ValueError(f"document {int(lengths.argmin())} of {path.stem} is empty: the source is damaged")
    tokens = np.frombuffer(b"".join(documents), dtype=np.uint8)
    write_token_file(path, tokens=tokens, lengths=lengths, labels=labels)


def _local(lra_dir: str) -> tuple[Labelled, Labelled]:
    folder = local_path(lra_dir, "aclImdb", GET_IT)

    def read(split: str) -> Labelled:
        paths = {label: sorted((folder / split / name).glob("*.txt")) for name, label in LABELS.items()}
        reviews = [path.read_bytes() for label in paths for path in paths[label]]
        return reviews, np.repeat(np.array([*paths], dtype=np.uint8), [len(found) for found in paths.values()])

    return read("train"), read("test")


def _hub(hub_id: str | None) -> tuple[Labelled, Labelled]:
    splits = hub_splits(hub_id, GET_IT, other_key="task.lra_dir")

    def read(split: Any) -> Labelled:
        return [text.encode() for text in split["text"]], np.array(split["label"], dtype=np.uint8)

    return read(splits["train"]), read(splits["test"])


if __name__ == "__main__":
    raise SystemExit(name_the_task("text", "task.lra_dir=<the folder that holds aclImdb>"))
