"""Every task that is generated: answered by its oracle, alike in no two splits, and what its docstring says."""

import pickle
from dataclasses import MISSING, fields
from itertools import combinations

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from support import TASKS
from task_family import CONFIGS, FAMILY, make

from lra_mru.tasks.draws import Draws
from lra_mru.tasks.generated import row_hashes


def arrays(rows, num_rows):
    return rows.arrays(np.arange(num_rows))


def test_the_family_is_whole():
    wanted = {"copy_first", "copy", "selective_copy", "induction_heads", "flip_flop", "adding", "parity"}
    wanted |= {"copy_value", "denoising"}
    assert wanted <= set(FAMILY)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("T", [20, 63])
def test_the_oracle_answers_every_target_from_the_inputs_alone(name, T):
    task = make(name, f"T={T}")
    for rows, num_rows in [(task.train_set(), 200), (task.val_set(), 60), (task.test_set("@64"), 20)]:
        inputs, targets = arrays(rows, num_rows)
        asked = targets != -100
        assert asked.any(axis=-1).all()
        assert np.array_equal(task.oracle(inputs.copy())[asked], targets[asked])


@pytest.mark.parametrize("name", FAMILY)
def test_what_is_built_is_what_the_spec_says(name):
    task = make(name)
    batch, spec = task.test_set("@64").__getitems__([3, 1, 2]), task.spec
    length = task.test_sets["@64"]
    assert batch.lengths.tolist() == [length] * 3
    assert spec.max_length == task.test_sets[""]
    assert f"T = {task.T}" in task.variant
    if spec.kind == "tokens":
        assert batch.inputs.shape == (3, length)
        assert batch.inputs.dtype == torch.int64
        every = task.train_set().__getitems__(list(range(500))).inputs
        assert every.min() == 0
        assert every.max() == spec.vocab_size - 1
    else:
        assert batch.inputs.shape == (3, length, spec.d_input)
        assert batch.inputs.dtype == torch.float32
    assert batch.targets.shape == ((3, length) if spec.per_step else (3,))
    assert batch.targets.dtype == (torch.int64 if spec.tolerance is None else torch.float32)


@pytest.mark.parametrize("name", FAMILY)
def test_chance_is_what_a_guess_earns(name):
    """And no class is favoured: the best constant guess earns no more."""
    task = make(name)
    _, targets = arrays(task.train_set(), 4000)
    targets = targets[targets != -100]
    if task.spec.tolerance is not None:
        guess = 1 if name == "adding" else 0  # the mean
        earned = np.mean(np.abs(targets - guess) <= task.spec.tolerance)
        best = max(np.mean(np.abs(targets - guess) <= task.spec.tolerance) for guess in np.linspace(-2, 2, 401))
        assert best == pytest.approx(earned, abs=0.02)
    else:
        shares = np.bincount(targets, minlength=task.spec.num_classes) / len(targets)
        assert len(shares) == task.spec.num_classes
        earned = shares.max()
    assert earned == pytest.approx(task.spec.chance, abs=4 * np.sqrt(0.25 / 4000))


@pytest.mark.parametrize("name", FAMILY)
def test_no_two_sets_share_a_row(name):
    task = make(name)
    sets = {"train": (task.train_set(), 500), "val": (task.val_set(), 60), "test": (task.test_set(""), 80)}
    sets |= {"test@20": (task.test_set("@20"), 30), "val@20": (task.val_set_for("@20"), 25)}
    found = {key: {row.tobytes() for row in arrays(*value)[0]} for key, value in sets.items()}
    for a, b in combinations(found.values(), 2):
        assert not a & b


def test_splits_are_apart_even_where_rows_are_few():
    """Parity at T = 8 has 256 rows: of 60 + 80 + 30 evaluation rows chance would put hundreds into train."""
    task = make("parity", "T=8", "eval_lengths=[8]", "eval_examples=[30]", "val_lengths=[8]", "val_examples=[20]")
    sets = [arrays(task.val_set(), 60), arrays(task.test_set(""), 80), arrays(task.test_set("@8"), 30)]
    sets.append(arrays(task.val_set_for("@8"), 20))
    sets.append(arrays(task.train_set(), 2000))
    found = [{row.tobytes() for row in inputs} for inputs, _ in sets]
    assert len(found[-1]) + len(set().union(*found[:-1])) > 240
    for a, b in combinations(found, 2):
        assert not a & b
    for inputs, targets in sets:
        assert np.array_equal(task.oracle(inputs), targets)


def test_too_few_rows_for_three_sets_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"T=3 leaves too few rows .* raise T, or lower num_val and num_test") as error:
        make("parity", "T=3", "num_val=500", "eval_lengths=[]", "eval_examples=[]").setup("fit")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FAMILY)
def test_a_row_is_a_pure_function_of_its_number_and_seed(name):
    rows = make(name).train_set()
    whole = rows.__getitems__([5, 6, 2**40])
    for i, row in enumerate([5, 6, 2**40]):
        assert torch.equal(rows.__getitems__([row]).inputs[0], whole.inputs[i])
        assert torch.equal(rows.__getitems__([row]).targets[0], whole.targets[i])
    again, other = make(name, "num_workers=0"), make(name, "seed=1")
    assert torch.equal(again.train_set().__getitems__([5, 6, 2**40]).inputs, whole.inputs)
    assert not torch.equal(other.train_set().__getitems__([5, 6, 2**40]).inputs, whole.inputs)
    further = again.val_set_for("@40").__getitems__([0, 1]).inputs
    assert torch.equal(other.val_set_for("@40").__getitems__([0, 1]).inputs, further)
    val = again.val_set().__getitems__([0, 1]).inputs
    assert torch.equal(other.val_set().__getitems__([0, 1]).inputs, val)
    assert not torch.equal(make(name, "data_seed=1").val_set().__getitems__([0, 1]).inputs, val)


def test_a_set_travels_to_a_loader_process_without_its_trainer():
    task = make("flip_flop")
    task.trainer = lambda: None  # cannot be pickled
    rows = pickle.loads(pickle.dumps(task.val_set()))
    assert torch.equal(rows.__getitems__([1, 2]).inputs, task.val_set().__getitems__([1, 2]).inputs)


@pytest.mark.parametrize("name", FAMILY)
def test_floors_stand_between_chance_and_certainty(name):
    task = make(name)
    floors = task.floors()
    assert floors["chance"] == task.spec.chance
    for value in floors.values():
        assert task.spec.chance - 0.1 <= value < 0.8


@pytest.mark.parametrize("name", FAMILY)
def test_further_validation_sets_have_the_lengths_that_are_asked_for(name):
    task = make(name)
    assert task.val_sets == {f"@{T}": task.num_steps(T) for T in (20, 40)}
    for suffix, num_rows in {"@20": 25, "@40": 15}.items():
        assert task.val_set_for(suffix).lengths().tolist() == [task.val_sets[suffix]] * num_rows


def test_further_validation_sets_change_no_other_set():
    """A test set stays what it was, whatever is added to choose by; even where rows are so few that sets would meet."""
    few = ["T=8", "eval_lengths=[8]", "eval_examples=[30]"]
    task = make("parity", *few, "val_lengths=[8]", "val_examples=[20]")
    alone = make("parity", *few, "val_lengths=[]", "val_examples=[]")
    for rows, others in [(task.test_set(s), alone.test_set(s)) for s in task.test_sets]:
        assert np.array_equal(arrays(rows, 30)[0], arrays(others, 30)[0])
    assert np.array_equal(arrays(task.val_set(), 60)[0], arrays(alone.val_set(), 60)[0])


def test_longer_flip_flops_hold_longer_not_more():
    task = make("flip_flop", "T=256", "eval_lengths=[2560]", "eval_examples=[200]")
    for suffix, num_rows in {"": 80, "@2560": 200}.items():
        inputs, targets = arrays(task.test_set(suffix), num_rows)
        assert (targets != -100).sum(axis=1).mean() == pytest.approx(0.1 * 256 + 1, abs=2)
        assert (inputs < 2).sum(axis=1).mean() == pytest.approx(0.1 * 256 + 1, abs=2)
    assert np.mean((inputs == 2) | (inputs == 3)) == pytest.approx(0.98, abs=0.005)  # the paper's sparse test
    latest = task.floors()["latest_symbol"]  # one of 9 shown symbols is a write, and half of the others agree
    assert latest == pytest.approx(1 / 9 + 8 / 9 / 2, abs=0.04)


def test_copy_value_is_a_stream_of_normals():
    inputs, targets = arrays(make("copy_value").train_set(), 4000)
    assert inputs.mean() == pytest.approx(0, abs=5 / np.sqrt(inputs.size))
    assert inputs.var() == pytest.approx(1, abs=5 * np.sqrt(2 / inputs.size))
    assert targets.var() == pytest.approx(1, abs=5 * np.sqrt(2 / 4000))


@pytest.mark.parametrize("delay", [0, 6])
def test_denoising_marks_numbers_at_all_places_but_the_last(delay):
    inputs, targets = arrays(make("denoising", f"min_delay={delay}", "num_items=3").train_set(), 1000)
    values, marks = inputs[:, :, 0], inputs[:, :, 1]
    assert np.bincount(np.nonzero(marks == 0)[1]) == pytest.approx(
        3_000 / (20 - delay), abs=5 * np.sqrt(3_000 / (20 - delay))
    )
    assert (marks[:, 20:] == 1).all()
    assert (marks[:, :20] <= 0).all()
    assert (values[:, 20:] == 0).all()
    assert values[:, :20].var() == pytest.approx(1, abs=5 * np.sqrt(2 / 20_000))
    assert (targets[:, :20] == -100).all()


def test_selective_copy_spreads_its_data_over_all_places():
    inputs, _ = arrays(make("selective_copy", "num_items=3").train_set(), 4000)
    assert np.bincount(np.nonzero(inputs[:, :20])[1]) == pytest.approx(600, abs=5 * np.sqrt(600))
    assert (inputs[:, 20:] == 15).all()


def test_subsets_are_uniform():
    """Of 6 places 2: 15 sets."""
    chosen = Draws(3, np.arange(15_000)).subsets(6, 2)
    assert (chosen[:, 0] < chosen[:, 1]).all()
    counts = np.bincount(chosen @ [6, 1], minlength=36).reshape(6, 6)[np.triu_indices(6, 1)]
    assert counts == pytest.approx(1000, abs=5 * np.sqrt(1000))
    assert np.array_equal(Draws(3, np.arange(2)).subsets(4, 4), [[0, 1, 2, 3]] * 2)


def test_uniforms_fill_the_unit_interval():
    values = Draws(1, np.arange(100)).uniforms(1000)
    assert values.dtype == np.float32
    assert 0 <= values.min() < 0.001
    assert 0.999 < values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * values.size))


def test_equal_rows_have_equal_hashes_and_others_not():
    inputs = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 4]])
    first, second, third = row_hashes(inputs)
    assert first == second != third


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("copy", "num_symbols=1", "num_symbols=1"),
        ("copy", "num_items=0", "num_items=0"),
        ("copy", "T=0", "T=0"),
        ("selective_copy", "vocab_size=3", "vocab_size=3"),
        ("selective_copy", "num_items=21", "T=20 must be at least 21"),
        ("selective_copy", "eval_lengths=[20,2]", "eval_lengths=2 must be at least"),
        ("induction_heads", "T=2", "T=2 must be at least 3"),
        ("induction_heads", "vocab_size=2", "vocab_size=2"),
        ("flip_flop", "p_ignore=1.0", r"p_ignore=1\.0"),
        ("flip_flop", "num_symbols=1", "num_symbols=1"),
        ("flip_flop", "T=1", "T=1 must be at least 2"),
        ("adding", "tolerance=0.0", r"tolerance=0\.0"),
        ("adding", "T=1", "T=1 must be at least 2"),
        ("copy_value", "tolerance=-1.0", r"tolerance=-1\.0"),
        ("denoising", "tolerance=0.0", r"tolerance=0\.0"),
        ("denoising", "num_items=0", "num_items=0"),
        ("denoising", "min_delay=-1", "min_delay=-1"),
        ("denoising", "min_delay=16", "T=20 must be at least 21"),
        ("denoising", "val_lengths=[4,20]", "val_lengths=4 must be at least 5"),
        ("parity", "val_examples=[1]", r"val_lengths=\[20, 40\], val_examples=\[1\]"),
        ("parity", "eval_examples=[0,1]", "eval_examples=0"),
        ("copy", "T=1000000000000", "T=1000000000000 with batch_size=16: no memory holds such a training batch"),
        ("copy", "batch_size=1000000000000", "T=20 with batch_size=1000000000000: no memory holds"),
        ("copy", "num_test=1000000000000", "num_test=1000000000000 must be at most"),
        ("copy", "eval_examples=[1000000000000,1]", "eval_examples=1000000000000 must be at most"),
        ("parity", "eval_lengths=[5,5]", "give each length once"),
    ],
)
def test_bad_values_are_refused_when_the_task_is_made(name, change, says):
    with pytest.raises(Exception, match=says) as error:
        make(name, change)
    assert type(error.value).__name__ == "ConfigError"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", TASKS)
def test_settings_are_keywords_whose_numbers_stand_in_yaml(name):
    task = get_class(CONFIGS[name]._target_)
    settings = [setting for setting in fields(task) if setting.init]
    assert {setting.name for setting in settings} == set(CONFIGS[name]) - {"_target_"}
    assert all(s.kw_only and s.default is MISSING and s.default_factory is MISSING for s in settings)
