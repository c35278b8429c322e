"""train_words=varied: training rows of any length and of few letters, answered rightly, in no other set."""

import numpy as np
import pytest
import torch
from task_family import make

from lra_mru.tasks.varied import varied_length

BATCH = 16
SHORTEST = {"copy_first": 0, "flip_flop": 2}
VARIED = sorted(SHORTEST)


def rows_of(task, step):
    return task.train_set().__getitems__(task.train_rows(step).tolist())


def letters(name, inputs):
    """The tokens that a row's subset is of: all but the symbol that copy_first asks for."""
    return inputs[:, 1:] - 8 if name == "copy_first" else inputs[:, 1:-1]


@pytest.mark.parametrize("name", VARIED)
def test_the_oracle_answers_every_row(name):
    task = make(name, "train_words=varied")
    for step in range(60):
        batch = rows_of(task, step)
        inputs, targets = batch.inputs.numpy(), batch.targets.numpy()
        asked = targets != -100
        assert asked.any(axis=-1).all()
        assert np.array_equal(task.oracle(inputs.copy())[asked], targets[asked])
        assert batch.lengths.tolist() == [inputs.shape[1]] * BATCH
        assert inputs.min() >= 0
        assert inputs.max() < task.spec.vocab_size


def test_vectors_vary_in_length_alone():
    task = make("copy_first", "train_words=varied", "distractors=gaussian")
    lengths = set()
    for step in range(60):
        batch = rows_of(task, step)
        assert np.array_equal(task.oracle(batch.inputs.numpy()), batch.targets.numpy())
        lengths.add(batch.inputs.shape[1])
    assert {1, 21} <= lengths <= set(range(1, 22))


@pytest.mark.parametrize("name", VARIED)
def test_every_second_step_has_rows_of_another_length(name):
    """Of T = 20: log-uniform from the shortest word on, so that half of them are at most of the geometric mean."""
    task = make(name, "train_words=varied")
    low = SHORTEST[name]
    lengths = np.array([rows_of(task, step).inputs.shape[1] for step in range(800)])
    assert set(lengths[::2]) == {task.num_steps(20)}
    assert set(lengths[1::2]) == {task.num_steps(T) for T in range(low, 21)}
    middle = low - 1 + int(np.sqrt(20 - low + 2))  # varied_length at u = 1/2
    assert (lengths[1::2] < task.num_steps(middle)).mean() < 0.5 + 5 * 0.5 / np.sqrt(400)
    assert (lengths[1::2] > task.num_steps(middle)).mean() < 0.5 + 5 * 0.5 / np.sqrt(400)


@pytest.mark.parametrize(("low", "high"), [(0, 300), (2, 256), (1, 1)])
def test_lengths_reach_from_the_shortest_to_the_longest(low, high):
    lengths = [varied_length("any", 0, step, low=low, high=high) for step in range(4000)]
    assert (min(lengths), max(lengths)) == (low, high)
    shortest = np.log(2) / np.log(high - low + 2)  # the share of u that gives it
    assert np.mean(np.array(lengths) == low) == pytest.approx(shortest, abs=5 * 0.5 / np.sqrt(4000))


@pytest.mark.parametrize("name", VARIED)
def test_rows_of_few_letters_are_as_many_as_those_of_many(name):
    """At T = 2000 a row shows its whole subset: whose size is uniform, and in which each letter is as often."""
    task = make(name, "train_words=varied", "T=2000", "eval_lengths=[]", "eval_examples=[]")
    num_letters = 8 if name == "copy_first" else 5
    step = next(step for step in range(1, 999, 2) if varied_length(name, 0, step, low=2, high=2000) > 1500)
    if name == "flip_flop":  # every other step is plain; copy_first has few letters in those, too
        plain = letters(name, rows_of(task, step - 1).inputs.numpy())
        assert all(len(np.unique(row)) == num_letters for row in plain)
    many = make(name, "train_words=varied", "T=2000", "eval_lengths=[]", "eval_examples=[]", "batch_size=1000")
    shown = letters(name, rows_of(many, step).inputs.numpy())
    counts = np.stack([np.bincount(row, minlength=num_letters) for row in shown])  # (rows, letters)
    sizes = (counts > 0).sum(axis=1)
    expected = 1000 / num_letters
    assert np.bincount(sizes, minlength=num_letters + 1)[1:] == pytest.approx(expected, abs=5 * np.sqrt(expected))
    assert (counts > 0).mean(axis=0) == pytest.approx((num_letters + 1) / 2 / num_letters, abs=5 * 0.5 / np.sqrt(1000))


@pytest.mark.parametrize("name", VARIED)
def test_a_row_is_a_pure_function_of_seed_and_number(name):
    one, again, other = (make(name, "train_words=varied", f"seed={seed}") for seed in (0, 0, 1))
    batches = [[rows_of(task, step).inputs for step in (5, 6, 7, 2**30 + 1)] for task in (one, again, other)]
    for a, b in zip(batches[0], batches[1], strict=True):
        assert torch.equal(a, b)
    assert not all(torch.equal(a, b) for a, b in zip(batches[0], batches[2], strict=True))
    alone = one.train_set().__getitems__([5 * BATCH + 3])
    assert torch.equal(alone.inputs[0], batches[0][0][3])


@pytest.mark.parametrize("name", VARIED)
def test_no_row_stands_in_another_set(name):
    """Also not in a set of words as short as those that training now reaches."""
    short = ["T=6", "eval_lengths=[3,4]", "eval_examples=[12,15]", "val_lengths=[4,5]", "val_examples=[10,12]"]
    task = make(name, "train_words=varied", *short)
    sets = [task.val_set(), task.val_set_for("@4"), task.val_set_for("@5")]
    sets += [task.test_set(suffix) for suffix in ("", "@3", "@4")]
    held = {row.tobytes() for rows in sets for inputs, _ in rows.chunks() for row in inputs}
    trained = {row.tobytes() for step in range(600) for row in rows_of(task, step).inputs.numpy()}
    assert len(trained) > 40
    assert not trained & held


@pytest.mark.parametrize("name", VARIED)
def test_validation_and_test_are_those_of_plain_training(name):
    plain, varied = (make(name, f"train_words={words}") for words in ("plain", "varied"))
    for suffix in plain.test_sets:
        assert torch.equal(
            plain.test_set(suffix).__getitems__([0, 1]).inputs, varied.test_set(suffix).__getitems__([0, 1]).inputs
        )
    assert torch.equal(plain.val_set().__getitems__([0, 1]).inputs, varied.val_set().__getitems__([0, 1]).inputs)
    if name == "flip_flop":  # every other step stays what it was
        assert torch.equal(rows_of(plain, 4).inputs, rows_of(varied, 4).inputs)
    assert rows_of(plain, 5).inputs.shape == rows_of(plain, 4).inputs.shape
    assert (plain.variant + ", varied") == varied.variant


def test_a_length_of_too_few_rows_is_named_in_one_line():
    """Both words of T = 2, a write and a read, stand in the test set."""
    task = make("flip_flop", "train_words=varied", "eval_lengths=[2]", "eval_examples=[20]")
    step = next(step for step in range(1, 999, 2) if varied_length("flip_flop", 0, step, low=2, high=20) == 2)
    with pytest.raises(ValueError, match="hold 2, of which there are too few rows") as error:
        rows_of(task, step)
    assert "\n" not in str(error.value)
