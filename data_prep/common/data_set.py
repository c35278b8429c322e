"""A data set on disk: a folder that is there whole or not at all, with a manifest that says what is in it.

manifest.json holds the generator's name and version, its parameters, the rows of each split and the SHA-256 of every
file. A set grows in a hidden folder beside the final one, file by whole file, and is renamed into place at the end.
A maker that was killed leaves the hidden folder: the next one of the same recipe keeps its whole files and goes on.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"


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
        return f"{self.generator}-{_hash8(self.parameters)}"


def ensure(folder: Path, recipe: Recipe, write: Callable[[Path], dict[str, Any]]) -> bool:
    """Make the data set unless it is there -> whether it was made. What is there is verified, never changed.

    A second maker of the same set waits for the first. On Ctrl-C whole files stay for the next call; after any
    other error nothing stays.

    write: fills the folder it is given, each file within `whole_file`, leaving out those that are there already; it
           returns what else the manifest shall say, "rows" of each split at least
    """
    if _holds_something(folder):
        verify(folder, recipe)
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial-{_hash8([recipe.version, recipe.parameters])}")
    with _locked(partial):
        if _holds_something(folder):  # another process was faster
            partial.rmdir()
            verify(folder, recipe)
            return False
        try:
            _fill(partial, recipe, write)
            partial.rename(folder)
        except KeyboardInterrupt:
            with suppress(OSError):
                partial.rmdir()  # succeeds only if it is empty
            raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    _fsync(folder.parent)
    return True


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to: it becomes `path` if the block ends well, and vanishes if not."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        yield unfinished
        _fsync(unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


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


def _fill(partial: Path, recipe: Recipe, write: Callable[[Path], dict[str, Any]]) -> None:
    for left in partial.rglob("*" + UNFINISHED):  # of a maker that was killed
        left.unlink()
    facts = write(partial)
    files = sorted(path for path in partial.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = {
        "generator": recipe.generator,
        "version": recipe.version,
        "parameters": recipe.parameters,
        **facts,
        "sha256": {path.relative_to(partial).as_posix(): sha256(path) for path in files},
    }
    with whole_file(partial / MANIFEST) as path:
        path.write_text(json.dumps(manifest, indent=1) + "\n")
    _fsync(partial)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold it against other processes; whoever finds it held waits."""
    while True:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # the system lets go of it when the process ends, however it ends
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), folder.stat()):  # else it was renamed or removed meanwhile
                    yield
                    return
        finally:
            os.close(descriptor)


def _hash8(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _holds_something(folder: Path) -> bool:
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
