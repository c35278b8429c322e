"""Files that stand whole or not at all, and what is left of writers that were killed."""

import errno
import os
import sys
import time
from pathlib import Path

import pytest

from lra_mru import files
from lra_mru.certify.command import main as certify
from lra_mru.report.__main__ import main as report
from lra_mru.runs import main as runs


def test_only_stale_leftovers_of_ours_are_swept(tmp_path):
    stale, fresh = (tmp_path / f".seed0.json.{digit * 32}.tmp" for digit in "ab")
    foreign = tmp_path / ".notes.tmp"
    for path in (stale, fresh, foreign):
        path.write_text("{")
        if path != fresh:
            os.utime(path, (0, time.time() - 2 * files.STALE_S))
    files.write_whole(tmp_path / "seed1.json", b"{}", overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, foreign.name, "seed1.json"])


def unreadable(monkeypatch, folder):
    """As another user sees a folder that is not theirs; root, who may run the tests, reads everything."""
    scan = os.scandir

    def refuse(path="."):
        if Path(path) == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path, monkeypatch, capsys):
    for name in ("runs/a/b/x.json", "runs/c/y.json", "runs/c/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert files.below(tmp_path / "runs", "*.json") == [tmp_path / "runs/a/b/x.json", tmp_path / "runs/c/y.json"]
    assert files.below(tmp_path / "nowhere", "*") == []
    (tmp_path / "leaderboard.md").write_text("good rows")
    unreadable(monkeypatch, tmp_path / "runs/a")
    monkeypatch.chdir(tmp_path)
    for program, *words in (
        (report, "--results", f"{tmp_path}"),
        (report, "--check", f"{tmp_path / 'runs'}"),
        (runs, "--results-dir", f"{tmp_path}"),
        (runs, "--runs-dir", f"{tmp_path / 'runs'}"),
        (certify, f"{tmp_path / 'runs'}"),
    ):
        monkeypatch.setattr(sys, "argv", ["program", *words])
        try:
            status = program()
        except SystemExit as ended:
            status = ended.code
        out, err = capsys.readouterr()
        assert status in (1, 2), words
        assert not out
        assert err.count("\n") == 1
        assert str(tmp_path / "runs/a") in err
        assert "Permission denied" in err
    assert (tmp_path / "leaderboard.md").read_text() == "good rows"


def test_a_file_system_without_links_takes_new_files_and_never_overwrites(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    files.write_whole(tmp_path / "seed0.json", b"1", overwrite=False)
    with pytest.raises(FileExistsError):
        files.write_whole(tmp_path / "seed0.json", b"2", overwrite=False)
    assert (tmp_path / "seed0.json").read_bytes() == b"1"
