"""A data set on disk: a folder that is there whole or not at all, with a manifest that says what is in it.

manifest.json holds the generator's name and version, its parameters, the rows of each split and the SHA-256 of every
file. It is written last, in a temporary folder beside the final one, which is then renamed into place.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a data set is made from. Two folders of one recipe hold the same bytes.

    parameters: plain JSON values
    """

    generator: str
    version: int
    parameters: dict[str, Any]

    def folder_name(self) -> str:
        """`<generator>-<hash of the parameters>`"""
        text = json.dumps(self.parameters, sort_keys=True)
        return f"{self.generator}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def ensure(folder: Path, recipe: Recipe, write: Callable[[Path], dict[str, Any]]) -> bool:
    """Make the data set unless it is there -> whether it was made. What is there is verified, never changed.

    write: fills the folder it is given, and returns what else the manifest shall say, "rows" of each split at least
    """
    if folder.exists() and not _is_empty(folder):
        verify(folder, recipe)
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _partial_folder(folder) as partial:
        facts = write(partial)
        files = sorted(path for path in partial.iterdir())
        manifest = {
            "generator": recipe.generator,
            "version": recipe.version,
            "parameters": recipe.parameters,
            **facts,
            "sha256": {path.name: sha256(path) for path in files},
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        for path in (*files, partial / MANIFEST, partial):
            _fsync(path)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            verify(folder, recipe)  # another process was faster
            return False
    _fsync(folder.parent)
    return True


def verify(folder: Path, recipe: Recipe) -> None:
    """Raise ValueError unless the folder holds this recipe's data set, byte for byte."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        parameters, checksums = dict(manifest["parameters"]), dict(manifest["sha256"])
        found = {"generator": manifest["generator"], "version": manifest["version"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} is no complete data set (no readable {MANIFEST}): delete it or name another"
        ) from error
    for key in ("generator", "version"):
        wanted = getattr(recipe, key)
        if found[key] != wanted:
            raise ValueError(f"{folder} was written by {key} {found[key]!r}, not {wanted!r}: delete it to make it anew")
    if parameters != recipe.parameters:
        differing = [
            f"{key}={parameters.get(key)!r} (asked for {recipe.parameters.get(key)!r})"
            for key in sorted(parameters.keys() | recipe.parameters.keys())
            if parameters.get(key) != recipe.parameters.get(key)
        ]
        raise ValueError(f"{folder} holds other data: {', '.join(differing)}; delete it or name another folder")
    for name, digest in checksums.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path} is missing, but stands in {MANIFEST}: delete {folder} to make it anew")
        if sha256(path) != digest:
            raise ValueError(f"{path} does not have the SHA-256 of {MANIFEST}: delete {folder} to make it anew")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_token_file(
    path: Path, *, tokens: NDArray[np.uint8], lengths: NDArray[np.int64], labels: NDArray[np.uint8]
) -> None:
    """Rows of tokens and a label each, as one Arrow stream (`datasets.Dataset.from_file` maps it).

    Shapes:  tokens (sum of lengths,), row after row; lengths, labels (rows,)
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] >= 2**31:
        raise ValueError(f"{path.name} would hold {offsets[-1]} tokens, an Arrow list column holds less than 2**31")
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens, pa.uint8()))
    batch = pa.record_batch({"tokens": column, "label": pa.array(labels, pa.uint8())})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)


def read_token_file(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    """Map a file of write_token_file -> tokens, offsets, labels; row i is tokens[offsets[i] : offsets[i + 1]].

    Shapes:  tokens (sum of lengths,); offsets (rows + 1,); labels (rows,)
    """
    table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    column = table.column("tokens").chunk(0)
    return column.values.to_numpy(), column.offsets.to_numpy(), table.column("label").chunk(0).to_numpy()


@contextmanager
def _partial_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder beside the final one, gone at the end unless it was renamed."""
    partial = folder.with_name(f".{folder.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
