"""A data set is there whole or not at all, and what is there is what its manifest says."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep import listops
from data_prep.arrow import Recipe, ensure, read_token_file, verify, write_token_file

RECIPE = Recipe(generator="toy", version=3, parameters={"rows": 2, "seed": 0})
LISTOPS = ["--train", "50", "--val", "5", "--test", "5", "--seed", "7", "--min-length", "20", "--max-length", "100"]


def write(folder: Path) -> dict[str, dict[str, int]]:
    (folder / "train.arrow").write_bytes(b"train")
    (folder / "test.arrow").write_bytes(b"test")
    return {"rows": {"train": 1, "test": 1}}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert ensure(tmp_path / "set", RECIPE, write)
    return tmp_path / "set"


def test_manifest_says_what_is_there(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    assert {key: manifest[key] for key in ("generator", "version", "parameters", "rows")} == {
        "generator": "toy",
        "version": 3,
        "parameters": {"rows": 2, "seed": 0},
        "rows": {"train": 1, "test": 1},
    }
    assert set(manifest["sha256"]) == {"train.arrow", "test.arrow"}
    assert [path.name for path in made.parent.iterdir()] == ["set"]


def test_a_whole_set_is_not_written_again(made: Path) -> None:
    assert not ensure(made, RECIPE, lambda folder: pytest.fail("written again"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "train.arrow").write_bytes(b"trajn"), "SHA-256"),
        (lambda folder: (folder / "test.arrow").unlink(), "is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "no complete data set"),
        (lambda folder: (folder / "manifest.json").write_text('{"generator": "toy"'), "no complete data set"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "no complete data set"),
        (lambda folder: (folder / "manifest.json").write_text('{"sha256": null}'), "no complete data set"),
    ],
)
def test_a_spoiled_set_is_refused_by_name(made: Path, spoil, says: str) -> None:
    spoil(made)
    with pytest.raises(ValueError, match=says) as error:
        ensure(made, RECIPE, write)
    assert str(made) in str(error.value)
    assert "delete" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 4}, "version 3, not 4"),
        ({"generator": "other"}, "generator 'toy', not 'other'"),
        ({"parameters": {"rows": 2, "seed": 1}}, "seed=0 .asked for 1"),
        ({"parameters": {"rows": 2}}, "seed=0 .asked for None"),
    ],
)
def test_a_set_of_another_recipe_is_refused(made: Path, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        verify(made, dataclasses.replace(RECIPE, **change))


def test_other_parameters_go_to_another_folder() -> None:
    other = dataclasses.replace(RECIPE, parameters={"rows": 2, "seed": 1})
    assert RECIPE.folder_name() != other.folder_name()
    assert RECIPE.folder_name() == dataclasses.replace(RECIPE, parameters={"seed": 0, "rows": 2}).folder_name()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_set_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    def interrupted(folder: Path) -> dict:
        write(folder)
        raise stop

    with pytest.raises(stop):
        ensure(tmp_path / "set", RECIPE, interrupted)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_the_program_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: Path, **columns: np.ndarray) -> None:
        if path.name == "val.arrow":
            raise KeyboardInterrupt
        write_token_file(path, **columns)

    monkeypatch.setattr(listops, "write_token_file", interrupted)
    assert listops.main(["--out", str(tmp_path / "set"), *LISTOPS]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_killed_program_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    script = (
        "import os, sys; from data_prep import listops; whole = listops.write_token_file\n"
        "def killed(path, **columns):\n    os._exit(9) if path.name == 'test.arrow' else whole(path, **columns)\n"
        "listops.write_token_file = killed; listops.main(sys.argv[1:])"
    )
    out = tmp_path / "set"
    killed = subprocess.run([sys.executable, "-c", script, "--out", str(out), *LISTOPS], check=False)
    assert killed.returncode == 9
    assert not out.exists()
    assert list(tmp_path.iterdir())  # the half-made folder, under another name
    assert listops.main(["--out", str(out), *LISTOPS]) == 0
    assert len(read_token_file(out / "test.arrow")[2]) == 5


def test_the_slower_of_two_makers_takes_the_faster_ones_set(tmp_path: Path) -> None:
    out = tmp_path / "set"

    def slow(folder: Path) -> dict:
        assert ensure(out, RECIPE, write)
        return write(folder)

    assert not ensure(out, RECIPE, slow)
    verify(out, RECIPE)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    assert ensure(tmp_path / "set", RECIPE, write)
    verify(tmp_path / "set", RECIPE)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="no complete data set"):
        ensure(tmp_path, RECIPE, write)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_disk_that_refuses_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert listops.main(["--out", str(tmp_path / "file" / "set"), *LISTOPS]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_token_file_gives_back_its_rows_unread(tmp_path: Path) -> None:
    rows = {
        "tokens": np.arange(10, dtype=np.uint8),
        "lengths": np.array([3, 0, 7]),
        "labels": np.array([1, 2, 3], dtype=np.uint8),
    }
    write_token_file(tmp_path / "rows.arrow", **rows)
    tokens, offsets, labels = read_token_file(tmp_path / "rows.arrow")
    assert tokens.tolist() == list(range(10))
    assert offsets.tolist() == [0, 3, 3, 10]
    assert labels.tolist() == [1, 2, 3]
    assert not tokens.flags.owndata  # mapped, not copied


def test_folders_are_as_open_as_any_other(made: Path) -> None:
    usual = made.parent / "usual"
    usual.mkdir()
    assert os.stat(made).st_mode == os.stat(usual).st_mode
    shutil.rmtree(usual)
