"""Tasks that read pictures: what a step holds, which rows are in which split, and what is refused."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from mnist_files import NUM_TEST, NUM_TRAIN, write_mnist
from omegaconf import OmegaConf
from support import ROOT

from data_prep import digits, mnist
from data_prep.common.arrow import read_image_file
from data_prep.mnist import OFFICIAL, main, read_idx
from lra_mru.engine.recording.record import identify
from lra_mru.tasks.base import SequenceTask
from lra_mru.tasks.psmnist import bit_reversal


def make(name: str, data_dir: Path, **changes: Any) -> SequenceTask:
    cfg = OmegaConf.load(ROOT / "conf/task" / f"{name}.yaml")
    settings = dict(OmegaConf.to_container(cfg)) | {"data_dir": str(data_dir), "seed": 0, "batch_size": 10} | changes
    return get_class(settings.pop("_target_"))(**settings)


def ready(name: str, data_dir: Path, **changes: Any) -> SequenceTask:
    task = make(name, data_dir, **changes)
    task.prepare_data()
    task.setup("fit")
    return task


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_mnist(tmp_path / "mnist", monkeypatch)


def test_the_official_digests_are_pinned() -> None:
    assert {name: digest[:8] for name, digest in OFFICIAL.items()} == {
        "train-images-idx3-ubyte": "ba891046",
        "train-labels-idx1-ubyte": "65a50cbb",
        "t10k-images-idx3-ubyte": "0fa7898d",
        "t10k-labels-idx1-ubyte": "ff7bcfd4",
    }
    assert all(len(digest) == 64 for digest in OFFICIAL.values())


def test_smnist_keeps_the_official_test_set_and_takes_validation_off_train(source: Path, tmp_path: Path) -> None:
    task = ready("smnist", tmp_path, mnist_dir=str(source), num_val=20)
    assert [len(rows) for rows in (task.train_set(), task.val_set(), task.test_set(""))] == [70, 20, 30]
    test = read_idx((source / "t10k-images-idx3-ubyte").read_bytes(), "t10k-images-idx3-ubyte")
    batch = task.test_set("").__getitems__([3, 0])
    assert batch.inputs.shape == (2, 784, 1)
    assert batch.inputs.dtype == torch.float32
    assert torch.equal(batch.inputs[1, :, 0], torch.from_numpy(test[0].ravel() / np.float32(255)))
    assert batch.targets.tolist() == [3, 0]
    rows = [set(map(bytes, part.greys(list(range(len(part)))))) for part in (task.train_set(), task.val_set())]
    assert not rows[0] & rows[1]
    assert len(rows[0] | rows[1]) == NUM_TRAIN
    other = ready("smnist", tmp_path, mnist_dir=None, hub_id=None, num_val=20, data_seed=1)  # needs no source again
    assert set(map(bytes, other.val_set().greys(list(range(20))))) != rows[1]


def test_where_the_files_lie_is_no_part_of_a_run_s_name(composed: Any) -> None:
    names = [
        identify(composed("task=smnist", *more), model="bmru", task="smnist")
        for more in ((), ("task.mnist_dir=/somewhere",), ("task.num_val=5000",))
    ]
    assert names[0].config_hash == names[1].config_hash != names[2].config_hash
    assert "somewhere" not in str(names[1].config)


def test_by_row_a_step_is_a_row(source: Path, tmp_path: Path) -> None:
    pixels = ready("smnist", tmp_path, mnist_dir=str(source), num_val=20)
    rows = ready("smnist", tmp_path, mnist_dir=str(source), num_val=20, by_row=True)
    assert rows.spec.d_input == rows.spec.max_length == 28
    assert rows.variant != pixels.variant
    a, b = (task.val_set().__getitems__([5]).inputs for task in (pixels, rows))
    assert torch.equal(a.reshape(28, 28), b[0])


@pytest.mark.parametrize("permutation", ["bitrev", "seed:92916"])
def test_psmnist_reads_the_same_pixels_in_another_order(source: Path, tmp_path: Path, permutation: str) -> None:
    straight = ready("smnist", tmp_path, mnist_dir=str(source), num_val=20).val_set().__getitems__([5]).inputs[0, :, 0]
    task = ready("psmnist", tmp_path, mnist_dir=str(source), num_val=20, permutation=permutation)
    permuted = task.val_set().__getitems__([5]).inputs[0, :, 0]
    assert not torch.equal(straight, permuted)
    assert torch.equal(straight.sort().values, permuted.sort().values)
    assert torch.equal(permuted, straight[torch.from_numpy(task.order()[:, 0])])
    assert permutation in task.variant


def test_permutations_are_the_published_ones() -> None:
    assert bit_reversal(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert bit_reversal(6).tolist() == [0, 4, 2, 1, 5, 3]
    assert bit_reversal(784)[:6].tolist() == [0, 512, 256, 768, 128, 640]
    assert sorted(bit_reversal(784)) == list(range(784))
    published = np.random.RandomState(92916).permutation(784)
    assert np.array_equal(make("psmnist", Path("x"), permutation="seed:92916").order()[:, 0], published)


def test_pathfinder_is_drawn_once_and_scaled_as_the_yaml_says(tmp_path: Path) -> None:
    small = {"size": 16, "contour": 3, "num_train": 40, "num_val": 20, "num_test": 10}
    task = ready("pathfinder", tmp_path, **small)
    greys = task.val_set().greys([4, 2])
    for scale in ({}, {"pixel_mean": 127.5, "pixel_std": 127.5}):
        batch = ready("pathfinder", tmp_path, **small, **scale).val_set().__getitems__([4, 2])
        assert batch.inputs.shape == (2, 256, 1)
        mean, std = scale.get("pixel_mean", 0.0), scale.get("pixel_std", 255.0)
        assert torch.allclose(batch.inputs[..., 0], torch.from_numpy(((greys - mean) / std).astype(np.float32)))
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    assert make("pathfinder", tmp_path, **(small | {"clean": True})).folder != task.folder
    assert make("pathfinder", tmp_path, **(small | {"clean": True})).variant != task.variant


def test_pathfinder_by_row_a_step_is_a_row(tmp_path: Path) -> None:
    small = {"size": 16, "contour": 2, "num_train": 40, "num_val": 20, "num_test": 10}
    pixels, rows = ready("pathfinder", tmp_path, **small), ready("pathfinder", tmp_path, **small, by_row=True)
    assert rows.spec.d_input == rows.spec.max_length == 16
    assert rows.folder == pixels.folder
    assert rows.variant != pixels.variant
    a, b = (task.val_set().__getitems__([5]).inputs for task in (pixels, rows))
    assert torch.equal(a.reshape(16, 16), b[0])


def test_the_long_range_arena_s_figures_are_the_defaults() -> None:
    pathfinder, pathx = make("pathfinder", Path("x"), batch_size=64), make("pathx", Path("x"), batch_size=16)
    assert pathfinder.spec.max_length == 1024
    assert pathx.spec.max_length == 16384
    for task in (pathfinder, pathx):
        assert (task.num_train, task.num_val, task.num_test, task.contour) == (160_000, 20_000, 20_000, 14)


def test_pictures_of_several_files_are_one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"size": 16, "contour": 3, "num_train": 40, "num_val": 20, "num_test": 10}
    whole = ready("pathfinder", tmp_path / "a", **small).train_set()
    monkeypatch.setattr("data_prep.pathfinder.make.FILE_PIXELS", 15 * 256)
    parts = ready("pathfinder", tmp_path / "b", **small).train_set()
    assert len(parts.pixels) == 3
    rows = [39, 0, 14, 15, 30, 29, 15]
    assert np.array_equal(parts.greys(rows), whole.greys(rows))
    assert np.array_equal(parts.labels, whole.labels)


def test_digits_are_dealt_out_whole_and_apart(tmp_path: Path) -> None:
    task = ready("digits", tmp_path)
    sets = [task.train_set(), task.val_set(), task.test_set("")]
    assert [len(rows) for rows in sets] == [1257, 180, 360]
    rows = [set(map(bytes, part.greys(list(range(len(part)))))) for part in sets]
    assert len(set.union(*rows)) == digits.NUM_PICTURES
    assert task.train_set().__getitems__(list(range(500))).inputs.max() == 1


def spoil_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("train-images-idx3-ubyte.gz", spoil_truncate, "truncated or damaged"),
        ("t10k-images-idx3-ubyte", spoil_truncate, "truncated?"),
        ("t10k-labels-idx1-ubyte", lambda path: path.write_bytes(path.read_bytes()[:3]), "no IDX file"),
        ("t10k-labels-idx1-ubyte", lambda path: path.unlink(), "holds neither t10k-labels-idx1-ubyte nor"),
        (
            "t10k-labels-idx1-ubyte",
            lambda path: path.write_bytes((path.parent / "t10k-images-idx3-ubyte").read_bytes()),
            "has 3 dimensions, not 1: was it renamed?",
        ),
        (
            "t10k-images-idx3-ubyte",
            lambda path: path.write_bytes(gzip.decompress((path.parent / "train-images-idx3-ubyte.gz").read_bytes())),
            "is train-images-idx3-ubyte under another name",
        ),
        (
            "t10k-images-idx3-ubyte",
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x07"),
            "does not have the SHA-256 of the official file",
        ),
    ],
)
def test_a_file_that_is_not_the_official_one_is_named(
    source: Path, tmp_path: Path, name: str, spoil: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(source / name)
    assert main(["--source", str(source), "--out", str(tmp_path / "out" / "set")]) == 2
    message = capsys.readouterr().err
    assert name in message
    assert says in message
    assert message.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


def test_the_program_imports_whole_and_a_flipped_byte_is_found(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--source", str(source), "--out", str(tmp_path / "set")]
    assert main(command) == 0
    assert f"{NUM_TRAIN + NUM_TEST} examples in" in capsys.readouterr().out
    assert len(read_image_file(tmp_path / "set/train.arrow")[1]) == NUM_TRAIN
    path = tmp_path / "set/train.arrow"
    spoilt = bytearray(path.read_bytes())
    spoilt[5000] ^= 1
    path.write_bytes(spoilt)
    assert main(command) == 2
    assert str(path) in capsys.readouterr().err


def test_the_hub_comes_second_and_is_checked_too(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hub(name: str, get_it: str, *, other_key: str) -> dict[str, Any]:
        assert name == "some/mnist"
        parts = {}
        for split, prefix, rows in (("train", "train", NUM_TRAIN), ("test", "t10k", NUM_TEST)):
            path = source / f"{prefix}-images-idx3-ubyte"
            packed = source / f"{prefix}-images-idx3-ubyte.gz"
            content = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
            parts[split] = {"image": list(read_idx(content, path.name)), "label": [i % 10 for i in range(rows)]}
        parts["test"]["image"][0] = parts["test"]["image"][int(spoilt)]
        return parts

    spoilt = False
    monkeypatch.setattr(mnist, "hub_splits", hub)
    ready("smnist", tmp_path / "local", mnist_dir=str(source), hub_id="never/asked", num_val=20)
    task = ready("smnist", tmp_path / "hub", hub_id="some/mnist", num_val=20)
    for name in ("train.arrow", "test.arrow"):
        there = tmp_path / "local" / task.folder.name / name
        assert (task.folder / name).read_bytes() == there.read_bytes()
    spoilt = True
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte of task.hub_id=some/mnist does not have the SHA-256"):
        ready("smnist", tmp_path / "spoilt", hub_id="some/mnist", num_val=20)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("pathfinder", {"size": 33}, "size=33 must be one of"),
        ("pathfinder", {"contour": 5}, "contour=5 must be one of 6, 9, 14"),
        ("pathfinder", {"num_val": 0}, "num_val=0"),
        ("pathx", {"pixel_std": 0.0}, "pixel_std=0.0 must be above 0"),
        ("smnist", {"num_val": 60000}, "num_val=60000 must be below 60000"),
        ("psmnist", {"permutation": "random"}, "permutation='random' must be bitrev or seed:<number>"),
        ("psmnist", {"by_row": True}, "by_row=True"),
        ("digits", {"num_test": 1700}, "num_val=180, num_test=1700"),
    ],
)
def test_bad_values_are_refused_when_the_task_is_made(
    tmp_path: Path, name: str, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as error:
        make(name, tmp_path, **change)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
