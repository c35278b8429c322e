"""image, text and retrieval: read from small files in LRA's own layout, and clear about a source that is missing."""

import datasets
import numpy as np
import pytest
import torch
from lra_layout import SIZES, write_lra
from omegaconf import OmegaConf
from PIL import Image as PillowImage
from support import ROOT

from data_prep.image import grey
from lra_mru.engine.build import build
from lra_mru.engine.recording.record import identify
from lra_mru.tasks.base import SequenceTask

NAMES = ("image", "text", "retrieval")


@pytest.fixture(scope="module")
def lra_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lra")
    write_lra(folder)
    return folder


def make(name: str, data_dir, **changes) -> SequenceTask:
    root = OmegaConf.create({"data_dir": str(data_dir), "seed": 0})
    root.task = OmegaConf.load(ROOT / "conf/task" / f"{name}.yaml")
    sizes = {key: value for key, value in {**SIZES, "max_length": 40}.items() if key in root.task}
    return build(OmegaConf.merge(root.task, sizes, {"batch_size": 8, "eval_batch_tokens": 2100} | changes), "task")


@pytest.fixture(scope="module")
def made(lra_dir, tmp_path_factory):
    """made(name) -> the task, imported and set up; imported once."""
    data_dir, tasks = tmp_path_factory.mktemp("data"), {}

    def get(name: str) -> SequenceTask:
        if name not in tasks:
            tasks[name] = make(name, data_dir, lra_dir=str(lra_dir))
            tasks[name].prepare_data()
            tasks[name].setup("fit")
        return tasks[name]

    return get


def rows_of(task, split) -> list[bytes]:
    """Content of each row, padding left out; of a pair in whichever order it is."""
    rows = {"train": task.train_set, "val": task.val_set, "test": lambda: task.test_set("")}[split]()
    batch = rows.__getitems__(list(range(len(rows))))
    cut = [row[:n].numpy().tobytes() for row, n in zip(batch.inputs, batch.lengths.tolist(), strict=True)]
    return [b"|".join(sorted(pair)) for pair in zip(cut[0::2], cut[1::2], strict=True)] if task.spec.pairs else cut


@pytest.mark.parametrize("name", NAMES)
def test_no_content_stands_in_two_splits_and_test_is_whole(made, name):
    """What the files hold twice is left out of the earlier split: 2 pictures, 2 reviews, 2 pairs."""
    found = {split: rows_of(made(name), split) for split in ("train", "val", "test")}
    assert len(found["test"]) == SIZES["num_test"]
    assert len(found["train"]) + len(found["val"]) == 50 - 2
    sets = [set(rows) for rows in found.values()]
    assert not (sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2])


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_what_the_spec_says(made, name):
    task = made(name)
    spec, per_target = task.spec, 2 if task.spec.pairs else 1
    for batch in task.train_loader(start_step=0, num_steps=6, rank=0, world_size=1):
        assert batch.targets.shape == (8,)
        assert batch.targets.dtype == torch.int64
        assert 0 <= batch.targets.min() <= batch.targets.max() < spec.num_classes
        assert batch.inputs.shape[:2] == (8 * per_target, batch.lengths.max())
        assert batch.lengths.shape == (8 * per_target,)
        assert batch.lengths.max() <= spec.max_length
    batches = list(task.test_dataloader_for(""))
    assert sum(len(batch.targets) for batch in batches) == SIZES["num_test"]
    assert all(batch.inputs.shape[0] * batch.inputs.shape[1] <= 2100 for batch in batches)
    floors = task.floors()
    assert floors["chance"] == 1 / spec.num_classes
    assert floors["constant_guess"] == pytest.approx(1 / spec.num_classes, abs=0.11)


def test_pixels_are_scaled_grey_in_raster_order(made, lra_dir):
    task = made("image")
    record = np.fromfile(lra_dir / "cifar-10-batches-bin/test_batch.bin", dtype=np.uint8)[: 1 + 3072]
    rgb = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
    luma = np.asarray(PillowImage.fromarray(rgb).convert("L"))
    batch = task.test_set("").__getitems__([0])
    assert batch.targets.item() == record[0]
    torch.testing.assert_close(batch.inputs[0, :, 0], torch.from_numpy((luma.reshape(-1) - 122.6) / 61).float())


def test_grey_is_pillows_over_all_of_a_channel():
    rgb = np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    assert np.array_equal(grey(rgb), np.asarray(PillowImage.fromarray(rgb).convert("L")))


def test_text_is_bytes_cut_off(made):
    rows = made("text").test_set("")
    batch = rows.__getitems__([0, 9, 10])
    assert bytes(batch.inputs[0, : batch.lengths[0]].tolist()).decode() == "neg ü 0"
    assert bytes(batch.inputs[1].tolist()) == (b"test neg 9 " + b"word " * 9)[:40]
    assert batch.targets.tolist() == [0, 0, 1]


def test_a_pair_lies_side_by_side(made):
    batch = made("retrieval").test_set("").__getitems__([4, 0])
    texts = [bytes(row[:n].tolist()).decode() for row, n in zip(batch.inputs, batch.lengths.tolist(), strict=True)]
    assert [text.split(" says")[0].strip() for text in texts] == ["paper 4", "paper 7", "paper 5", "paper 50"]
    assert batch.targets.tolist() == [0, 1]


def test_validation_is_drawn_by_data_seed(lra_dir, tmp_path):
    found = []
    for seed in (0, 0, 1):
        task = make("text", tmp_path, lra_dir=str(lra_dir), data_seed=seed)
        task.prepare_data()
        task.setup("fit")
        found.append(rows_of(task, "val"))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_hub_data_set_gives_the_same_rows(name, made, lra_dir, tmp_path):
    """A folder laid out as a data set of the hub: `datasets` reads it by the code that reads the hub."""
    for split, rows in HUB[name](lra_dir).items():
        datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "hub" / f"{split}.parquet")
    task = make(name, tmp_path / "data", hub_id=str(tmp_path / "hub"))
    task.prepare_data()
    task.setup("fit")
    for split in ("train", "val", "test"):
        assert rows_of(task, split) == rows_of(made(name), split)


def hub_images(lra_dir):
    names = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    found = {}
    for split, batches in names.items():
        content = [(lra_dir / "cifar-10-batches-bin" / f"{batch}.bin").read_bytes() for batch in batches]
        records = np.frombuffer(b"".join(content), dtype=np.uint8).reshape(-1, 3073)
        pictures = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        found[split] = {"img": [*map(PillowImage.fromarray, pictures)], "label": records[:, 0].tolist()}
    return found


def hub_texts(lra_dir):
    found = {}
    for split in ("train", "test"):
        paths = [sorted((lra_dir / "aclImdb" / split / label).glob("*")) for label in ("neg", "pos")]
        text = [path.read_text(encoding="utf-8") for group in paths for path in group]
        found[split] = {"text": text, "label": [0] * len(paths[0]) + [1] * len(paths[1])}
    return found


def hub_pairs(lra_dir):
    found = {}
    for split, name in {"train": "train", "validation": "eval", "test": "test"}.items():
        lines = (lra_dir / f"lra_release/tsv_data/new_aan_pairs.{name}.tsv").read_text().splitlines()
        label, _, _, text1, text2 = zip(*(line.split("\t") for line in lines), strict=True)
        found[split] = {"label": [*map(float, label)], "text1": text1, "text2": text2}
    return found


HUB = {"image": hub_images, "text": hub_texts, "retrieval": hub_pairs}


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_source_is_told_in_one_line_with_the_mend(name, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", no_network)
    for change in ({}, {"lra_dir": str(tmp_path)}):
        with pytest.raises(
            ValueError, match=r"unpack https://\S+ .*give task\.lra_dir=<the folder that holds"
        ) as error:
            make(name, tmp_path / "data", **change).prepare_data()
        assert "\n" not in str(error.value)
        assert not [*(tmp_path / "data").iterdir()]


def no_network(*args, **kwargs):
    raise ConnectionError("no network in tests")


@pytest.mark.parametrize(
    ("name", "path", "content", "says"),
    [
        ("image", "cifar-10-batches-bin/data_batch_2.bin", b"\0" * 100, r"data_batch_2\.bin has 100 bytes.*cut off"),
        ("image", "cifar-10-batches-bin/test_batch.bin", b"\x0b" * 3073, "label 11"),
        ("image", "cifar-10-batches-bin/test_batch.bin", b"\0" * 3073, "test split has 1 rows, the config says 20"),
        ("image", "cifar-10-batches-bin/data_batch_5.bin", None, r"data_batch_5\.bin is missing"),
        ("text", "aclImdb/test/pos/3_7.txt", None, "test split has 19 rows, the config says 20"),
        ("text", "aclImdb/test/pos/3_7.txt", b"", "document 13 of test is empty"),
        ("retrieval", "lra_release/tsv_data/new_aan_pairs.eval.tsv", b"1\ta\tb\tc\n", r"eval\.tsv, line 1: 4 fields"),
        ("retrieval", "lra_release/tsv_data/new_aan_pairs.test.tsv", b"2\ta\tb\tc\td\n", r"line 1: label '2'"),
        ("retrieval", "lra_release/tsv_data/new_aan_pairs.test.tsv", b"1\ta\tb\t\td\n", r"line 1: a text is empty"),
    ],
)
def test_damaged_sources_are_named(name, path, content, says, tmp_path):
    write_lra(tmp_path / "lra")
    (tmp_path / "lra" / path).unlink()
    if content is not None:
        (tmp_path / "lra" / path).write_bytes(content)
    with pytest.raises(ValueError, match=says) as error:
        make(name, tmp_path / "data", lra_dir=str(tmp_path / "lra")).prepare_data()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_is_found_before_training(name, lra_dir, tmp_path):
    task = make(name, tmp_path, lra_dir=str(lra_dir))
    task.prepare_data()
    path = task.folder / "val.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"val\.arrow does not have the SHA-256"):
        task.prepare_data()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("image", {"num_val": 0}, "num_val=0"),
        ("image", {"pixel_std": 0.0}, r"pixel_std=0\.0"),
        ("text", {"max_length": 0}, "max_length=0"),
        ("retrieval", {"num_test": -1}, "num_test=-1"),
    ],
)
def test_bad_values_are_refused_when_the_task_is_made(name, change, says, tmp_path):
    with pytest.raises(Exception, match=says) as error:
        make(name, tmp_path, **change)
    assert "\n" not in str(error.value)


def test_where_the_source_lies_is_no_part_of_a_runs_name(composed):
    def config_hash(*overrides):
        return identify(composed("task=text", *overrides), model="bmru", task="text").config_hash

    assert config_hash() == config_hash("task.lra_dir=/elsewhere") != config_hash("task.num_val=5")
