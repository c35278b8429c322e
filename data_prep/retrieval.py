"""Pairs of papers of the ACL Anthology Network as bytes: the retrieval task of the Long Range Arena.

Local layout (LRA's archive): tsv_data/new_aan_pairs.train.tsv, .eval.tsv, .test.tsv; a line is label, id 1, id 2,
text 1, text 2, parted by tabs, without header or quotes. A document stands in many pairs: it is stored once.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.common.arrow import write_pair_file
from data_prep.common.checks import check_int
from data_prep.common.data_set import Recipe, ensure
from data_prep.common.program import name_the_task
from data_prep.common.sources import apart, check_rows, content_hashes, hub_splits, local_path
from data_prep.text import write_documents

VERSION = 2  # raise it whenever the same parameters would give other data
GET_IT = (
    "unpack https://storage.googleapis.com/long-range-arena/lra_release.gz (a tar file, 8 GB) and give "
    "task.lra_dir=<the folder that holds tsv_data>"
)
Pair = tuple[int, bytes, bytes]  # label, two texts


@dataclass(frozen=True, kw_only=True)
class RetrievalParameters:
    """Rows of the three official splits; max_length: bytes kept of a document; source: folder or hub id."""

    num_train: int
    num_val: int
    num_test: int
    max_length: int
    source: str

    def __post_init__(self) -> None:
        for name in ("num_train", "num_val", "num_test", "max_length"):
            check_int(name, getattr(self, name), minimum=1)

    @property
    def recipe(self) -> Recipe:
        return Recipe(generator="retrieval", version=VERSION, parameters=asdict(self))


def make_retrieval(folder: Path, parameters: RetrievalParameters, *, lra_dir: str | None, hub_id: str | None) -> bool:
    """Import the data set unless it is there -> whether it was imported."""

    def write(partial: Path) -> dict[str, Any]:
        source = _local(lra_dir) if lra_dir else _hub(hub_id)
        number: dict[bytes, int] = {}  # document -> its row
        pairs, labels = {}, {}
        for split, found in source.items():
            rows = []
            for label, *texts in found:
                rows.append([label, *(number.setdefault(t[: parameters.max_length], len(number)) for t in texts)])
            check_rows(split, len(rows), getattr(parameters, f"num_{split}"))
            labels[split], pairs[split] = np.array(rows, dtype=np.int32)[:, 0], np.array(rows, dtype=np.int32)[:, 1:]
        both = np.concatenate([pairs["train"], pairs["val"]])
        train, val = np.split(np.arange(len(both)), [len(pairs["train"])])
        train, val = apart(_pair_hashes(both), train, val, _pair_hashes(pairs["test"]))
        kept = {"train": train, "val": val - len(pairs["train"]), "test": np.arange(len(pairs["test"]))}
        write_documents(partial / "documents.arrow", [*number], np.zeros(len(number), dtype=np.uint8))  # no label
        for split, chosen in kept.items():
            label = labels[split][chosen].astype(np.uint8)
            write_pair_file(partial / f"{split}.arrow", pairs=pairs[split][chosen], labels=label)
        return {"rows": {split: len(chosen) for split, chosen in kept.items()}}

    return ensure(folder, parameters.recipe, write)


def _local(lra_dir: str) -> dict[str, Iterator[Pair]]:
    names = {"train": "train", "val": "eval", "test": "test"}  # our name -> LRA's
    paths = {s: local_path(lra_dir, f"tsv_data/new_aan_pairs.{name}.tsv", GET_IT) for s, name in names.items()}
    return {split: _read_tsv(path) for split, path in paths.items()}


def _read_tsv(path: Path) -> Iterator[Pair]:
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            fields = content.rstrip(b"\r\n").split(b"\t")
            if len(fields) != 5:
                raise ValueError(f"{path}, line {line}: {len(fields)} fields, must be 5 (label, 2 ids, 2 texts)")
            if fields[0] not in (b"0", b"1", b"0.0", b"1.0"):
                raise ValueError(f"{path}, line {line}: label {fields[0].decode(errors='replace')!r} must be 0 or 1")
            if not fields[3] or not fields[4]:
                raise ValueError(f"{path}, line {line}: a text is empty")
            yield int(float(fields[0])), fields[3], fields[4]


def _pair_hashes(pairs: NDArray[np.int32]) -> NDArray[np.uint64]:
    """pairs (N, 2) of numbers of documents -> (N,), the same whichever of the two comes first."""
    return content_hashes(np.sort(pairs))


def _hub(hub_id: str | None) -> dict[str, Iterator[Pair]]:
    splits = hub_splits(hub_id, GET_IT, other_key="task.lra_dir")
    names = {"train": "train", "val": "validation", "test": "test"}  # our name -> the hub's

    def read(split: Any) -> Iterator[Pair]:
        return ((int(row["label"]), row["text1"].encode(), row["text2"].encode()) for row in split)

    return {split: read(splits[name]) for split, name in names.items()}


if __name__ == "__main__":
    raise SystemExit(name_the_task("retrieval", "task.lra_dir=<the folder that holds tsv_data>"))
