"""A data set on disk: a folder that is there whole or not at all, with a manifest that says what is in it.

manifest.json holds the generator's name and version, its parameters, the rows of each split and the SHA-256 of every
file, and a folder holds these files and no other. A set grows in a hidden folder beside the final one, file by whole
file, and is renamed into place at the end. A maker that was killed leaves the hidden folder: the next one of the same
recipe keeps the files that still have the SHA-256 they were written with, and goes on.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.common.json_files import read_json

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"
DIGESTS = ".sha256"  # while a set grows, `.<file>.sha256` says what `<file>` was written with, as sha256sum prints it
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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

    write:  fills the folder it is given, each file within `whole_file`, leaving out those that are there already; it
            returns what else the manifest shall say, "rows" of each split at least
    Raises: ValueError as verify; OSError that names the folder and the mend where the disk is full
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
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                raise OSError(
                    error.errno,
                    f"{os.strerror(error.errno)} while {folder} was made: free space there, or name a folder on "
                    "another disk",
                ) from error
            raise
    _fsync(folder.parent)
    return True


@contextmanager
def whole_file(path: Path, *, along: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield a path to write to: it becomes `path` if the block ends well, and vanishes if not.

    along: files written before, which are whole if and only if `path` is there
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        yield unfinished
        _fsync(unfinished)
        names = {path.name: unfinished} | {os.path.relpath(other, path.parent): other for other in along}
        lines = [f"{sha256(written)}  {name}\n" for name, written in names.items()]
        path.with_name(f".{path.name}{DIGESTS}").write_text("".join(lines))
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def verify(folder: Path, recipe: Recipe) -> None:
    """Raise ValueError unless the folder holds this recipe's data set, byte for byte."""
    try:
        manifest = read_json(folder / MANIFEST)
        parameters, checksums = dict(manifest["parameters"]), dict(manifest["sha256"])
        found = {"generator": manifest["generator"], "version": manifest["version"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} is no complete data set (no readable {MANIFEST}): name another, or delete what is left of one"
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
    for name in sorted(_files(folder) - checksums.keys() - {MANIFEST}):
        raise ValueError(
            f"{folder / name} does not stand in {MANIFEST}: take it away, the data set is not to be trusted"
        )
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
    _drop_what_is_not_whole(partial)
    facts = write(partial)
    digests = _written_digests(partial)
    for listing in _listings(partial):
        listing.unlink()
    digests |= {name: sha256(partial / name) for name in _files(partial) - digests.keys()}
    manifest = {
        "generator": recipe.generator,
        "version": recipe.version,
        "parameters": recipe.parameters,
        **facts,
        "sha256": dict(sorted(digests.items())),
    }
    unfinished = partial / (MANIFEST + UNFINISHED)
    unfinished.write_text(json.dumps(manifest, indent=1) + "\n")
    _fsync(unfinished)
    unfinished.rename(partial / MANIFEST)
    _fsync(partial)


def _drop_what_is_not_whole(partial: Path) -> None:
    """Delete what a maker that was killed did not finish, and what has changed since it was written."""
    for listing in _listings(partial):
        listed = _listed(partial, listing)
        if not all((partial / name).is_file() and sha256(partial / name) == listed[name] for name in listed):
            for path in [listing, *(partial / name for name in listed)]:
                path.unlink(missing_ok=True)
    kept = {listing.relative_to(partial).as_posix() for listing in _listings(partial)}
    for name in _files(partial) - kept - _written_digests(partial).keys():
        (partial / name).unlink()


def _listings(partial: Path) -> list[Path]:
    """The files that hold digests."""
    return list(partial.rglob(f".*{DIGESTS}"))


def _written_digests(partial: Path) -> dict[str, str]:
    """SHA-256 of every file of `whole_file` when it was written, by its name in the folder."""
    return {name: digest for listing in _listings(partial) for name, digest in _listed(partial, listing).items()}


def _listed(partial: Path, listing: Path) -> dict[str, str]:
    """Digests of one such file; the file that it belongs to has an impossible one where it cannot be read."""
    found = {listing.name.removeprefix(".").removesuffix(DIGESTS): ""}
    for line in listing.read_text(errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        found[name] = digest
    beside = os.path.relpath(listing.parent, partial)
    return {os.path.normpath(os.path.join(beside, name)): digest for name, digest in found.items()}


def _files(folder: Path) -> set[str]:
    """Names of all that is in the folder and below it, real folders aside."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


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
