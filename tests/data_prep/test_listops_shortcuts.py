"""The floors, against a plain count and the official program's figures."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.listops.make import ListOpsParameters, Rows, make_rows
from data_prep.listops.shortcuts import shortcut_floors

OFFICIAL = json.loads(Path(__file__).with_name("listops_official_stats.json").read_text())


def split_of(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rows.tokens, np.concatenate([[0], np.cumsum(rows.lengths)]).astype(np.int32), rows.labels


def toy(*rows: tuple[list[int], int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    trees, labels = zip(*rows, strict=True)
    offsets = np.cumsum([0, *map(len, trees)]).astype(np.int32)
    return np.concatenate(trees).astype(np.uint8), offsets, np.array(labels, dtype=np.uint8)


def test_official_floors() -> None:
    setting = {"train": 1, "val": 1, "test": 1, "seed": 3, "format": "arrow"}
    lengths = {"min_length": 500, "max_length": 2000, "max_depth": 10, "max_args": 10}
    parameters = ListOpsParameters(**setting, **lengths)
    train, test = (split_of(make_rows(parameters, "train", first, 8000)) for first in (0, 8000))
    floors = shortcut_floors(train=train, test=test)
    assert floors["constant_guess"] == pytest.approx(OFFICIAL["majority_accuracy"], abs=0.015)
    assert floors["root_operator"] == pytest.approx(OFFICIAL["root_operator_accuracy"], abs=0.02)
    assert floors["root_operator_and_digits"] > floors["root_operator"] + 0.05


def test_each_shortcut_uses_its_clue_alone() -> None:
    """[MAX 3 4 ] and [MIN 3 4 ]: the root tells them apart; [SM 1 [MAX 0 0 ] ]: the nested list stays unread."""
    train = toy(([11, 3, 4, 14], 4), ([11, 4, 2, 14], 4), ([10, 3, 4, 14], 3), ([13, 1, 11, 0, 0, 14, 14], 1))
    test = toy(([11, 4, 1, 14], 4), ([10, 5, 3, 14], 3), ([13, 1, 11, 9, 9, 14, 14], 1), ([13, 2, 2, 14], 4))
    assert shortcut_floors(train=train, test=test) == {
        "constant_guess": 2 / 4,
        "root_operator": 3 / 4,
        "root_operator_and_digits": 3 / 4,
    }


@pytest.mark.parametrize(
    ("tree", "value"),
    [
        ([12, 1, 4, 14], 2),  # the mean of 1 and 4, cut down
        ([12, 9, 1, 5, 14], 5),
        ([13, 9, 9, 14], 8),
        ([10, 7, 11, 0, 0, 14, 5, 14], 5),
        ([11, 7, 11, 9, 9, 14, 5, 14], 7),
    ],
)
def test_own_digits_have_the_operators_value(tree: list[int], value: int) -> None:
    """A training row of the same root and value is found, one of any other value is not."""
    root = tree[0]
    for other in range(10):
        floors = shortcut_floors(train=toy(([root, other, 11, 0, 0, 14, 14], 9)), test=toy((tree, 9)))
        assert floors["root_operator_and_digits"] == (1.0 if other == value else 0.0)
