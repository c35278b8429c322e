"""A data set is there whole or not at all, and what is there is what its manifest says."""

import dataclasses
import json
import os
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from data_prep.common.arrow import read_image_file, read_token_file, write_image_file, write_token_file
from data_prep.common.data_set import Recipe, ensure, verify, whole_file

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


def stopping(stop: BaseException):
    """A writer that finishes one file and stops in the middle of the next."""

    def write_some(folder: Path) -> dict:
        if not (folder / "train.arrow").exists():
            with whole_file(folder / "train.arrow") as path:
                path.write_bytes(b"train")
        with whole_file(folder / "test.arrow") as path:
            path.write_bytes(b"te")
            raise stop

    return write_some


@pytest.mark.parametrize("stop", [RuntimeError(), OSError(28, "No space left on device")])
def test_a_failed_set_leaves_nothing(tmp_path: Path, stop: Exception) -> None:
    with pytest.raises(type(stop)):
        ensure(tmp_path / "set", RECIPE, stopping(stop))
    assert not list(tmp_path.iterdir())


def test_an_interrupted_set_keeps_whole_files_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path / "set", RECIPE, stopping(KeyboardInterrupt()))
    (left,) = tmp_path.iterdir()
    assert [path.name for path in left.glob("[!.]*")] == ["train.arrow"]  # and a hidden file with its SHA-256
    kept = (left / "train.arrow").stat().st_ino

    def go_on(folder: Path) -> dict:
        assert [path.name for path in folder.glob("[!.]*")] == ["train.arrow"]
        with whole_file(folder / "test.arrow") as path:
            path.write_bytes(b"test")
        return {"rows": {}}

    assert ensure(tmp_path / "set", RECIPE, go_on)
    verify(tmp_path / "set", RECIPE)
    assert (tmp_path / "set/train.arrow").stat().st_ino == kept
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_file_that_changed_since_it_was_written_is_made_again(tmp_path: Path) -> None:
    """One bit of a whole file that an interrupted maker left, and a file that nobody wrote."""
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path / "set", RECIPE, stopping(KeyboardInterrupt()))
    (left,) = tmp_path.iterdir()
    content = bytearray((left / "train.arrow").read_bytes())
    content[0] ^= 1
    (left / "train.arrow").write_bytes(content)
    (left / "stray.arrow").write_bytes(b"stray")

    def go_on(folder: Path) -> dict:
        assert not list(folder.glob("*.arrow"))
        return write(folder)

    assert ensure(tmp_path / "set", RECIPE, go_on)
    verify(tmp_path / "set", RECIPE)
    assert not list((tmp_path / "set").rglob("*.sha256"))


def test_a_file_that_rots_before_it_is_signed_is_found(tmp_path: Path) -> None:
    def rotten(folder: Path) -> dict:
        with whole_file(folder / "train.arrow") as path:
            path.write_bytes(b"train")
        (folder / "train.arrow").write_bytes(b"trail")
        return {"rows": {}}

    assert ensure(tmp_path / "set", RECIPE, rotten)
    with pytest.raises(ValueError, match="does not have the SHA-256"):
        verify(tmp_path / "set", RECIPE)


def test_files_that_belong_together_are_kept_together(tmp_path: Path) -> None:
    """Pictures and the list of them: with one picture changed, all are made again."""

    def write_pictures(folder: Path) -> dict:
        made.append(not (folder / "meta/list").exists())
        if made[-1]:
            for part in ("meta", "imgs"):
                (folder / part).mkdir(exist_ok=True)
            pictures = [folder / "imgs/0.png", folder / "imgs/1.png"]
            for picture in pictures:
                picture.write_bytes(picture.name.encode())
            with whole_file(folder / "meta/list", along=pictures) as path:
                path.write_text("two")
        if stops.pop():
            raise KeyboardInterrupt
        return {"rows": {}}

    made: list[bool] = []
    for change, expected in ((b"0.png", [True, False]), (b"O.png", [True, True])):
        made.clear()
        stops, out = [False, True], tmp_path / change.decode()
        with pytest.raises(KeyboardInterrupt):
            ensure(out, RECIPE, write_pictures)
        (left,) = tmp_path.glob(".*")
        (left / "imgs/0.png").write_bytes(change)
        assert ensure(out, RECIPE, write_pictures)
        assert made == expected
        verify(out, RECIPE)
        assert (out / "imgs/0.png").read_bytes() == b"0.png"
        manifest = json.loads((out / "manifest.json").read_text())
        assert list(manifest["sha256"]) == ["imgs/0.png", "imgs/1.png", "meta/list"]


@pytest.mark.parametrize("name", ["train-00001-of-00001.arrow", "more/notes.txt", ".hidden"])
def test_a_file_that_the_manifest_does_not_know_is_refused_by_name(made: Path, name: str) -> None:
    (made / name).parent.mkdir(exist_ok=True)
    (made / name).write_bytes((made / "train.arrow").read_bytes())
    with pytest.raises(ValueError, match=f"{re.escape(name)} does not stand in manifest.json: take it away"):
        ensure(made, RECIPE, write)
    (made / name).unlink()
    assert not ensure(made, RECIPE, write)


def test_another_recipe_takes_nothing_from_an_interrupted_one(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path / "set", RECIPE, stopping(KeyboardInterrupt()))
    for change in ({"version": 4}, {"parameters": {"rows": 3}}):
        with pytest.raises(KeyboardInterrupt):
            ensure(tmp_path / "set", dataclasses.replace(RECIPE, **change), lambda folder: seen_empty(folder))


def seen_empty(folder: Path) -> dict:
    assert not list(folder.iterdir())
    raise KeyboardInterrupt


def test_a_second_maker_waits_and_takes_the_first_ones_set(tmp_path: Path) -> None:
    out, second_began = tmp_path / "set", threading.Event()
    results = []

    def slow(folder: Path) -> dict:
        other = threading.Thread(
            target=lambda: (second_began.set(), results.append(ensure(out, RECIPE, lambda f: pytest.fail("made"))))
        )
        other.start()
        second_began.wait()
        time.sleep(0.1)
        assert not results
        threads.append(other)
        return write(folder)

    threads: list[threading.Thread] = []
    assert ensure(out, RECIPE, slow)
    threads[0].join()
    assert results == [False]
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


def test_images_come_back_unread(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_image_file(tmp_path / "images.arrow", images=images, labels=np.array([1, 0], np.uint8))
    pixels, labels = read_image_file(tmp_path / "images.arrow")
    assert pixels.tolist() == images.reshape(2, 12).tolist()
    assert labels.tolist() == [1, 0]
    assert not pixels.flags.owndata
    assert Dataset.from_file(str(tmp_path / "images.arrow"))[1] == {"pixels": list(range(12, 24)), "label": 0}


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
