"""Purity, splits, layouts and refusals of the Pathfinder program."""

import hashlib
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image
from support import assert_refused_in_one_line

from data_prep.common.program import Clock
from data_prep.common.splits import SPLITS
from data_prep.pathfinder import make as pathfinder
from data_prep.pathfinder.make import PathfinderParameters, main, make_images, make_pathfinder, read_images
from data_prep.pathfinder.settings import SETTINGS

SMALL = PathfinderParameters(train=60, val=12, test=12, seed=7, size=16, contour=4, clean=False, format="arrow")
ARGUMENTS = ["--train=60", "--val=12", "--test=12", "--seed=7", "--size=16", "--contour=4"]


def small(**changes: int | str | bool) -> PathfinderParameters:
    return PathfinderParameters(**(vars(SMALL) | changes))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_image_depends_on_seed_split_and_number_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_images(SMALL, "val", 0, 12)
    singly = [make_images(SMALL, "val", i, 1) for i in reversed(range(12))][::-1]
    for column in range(len(whole)):
        assert np.array_equal(np.concatenate([one[column] for one in singly]), whole[column])
    assert not np.isin(make_images(small(seed=8), "val", 0, 12).hashes, whole.hashes).any()
    monkeypatch.setattr(pathfinder, "CHUNK_PIXELS", 7 * 256)
    for format in pathfinder.FORMATS:
        for workers in (1, 4):
            make_pathfinder(tmp_path / f"{format}{workers}", small(format=format), workers=workers, clock=Clock())
        assert content(tmp_path / f"{format}1") == content(tmp_path / f"{format}4")


@pytest.mark.parametrize(("size", "contour", "rows"), [(16, 3, 1500), (32, 14, 300)])
def test_no_image_stands_in_two_splits(size: int, contour: int, rows: int) -> None:
    parameters = small(size=size, contour=contour)
    hashes = {split: set(make_images(parameters, split, 0, rows).hashes.tolist()) for split in SPLITS}
    for a, b in itertools.combinations(SPLITS, 2):
        assert not hashes[a] & hashes[b]
    repeated = 3 * rows - sum(map(len, hashes.values()))
    assert repeated == 0 if size == 32 else repeated > 50  # few images of size 16 exist: chance would mix the splits


@pytest.mark.parametrize("split", SPLITS)
def test_every_image_carries_its_split(split: str) -> None:
    """The rule of data_prep/pathfinder/generate.py's docstring, worked out in plain Python."""

    def mixed(x: int) -> int:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            x = (x ^ (x >> shift)) * factor % 2**64
        return x

    for image in make_images(SMALL, split, 0, 12).images:
        h = 0xCBF29CE484222325
        for grey in image.ravel().tolist():
            h = ((h ^ grey) * 0x100000001B3) % 2**64
        assert {0: "val", 1: "test"}.get((mixed(mixed(h)) >> 32) * 10 // 2**32, "train") == split


@pytest.mark.parametrize("size", sorted(SETTINGS))
def test_every_size_and_contour_can_be_drawn(size: int) -> None:
    for contour, clean in itertools.product(SETTINGS[size].contours, (False, True)):
        made = make_images(small(size=size, contour=contour, clean=clean), "train", 0, 2)
        assert made.images.shape == (2, size, size)
        assert (made.images.max((1, 2)) == 255).all()
        assert set(made.margins) <= set(SETTINGS[size].margins)


def test_path_x_draws_both_margins() -> None:
    assert set(make_images(small(size=128, contour=6), "train", 0, 12).margins) == {2, 3}


def test_arrow_files_come_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pathfinder, "FILE_PIXELS", 25 * 256)
    make_pathfinder(tmp_path / "set", SMALL, workers=2, clock=Clock())
    assert sorted(path.name for path in (tmp_path / "set").glob("train*")) == [
        f"train-{i:05d}-of-00003.arrow" for i in range(3)
    ]
    made = make_images(SMALL, "train", 0, 60)
    pixels, labels = zip(*read_images(tmp_path / "set", "train"), strict=True)
    assert np.array_equal(np.concatenate(pixels), made.images.reshape(60, -1))
    assert np.array_equal(np.concatenate(labels), made.labels)
    assert not pixels[0].flags.owndata
    row = Dataset.from_file(str(tmp_path / "set/train-00001-of-00003.arrow"))[0]
    assert row == {"pixels": made.images[25].ravel().tolist(), "label": int(made.labels[25])}


def test_the_tree_of_pngs_reads_as_published_loaders_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pathfinder, "FOLDER_IMAGES", 25)
    assert main(["--out", str(tmp_path / "set"), *ARGUMENTS, "--format", "lra"]) == 0
    base = tmp_path / "set/pathfinder16/curv_contour_length_4"
    assert sorted(path.name for path in (base / "metadata").iterdir()) == [f"{i}.npy" for i in range(5)]
    rows = []
    for number in range(5):
        for line in (base / f"metadata/{number}.npy").read_text().split("\n")[:-1]:
            columns = line.split(" ")
            assert len(columns) == 11
            assert columns[4:] == ["1.0", "4", "1", "2", "0.5", "1", "1"]
            image = Image.open(base / columns[0] / columns[1])
            assert image.mode == "L"
            rows.append((np.array(image), int(columns[3])))
    made = [make_images(SMALL, split, 0, getattr(SMALL, split)) for split in SPLITS]
    assert np.array_equal(np.stack([image for image, _ in rows]), np.concatenate([part.images for part in made]))
    assert [label for _, label in rows] == np.concatenate([part.labels for part in made]).tolist()


def test_lra_names_its_difficulties(tmp_path: Path) -> None:
    for contour, name in {6: "curv_baseline", 9: "curv_contour_length_9", 14: "curv_contour_length_14"}.items():
        setting = small(size=32, contour=contour, train=1, val=0, test=0, format="lra")
        make_pathfinder(tmp_path / name, setting, workers=1, clock=Clock())
        assert (tmp_path / name / "pathfinder32" / name / "imgs/0/sample_0.png").is_file()


@pytest.mark.parametrize("format", pathfinder.FORMATS)
def test_a_killed_program_goes_on_file_by_file(tmp_path: Path, format: str) -> None:
    script = (
        "import os, signal, sys; from data_prep.pathfinder import make as p; whole = p.make_images\n"
        "p.FILE_PIXELS = 25 * 256; p.FOLDER_IMAGES = 25\n"
        "def killed(parameters, split, first, n):\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if (split, first) == ('train', 50) and 'kill' in os.environ else 0\n"
        "    return whole(parameters, split, first, n)\n"
        "p.make_images = killed; sys.exit(p.main(sys.argv[1:]))"
    )
    out = tmp_path / "set"
    command = [sys.executable, "-c", script, *ARGUMENTS, "--format", format, "--out"]
    killed = subprocess.run([*command, str(out)], env=os.environ | {"kill": ""}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    done = subprocess.run([*command, str(out)], capture_output=True, text=True, check=True)
    assert "made, 34 examples" in done.stdout  # 50 of 84 were kept
    subprocess.run([*command, str(tmp_path / "unbroken")], capture_output=True, check=True)
    assert content(out) == content(tmp_path / "unbroken")


def test_a_flipped_byte_is_found_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--out", str(tmp_path / "set"), *ARGUMENTS]
    assert main(command) == 0
    assert main(command) == 0
    assert "kept" in capsys.readouterr().out
    path = tmp_path / "set/val-00000-of-00001.arrow"
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    path.write_bytes(spoilt)
    assert main(command) == 2
    message = capsys.readouterr().err
    assert str(path) in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--size=48"], "size=48 must be one of 16, 32, 64, 128, 256"),
        (["--contour=14"], "contour=14 must be one of 2, 3, 4, 5 at size=16: longer snakes find no room"),
        (["--size=32", "--contour=7"], "contour=7 must be one of 6, 9, 14"),
        (["--train=-1"], "train=-1"),
        (["--train=0", "--val=0", "--test=0"], "at least one image"),
        (["--seed=-1"], "seed=-1"),
        (["--clean=maybe"], "maybe"),
        (["--workers=0"], "workers=0"),
        (["--format=png"], "png"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(
    change: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused_in_one_line(main, ["--out", str(tmp_path / "set"), *ARGUMENTS, *change], says, capsys)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written_gets_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["--out", str(tmp_path / "set"), *ARGUMENTS]) == 1
    message = capsys.readouterr().err
    assert f"cannot write {tmp_path / 'set'}: Permission denied" in message
    assert message.count("\n") == 1


def test_the_data_of_this_version_stays_what_they_are() -> None:
    """If this fails, raise VERSION in data_prep/pathfinder/make.py and put the new digest here."""
    made = [make_images(small(size=size, contour=contour), "train", 0, 20) for size, contour in ((16, 4), (32, 14))]
    digest = hashlib.sha256(b"".join(part.images.tobytes() + part.labels.tobytes() for part in made)).hexdigest()[:16]
    assert (pathfinder.VERSION, digest) == (2, "5f847d2975e12b3d")
