"""Files that stand whole or not at all, and locks that die with the process that holds them."""

import errno
import fcntl
import fnmatch
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
STALE_S = 3600  # no file of ours takes so long to write
# what file systems say that know no hard links: exFAT, and some network and cloud disks
NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)


def write_whole(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Puts content at path: whatever breaks and whenever, what stands there is the old file or the new one, whole.

    Also removes what writers that were killed long ago have left in the folder.
    Raises: FileExistsError if a file stands there and overwrite is False; OSError, e.g. for a full disk
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")  # a pid is not unique on a disk that machines share
    sweep(path.parent)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def try_to_write(folder: Path) -> None:
    """Finds out before long work, not after, that no file can be made in the folder, which may still have to be made.

    Raises: OSError
    """
    with tempfile.NamedTemporaryFile(dir=nearest_existing(folder)):
        pass


def nearest_existing(folder: Path) -> Path:
    """The folder, or what exists above it."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def below(folder: Path, pattern: str) -> list[Path]:
    """Files at or below the folder with such a name, sorted; none if there is no such folder.

    Raises: OSError for a folder that cannot be read, where Path.rglob would find it empty
    """

    def refuse(error: OSError) -> None:
        raise error

    tree = os.walk(folder, onerror=refuse) if folder.exists() else ()
    return sorted(Path(top, name) for top, _, names in tree for name in fnmatch.filter(names, pattern))


def _name(temporary: Path, path: Path) -> None:
    """Gives a file its name. Raises: FileExistsError where a rename would overwrite"""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # one process alone can make it
        os.replace(temporary, path)


def sweep(folder: Path) -> None:
    """Removes unfinished files of writers that were killed; one that may still be written to stays."""
    for leftover in folder.glob(".*.tmp"):
        with suppress(OSError):  # another process was faster, or it is not ours to remove
            if LEFTOVER.fullmatch(leftover.name) and time.time() - leftover.stat().st_mtime > STALE_S:
                leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Makes renames in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold(path: Path) -> IO[bytes] | None:
    """The lock that path stands for, until the returned file is closed or its process dies; None if another has it.

    A process must open a lock that it holds only here: closing any other handle on the file gives a POSIX lock up.
    """
    file = open(path, "ab")  # noqa: SIM115 (open for as long as the lock is held)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(path: Path) -> bool:
    """Whether another process holds the lock.

    Two processes that ask at once do not take each other for the holder, and asking needs no permission to write. The
    package filelock can only take a lock to see whether it is free: that is why it is not used.
    """
    try:
        with open(path, "rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time inside; the others wait."""
    with open(path, "ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
