"""copy_first: the first step alone tells, and no two sets are alike."""

import itertools

import numpy as np
import pytest
import torch

from lra_mru.tasks.copy_first import CopyFirst

SETTING = {
    "data_dir": "unused",
    "seed": 0,
    "data_seed": 0,
    "batch_size": 16,
    "eval_batch_tokens": 4096,
    "num_workers": 0,
    "T": 30,
    "distractors": "symbols",
    "num_symbols": 8,
    "num_distractors": 5,
    "d_input": 12,
    "num_val": 100,
    "num_test": 120,
    "eval_lengths": [64, 1000],
    "eval_examples": [11, 3],
    "val_lengths": [],
    "val_examples": [],
}


def task(**changes: object) -> CopyFirst:
    return CopyFirst(**(SETTING | changes))


def inputs_of(rows, num_rows: int) -> np.ndarray:
    return rows.__getitems__(list(range(num_rows))).inputs.numpy()


def test_symbols() -> None:
    batch = task().train_set().__getitems__(list(range(4000)))
    assert batch.inputs.shape == (4000, 31)
    assert batch.inputs.dtype == batch.targets.dtype == batch.lengths.dtype == torch.int64
    assert torch.equal(batch.inputs[:, 0], batch.targets)
    assert batch.lengths.unique().tolist() == [31]
    assert np.bincount(batch.targets, minlength=8) == pytest.approx(500, abs=5 * 21)
    distractors = batch.inputs[:, 1:]
    assert distractors.min() == 8
    assert distractors.max() == 12
    assert np.bincount(distractors.flatten() - 8) == pytest.approx(24_000, abs=5 * 139)


def test_gaussian_marks_the_symbol_by_its_vector_alone() -> None:
    gaussian = task(distractors="gaussian")
    batch = gaussian.train_set().__getitems__(list(range(1000)))
    assert batch.inputs.shape == (1000, 31, 12)
    assert batch.inputs.dtype == torch.float32
    assert torch.equal(batch.inputs[:, 0], torch.from_numpy(gaussian.codebook())[batch.targets])
    noise = batch.inputs[:, 1:].numpy()
    num_values = noise.size
    assert noise.mean() == pytest.approx(0, abs=5 / np.sqrt(num_values))
    assert noise.var() == pytest.approx(1, abs=5 * np.sqrt(2 / num_values))
    assert len(np.unique(noise[:, :, 0])) > 0.99 * noise[:, :, 0].size
    assert (gaussian.codebook() ** 2).sum(axis=1).mean() == pytest.approx(12, rel=0.6)


@pytest.mark.parametrize("distractors", ["symbols", "gaussian"])
def test_a_row_is_a_pure_function_of_its_number(distractors: str) -> None:
    rows = task(distractors=distractors).train_set()
    whole = rows.__getitems__([5, 6, 7, 2**40])
    for i, row in enumerate([5, 6, 7, 2**40]):
        assert torch.equal(rows.__getitems__([row]).inputs[0], whole.inputs[i])
        assert rows.__getitems__([row]).targets[0] == whole.targets[i]


@pytest.mark.parametrize("distractors", ["symbols", "gaussian"])
def test_no_two_sets_share_a_row(distractors: str) -> None:
    """Train of several seeds, val and test of several data seeds, all compared at one length."""
    sets = {}
    for seed in range(3):
        t = task(distractors=distractors, seed=seed, data_seed=seed, eval_lengths=[30], eval_examples=[100])
        parts = {"train": t.train_set(), "val": t.val_set(), "test": t.test_set(""), "test@30": t.test_set("@30")}
        sets |= {f"{name} {seed}": {row.tobytes() for row in inputs_of(part, 100)} for name, part in parts.items()}
    assert all(len(rows) == 100 for rows in sets.values())
    for a, b in itertools.combinations(sets.values(), 2):
        assert not a & b


@pytest.mark.parametrize("distractors", ["symbols", "gaussian"])
def test_evaluation_knows_data_seed_and_training_the_run_seed(distractors: str) -> None:
    one, other = task(distractors=distractors, seed=1), task(distractors=distractors, seed=2)
    assert np.array_equal(inputs_of(one.val_set(), 100), inputs_of(other.val_set(), 100))
    assert np.array_equal(inputs_of(one.test_set("@64"), 11), inputs_of(other.test_set("@64"), 11))
    assert np.array_equal(one.codebook(), other.codebook())
    assert not np.array_equal(one.codebook(), task(distractors=distractors, data_seed=5).codebook())
    assert not np.array_equal(inputs_of(one.train_set(), 16), inputs_of(other.train_set(), 16))


def test_tokens_of_training_do_not_depend_on_data_seed() -> None:
    assert np.array_equal(inputs_of(task(data_seed=1).train_set(), 16), inputs_of(task(data_seed=2).train_set(), 16))


def test_spec_and_test_sets() -> None:
    symbols, gaussian = task(), task(distractors="gaussian")
    assert (symbols.spec.kind, symbols.spec.vocab_size, symbols.spec.d_input) == ("tokens", 13, None)
    assert (gaussian.spec.kind, gaussian.spec.vocab_size, gaussian.spec.d_input) == ("vectors", None, 12)
    assert symbols.spec.num_classes == 8
    assert symbols.spec.max_length == 31
    assert symbols.floors() == {"chance": 0.125}
    assert symbols.test_sets == {"": 31, "@64": 65, "@1000": 1001}
    for suffix, num_rows in {"": 120, "@64": 11, "@1000": 3}.items():
        batches = list(symbols.test_dataloader_for(suffix))
        assert sum(len(batch.targets) for batch in batches) == num_rows
        assert {batch.inputs.shape[1] for batch in batches} == {symbols.test_sets[suffix]}
    assert len({symbols.variant, gaussian.variant, task(T=31).variant, task(num_distractors=6).variant}) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"T": 0}, "T=0"),
        ({"T": -5}, "T=-5"),
        ({"distractors": "words"}, "distractors='words'"),
        ({"num_symbols": 1}, "num_symbols=1"),
        ({"num_distractors": 0}, "num_distractors=0"),
        ({"d_input": 0}, "d_input=0"),
        ({"num_val": 0}, "num_val=0"),
        ({"num_test": -1}, "num_test=-1"),
        ({"eval_lengths": [3, -3]}, "eval_lengths=-3"),
        ({"eval_examples": [3, 0]}, "eval_examples=0"),
        ({"eval_examples": [3]}, "eval_examples"),
        ({"eval_lengths": [64, 64]}, "eval_lengths"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"eval_batch_tokens": 0}, "eval_batch_tokens=0"),
        ({"num_workers": -1}, "num_workers=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"data_seed": 2**63}, "data_seed="),
    ],
)
def test_bad_values_are_refused_when_the_task_is_made(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        task(**change)
    assert "\n" not in str(error.value)


def test_wrong_types_are_refused_when_the_task_is_made() -> None:
    for change in ({"T": 3.5}, {"T": "300"}, {"batch_size": True}):
        with pytest.raises(TypeError, match="must be a whole number"):
            task(**change)
