"""Files that stand whole or not at all, and what is left of writers that were killed."""

import errno
import os
import time

import pytest

from lra_mru import files


def test_only_stale_leftovers_of_ours_are_swept(tmp_path):
    stale, fresh = (tmp_path / f".seed0.json.{digit * 32}.tmp" for digit in "ab")
    foreign = tmp_path / ".notes.tmp"
    for path in (stale, fresh, foreign):
        path.write_text("{")
        if path != fresh:
            os.utime(path, (0, time.time() - 2 * files.STALE_S))
    files.write_whole(tmp_path / "seed1.json", b"{}", overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, foreign.name, "seed1.json"])


def test_a_file_system_without_links_takes_new_files_and_never_overwrites(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    files.write_whole(tmp_path / "seed0.json", b"1", overwrite=False)
    with pytest.raises(FileExistsError):
        files.write_whole(tmp_path / "seed0.json", b"2", overwrite=False)
    assert (tmp_path / "seed0.json").read_bytes() == b"1"
