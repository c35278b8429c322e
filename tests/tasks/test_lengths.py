"""Where rows differ in length, the length tells no class: a classifier that sees lengths alone stays at chance."""

import numpy as np
import pytest
from task_family import FAMILY, make

from data_prep.listops.make import ListOpsParameters, make_rows
from lra_mru.tasks.delay import EvalPlan

NUM_ROWS = 2000
BINS = 12  # of rows sorted by length


def by_length(lengths, labels, tested_lengths, tested_labels):
    """Fit the commonest class of each of BINS bins of rows -> its accuracy, and that of a constant guess."""
    edges = np.quantile(lengths, np.linspace(0, 1, BINS + 1)[1:-1])
    bins, tested_bins = np.searchsorted(edges, lengths), np.searchsorted(edges, tested_lengths)
    constant = np.bincount(labels).argmax()
    guess = [np.bincount(labels[bins == b]).argmax() if (bins == b).any() else constant for b in range(BINS)]
    return np.mean(np.array(guess)[tested_bins] == tested_labels), np.mean(tested_labels == constant)


def halves(lengths, labels):
    return lengths[::2], labels[::2], lengths[1::2], labels[1::2]


def test_the_classifier_finds_a_class_that_lengths_tell():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, NUM_ROWS)
    told, constant = by_length(*halves(28 + 20 * labels + rng.integers(0, 15, NUM_ROWS), labels))
    assert told > constant + 0.5


def assert_chance(lengths, labels):
    """At most four standard errors above the constant guess."""
    told, constant = by_length(*halves(lengths, labels))
    assert told < constant + 4 * np.sqrt(constant * (1 - constant) / (len(labels) / 2))


@pytest.mark.parametrize("by_row", [True, False])
def test_a_delay_tells_no_class(delayed_mnist, by_row):
    """200 training steps of 10 rows, each step with a delay of its own."""
    task = delayed_mnist(batch_size=10, T=50, by_row=by_row)
    rows = np.concatenate([task.train_rows(step) for step in range(NUM_ROWS // 10)])
    batches = [task.train_set().__getitems__(batch.tolist()) for batch in rows.reshape(-1, 10)]
    lengths = np.concatenate([batch.lengths.numpy() for batch in batches])
    assert len(np.unique(lengths)) > 45
    assert_chance(lengths, np.concatenate([batch.targets.numpy() for batch in batches]))


def test_the_two_delays_of_validation_tell_no_class():
    """As many official pictures as validate; every other one is asked for at once."""
    labels = np.random.default_rng(1).integers(0, 10, 2 * NUM_ROWS)
    delays = EvalPlan(chosen=np.arange(2 * NUM_ROWS), cycle=(0, 200)).delays(np.arange(2 * NUM_ROWS))
    told, constant = by_length(delays, labels, delays, labels)
    assert told < constant + 4 * np.sqrt(constant * (1 - constant) / len(labels))


def test_lengths_of_listops_tell_no_class():
    """Rows of many lengths, padded to the longest of their batch."""
    parameters = ListOpsParameters(
        train=1, val=1, test=1, seed=0, min_length=100, max_length=500, max_depth=10, max_args=10, format="arrow"
    )
    rows = make_rows(parameters, "train", 0, NUM_ROWS)
    assert len(np.unique(rows.lengths)) > 200
    assert_chance(rows.lengths, rows.labels.astype(np.int64))


@pytest.mark.parametrize("name", FAMILY)
def test_all_rows_of_a_generated_set_have_one_length(name):
    task = make(name)
    for rows in (task.val_set(), task.test_set(""), task.test_set("@64"), task.val_set_for("@40")):
        assert len(np.unique(rows.lengths())) == 1
    batches = list(task.train_loader(start_step=0, num_steps=3, rank=0, world_size=1))
    assert {int(n) for batch in batches for n in batch.lengths} == {task.spec.max_length}
