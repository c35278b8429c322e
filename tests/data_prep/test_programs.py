"""The program that makes a data set, interrupted, killed, and on a disk that refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep.common.arrow import read_token_file, write_token_file
from data_prep.listops import make as listops

LISTOPS = ["--train", "50", "--val", "5", "--test", "5", "--seed", "7", "--min-length", "20", "--max-length", "100"]


def test_ctrl_c_in_the_program_is_told_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: Path, **columns: np.ndarray) -> None:
        if path.name == "val.arrow":
            raise KeyboardInterrupt
        write_token_file(path, **columns)

    out = tmp_path / "set"
    with monkeypatch.context() as patch:
        patch.setattr(listops, "write_token_file", interrupted)
        assert listops.main(["--out", str(out), *LISTOPS]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not out.exists()
    assert listops.main(["--out", str(out), *LISTOPS]) == 0
    assert " 10 examples" in capsys.readouterr().out  # the 50 of train were kept
    assert listops.main(["--out", str(tmp_path / "unbroken"), *LISTOPS]) == 0
    for path in (tmp_path / "unbroken").iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes()


def test_a_killed_program_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal; from data_prep.listops import make as listops; whole = listops.write_token_file\n"
        "def killed(path, **columns):\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if path.name == 'test.arrow' else whole(path, **columns)\n"
        "listops.write_token_file = killed; listops.main(sys.argv[1:])"
    )
    out = tmp_path / "set"
    killed = subprocess.run([sys.executable, "-c", script, "--out", str(out), *LISTOPS], check=False)
    assert killed.returncode == -9
    assert not out.exists()
    (left,) = tmp_path.iterdir()  # the half-made folder, under another name
    (left / "val.arrow").rename(left / "val.arrow.unfinished")  # as if killed within that file
    assert listops.main(["--out", str(out), *LISTOPS]) == 0
    assert len(read_token_file(out / "test.arrow")[2]) == 5
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "test.arrow", "train.arrow", "val.arrow"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_disk_that_refuses_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert listops.main(["--out", str(tmp_path / "file" / "set"), *LISTOPS]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk_gets_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A real one cannot be had here: the system refuses to let any file of this process grow beyond 1 kB."""
    script = (
        "import resource, sys; from data_prep.listops import make as listops; out, *rest = sys.argv[1:]\n"
        "assert listops.main([out + '-compiled', *rest]) == 0\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); sys.exit(listops.main([out, *rest]))"
    )
    for format in listops.FORMATS:
        folder = tmp_path / format
        command = [sys.executable, "-c", script, f"--out={folder / 'set'}", *LISTOPS, "--format", format]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert f"cannot write {folder / 'set'}: " in done.stderr
        assert "File too large" in done.stderr
        assert "free space there, or name a folder on another disk" in done.stderr
        assert done.stderr.count("\n") == 1
        assert [path.name for path in folder.iterdir()] == ["set-compiled"]
