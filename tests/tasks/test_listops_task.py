"""ListOps as batches: rows as stored, padding without meaning, groups by root operator, data verified on use."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.common.arrow import read_token_file
from lra_mru.tasks.listops import ListOps

SETTING = {
    "seed": 0,
    "data_seed": 7,
    "batch_size": 16,
    "eval_batch_tokens": 1000,
    "num_workers": 0,
    "num_train": 200,
    "num_val": 50,
    "num_test": 70,
    "min_length": 10,
    "max_length": 60,
    "max_depth": 10,
    "max_args": 10,
}


def task(data_dir: Path, **changes: int) -> ListOps:
    return ListOps(data_dir=str(data_dir), **(SETTING | changes))


@pytest.fixture(scope="module")
def listops(tmp_path_factory: pytest.TempPathFactory) -> ListOps:
    made = task(tmp_path_factory.mktemp("data"))
    made.prepare_data()
    made.setup("fit")
    return made


def test_a_batch_holds_the_stored_rows(listops: ListOps) -> None:
    tokens, offsets, labels = read_token_file(listops.folder / "val.arrow")
    picked = [40, 3, 17]
    batch = listops.val_set().__getitems__(picked)
    assert batch.inputs.dtype == batch.lengths.dtype == batch.targets.dtype == torch.int64
    assert batch.inputs.shape[1] == batch.lengths.max()
    for i, row in enumerate(picked):
        stored = tokens[offsets[row] : offsets[row + 1]]
        assert batch.lengths[i] == len(stored)
        assert batch.inputs[i, : len(stored)].tolist() == stored.tolist()
        assert batch.targets[i] == labels[row]
        assert listops.group_names[batch.groups[i]] == {10: "MIN", 11: "MAX", 12: "MED", 13: "SM"}[stored[0]]


def test_a_row_does_not_depend_on_its_neighbours_but_for_padding(listops: ListOps) -> None:
    rows = listops.train_set()
    together = rows.__getitems__(list(range(200)))
    for row in range(200):
        alone = rows.__getitems__([row])
        assert alone.inputs.shape == (1, alone.lengths[0])
        assert torch.equal(together.inputs[row, : alone.lengths[0]], alone.inputs[0])
        assert together.targets[row] == alone.targets[0]


def test_every_tree_closes_exactly_at_its_length(listops: ListOps) -> None:
    """So `lengths` alone marks the padding: no id is spent on it."""
    batch = listops.train_set().__getitems__(list(range(200)))
    assert listops.spec.vocab_size == 15
    for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True):
        nesting = ((row[:length] >= 10) & (row[:length] < 14)).long() - (row[:length] == 14).long()
        depth = nesting.cumsum(0)
        assert depth[-1] == 0
        assert (depth[:-1] > 0).all()


def test_sets_have_the_sizes_and_lengths_asked_for(listops: ListOps) -> None:
    for rows, size in [(listops.train_set(), 200), (listops.val_set(), 50), (listops.test_set(""), 70)]:
        assert len(rows) == len(rows.lengths()) == size
        assert rows.lengths().min() > 10
        assert rows.lengths().max() < 60
    assert listops.spec.max_length == 59
    assert listops.test_sets == {"": 59}
    sizes = [(len(batch.targets), batch.inputs.shape[1]) for batch in listops.test_dataloader_for("")]
    assert sum(rows for rows, _ in sizes) == 70
    assert all(rows * steps <= 1000 for rows, steps in sizes)
    with pytest.raises(ValueError, match="suffix='@3000'"):
        listops.test_dataloader_for("@3000")


def test_a_training_row_of_every_epoch(listops: ListOps) -> None:
    batches = list(listops.train_loader(start_step=0, num_steps=24, rank=0, world_size=1))  # 12 batches an epoch
    for epoch in (batches[:12], batches[12:]):
        rows = [
            bytes(row[:length].tolist())
            for batch in epoch
            for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True)
        ]
        assert len(set(rows)) == len(rows) == 192


def test_floors(listops: ListOps) -> None:
    floors = listops.floors()
    train, test = listops.train_set().labels, listops.test_set("").labels
    assert floors["chance"] == 0.1
    assert floors["constant_guess"] == pytest.approx(np.mean(test == np.bincount(train).argmax()))
    assert set(floors) == {"chance", "constant_guess", "root_operator", "root_operator_and_digits"}
    assert all(0 <= floor <= 1 for floor in floors.values())


def test_settings_have_folders_and_labels_of_their_own(listops: ListOps, tmp_path: Path) -> None:
    for change in ({"min_length": 11}, {"max_length": 61}, {"max_depth": 9}, {"max_args": 9}, {"num_train": 199}):
        assert task(tmp_path, **change).folder.name != listops.folder.name
        assert task(tmp_path, **change).variant != listops.variant
    assert task(tmp_path, data_seed=8).folder.name != listops.folder.name
    for change in ({"seed": 1}, {"batch_size": 8}, {"eval_batch_tokens": 7}):
        assert task(tmp_path, **change).folder.name == listops.folder.name
        assert task(tmp_path, **change).variant == listops.variant


def test_data_is_verified_on_every_use(tmp_path: Path) -> None:
    task(tmp_path).prepare_data()
    folder = task(tmp_path).folder
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    task(tmp_path).prepare_data()
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": 0}))
    with pytest.raises(ValueError, match=f"{folder}.* version 0, not 2.*delete"):
        task(tmp_path).prepare_data()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    task(tmp_path).prepare_data()

    content = bytearray((folder / "train.arrow").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "train.arrow").write_bytes(content)
    with pytest.raises(ValueError, match=f"{folder}/train.arrow.*SHA-256.*delete"):
        task(tmp_path).prepare_data()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_train": 0}, "num_train=0"),
        ({"num_test": -2}, "num_test=-2"),
        ({"min_length": -1}, "min_length=-1"),
        ({"max_length": 11}, "max_length=11"),
        ({"max_args": 1}, "max_args=1"),
        ({"max_depth": 1}, "max_depth=1"),
        ({"batch_size": 201}, "batch_size=201"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"data_seed": -1}, "data_seed=-1"),
    ],
)
def test_bad_values_are_refused_when_the_task_is_made(tmp_path: Path, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        task(tmp_path, **change)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
