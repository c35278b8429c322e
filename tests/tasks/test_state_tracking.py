"""Word problems: the groups are the groups, the targets their products, and every monoid is drawn as documented."""

import numpy as np
import pytest
import torch

from lra_mru.engine.build import build
from lra_mru.tasks.monoids import MONOIDS, monoid

SIZES = {"z2": (2, 2), "z16": (16, 16), "s3": (6, 2), "s4": (24, 3), "a5": (60, 3), "m11": (7920, 4)}
SIZES |= {"ff": (3, 3), "dff5": (3, 3)}  # elements, letters


@pytest.fixture
def make(composed):
    def task(name, *overrides):
        return build(composed("task=state_tracking", f"task.monoid={name}", *overrides).task, "task")

    return task


@pytest.mark.parametrize("name", MONOIDS)
def test_elements_and_letters_are_as_many_as_in_the_literature(name, make):
    table = monoid(name).table
    assert table.shape == SIZES[name]
    spec = make(name).spec
    assert (spec.num_classes, spec.vocab_size, spec.max_length) == (*SIZES[name], 64)
    reached = {0}
    while (grown := reached | set(table[sorted(reached)].ravel().tolist())) != reached:
        reached = grown
    assert len(reached) == len(table)


@pytest.mark.parametrize("name", ["z2", "z16", "s3", "s4", "a5", "m11"])
def test_every_letter_of_a_group_permutes_its_elements(name):
    table = monoid(name).table
    assert np.array_equal(np.sort(table, axis=0), np.tile(np.arange(len(table))[:, None], (1, table.shape[1])))


def test_relations_of_the_groups():
    s3, a5, m11 = (monoid(name).table for name in ("s3", "a5", "m11"))

    def end(table, word):
        state = 0
        for letter in word:
            state = table[state, letter]
        return state

    assert end(s3, [0, 0]) == end(s3, [1, 1]) == end(s3, [0, 1] * 3) == 0
    assert end(s3, [0, 1]) != end(s3, [1, 0])
    assert end(a5, [0] * 3) == end(a5, [2] * 3) == 0
    assert end(m11, [0, 0]) == end(m11, [2] * 4) == end(m11, [2, 3]) == end(m11, [0, 2] * 11) == 0  # (ab)^11 = 1
    assert end(m11, [0, 2] * 5) != 0


@pytest.mark.parametrize("name", MONOIDS)
def test_targets_are_the_composition_and_parts_the_whole(name, make):
    task = make(name, "task.T=9" if name == "m11" else "task.T=33")
    rows = task.train_set()
    index = np.arange(4 if name == "m11" else 40)
    inputs, targets = rows.arrays(index)
    assert np.array_equal(task.oracle(inputs), targets)
    parts = list(rows.parts(index, 4))
    assert np.array_equal(np.concatenate([part for part, _ in parts], axis=1), inputs)
    assert np.array_equal(np.concatenate([part for _, part in parts], axis=1), targets)
    for word, answers in zip(inputs[:10], targets, strict=False):
        assert task.machine().read(word) == answers.tolist()


def test_identities_of_ff_are_as_many_as_said_and_of_dff5_never_more_than_four_in_a_row(make):
    ff, dff5 = make("ff"), make("dff5")
    inputs, _ = ff.train_set().arrays(np.arange(500))
    assert (inputs == 0).mean() == pytest.approx(0.9, abs=0.01)
    inputs, _ = ff.test_set("@512").arrays(np.arange(100))
    assert (inputs == 0).mean() == pytest.approx(0.99, abs=0.005)
    inputs, targets = dff5.test_set("@512").arrays(np.arange(200))
    windows = np.lib.stride_tricks.sliding_window_view(inputs, 5, axis=1)
    assert not (windows == 0).all(axis=2).any()
    assert (windows[:, :, :4] == 0).all(axis=2).any()
    assert (targets[:, 4:] > 0).all()  # the last five letters tell
    with pytest.raises(ValueError, match="no word of the task"):
        dff5.machine().read(np.zeros(5, dtype=int))


def test_floors_are_what_shortcuts_earn(make):
    floors = make("s3", "task.num_test=300").floors()
    assert floors["chance"] == pytest.approx(1 / 6)
    assert 0.3 < floors["position"] < 0.45  # every letter is odd: half of the elements are out of question
    assert floors["latest_letter"] < floors["position"]
    assert 0.15 < floors["counted"] < 0.6
    assert set(make("z2").floors()) == {"chance", "latest_letter", "position"}
    inputs = torch.tensor([[1, 0, 0, 1, 1]]).numpy()
    task, end = make("s3"), monoid("s3").table
    for t, answer in enumerate(task.shortcuts(inputs)["counted"][0]):
        state = 0
        for letter in sorted(inputs[0, : t + 1]):
            state = end[state, letter]
        assert answer == state


@pytest.mark.parametrize(
    ("override", "says"),
    [("task.monoid=s5", "monoid='s5' must be one of z2, "), ("task.p_identity=1.0", "p_identity=1.0 must be in")],
)
def test_mistakes(make, override, says):
    with pytest.raises(ValueError, match=r"^task: ") as caught:
        make("ff", override)
    assert says in str(caught.value)
