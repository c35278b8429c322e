"""delayed_mnist: a picture, then noise for as long as the plan says, and nothing else that tells the class."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mnist_files import NUM_TEST, NUM_TRAIN

from lra_mru.tasks.delayed_mnist import DelayedMnist
from lra_mru.tasks.smnist import SMnist

NOISES = ["zeros", "gaussian", "digits"]

Make = Callable[..., DelayedMnist]


@pytest.fixture(scope="module")
def plain(delayed_mnist: Make) -> SMnist:
    """The pictures without a delay: delayed_mnist has prepared their files."""
    delayed = delayed_mnist()
    pixels = {"by_row": True, "pixel_mean": 0.0, "pixel_std": 255.0, "num_val": 20}
    common = {"seed": 0, "data_seed": 0, "batch_size": 16, "eval_batch_tokens": 4096, "num_workers": 0}
    task = SMnist(**common, **pixels, data_dir=delayed.data_dir, mnist_dir=None, hub_id=None)
    task.setup("fit")
    return task


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("noise", NOISES)
def test_a_row_is_an_official_picture_and_then_noise(
    delayed_mnist: Make, plain: SMnist, noise: str, by_row: bool
) -> None:
    task = delayed_mnist(noise=noise, by_row=by_row)
    official = {row.numpy().tobytes(): int(label) for row, label in zip(*whole(plain.test_set("")), strict=True)}
    steps = 28 if by_row else 784
    batch = task.test_set("").__getitems__(list(range(30)))
    assert batch.inputs.shape == (30, steps + 30, 28 if by_row else 1)
    assert batch.inputs.dtype == torch.float32
    pictures = [row[:steps].numpy().tobytes() for row in batch.inputs]
    assert [official[picture] for picture in pictures] == batch.targets.tolist()
    assert len(set(pictures)) == NUM_TEST
    seen = batch.inputs[:, steps:]
    if noise == "zeros":
        assert not seen.any()
    elif noise == "gaussian":
        assert seen.std() == pytest.approx(0.1, rel=0.1)
        assert seen.mean() == pytest.approx(0, abs=0.02)
        assert len(seen.unique()) > 0.9 * seen.numel()
    else:
        lines = {line.tobytes() for line in whole(plain.test_set(""))[0].numpy().reshape(-1, seen.shape[2])}
        assert all(line.numpy().tobytes() in lines for line in seen.reshape(-1, seen.shape[2]))
        assert len({row.numpy().tobytes() for row in seen}) > 10


def whole(rows) -> tuple[torch.Tensor, torch.Tensor]:
    batch = rows.__getitems__(list(range(len(rows))))
    return batch.inputs, batch.targets


def test_noise_lies_around_black(delayed_mnist: Make) -> None:
    task = delayed_mnist(noise="zeros", pixel_mean=33.0, pixel_std=66.0)
    assert (whole(task.test_set(""))[0][:, 28:] == -0.5).all()


def test_a_delay_is_drawn_for_every_step(delayed_mnist: Make) -> None:
    """U{0 .. T}, a function of (seed, step) alone; the picture comes back with another delay and other noise."""
    task, rows = delayed_mnist(), delayed_mnist().train_set()
    delays = [int(rows.lengths_of(task.train_rows(step)[:1])[0]) - 28 for step in range(3000)]
    counts = np.bincount(delays, minlength=31)
    assert len(counts) == 31
    assert counts == pytest.approx(3000 / 31, abs=5 * np.sqrt(3000 / 31))
    assert delays[:50] == [int(rows.lengths_of(task.train_rows(step)[:1])[0]) - 28 for step in range(50)]
    other = delayed_mnist(seed=1)
    assert delays[:50] != [int(other.train_set().lengths_of(other.train_rows(s)[:1])[0]) - 28 for s in range(50)]
    seen = {int(row) % 70 for step in range(4) for row in task.train_rows(step)}
    assert len(seen) == 64  # an epoch has no picture twice
    [picture] = {int(row) % 70 for row in task.train_rows(0)[:1]}
    again = rows.__getitems__([picture, picture + 70 * 5]).inputs[:, :40]
    assert torch.equal(again[0, :28], again[1, :28])
    assert not torch.equal(again[0, 28:], again[1, 28:])


def test_a_batch_of_training_has_one_length(delayed_mnist: Make) -> None:
    batches = list(delayed_mnist().train_loader(start_step=0, num_steps=12, rank=0, world_size=1))
    assert len({batch.inputs.shape[1] for batch in batches}) > 6
    for batch in batches:
        assert batch.lengths.tolist() == [batch.inputs.shape[1]] * 16


def test_half_of_validation_is_asked_at_once(delayed_mnist: Make) -> None:
    task = delayed_mnist()
    rows = task.val_set()
    assert sorted(rows.lengths().tolist()) == [28] * 10 + [58] * 10
    assert task.val_sets == {"@50": 78}
    assert task.val_set_for("@50").lengths().tolist() == [78] * 12
    assert task.test_sets == {"": 58, "@0": 28, "@75": 103}
    assert [len(task.test_set(suffix)) for suffix in task.test_sets] == [30, 30, 7]


def test_longer_tests_ask_for_the_same_pictures(delayed_mnist: Make) -> None:
    task = delayed_mnist()
    pictures = [whole(task.test_set(suffix))[0][:7, :28] for suffix in task.test_sets]
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])
    noises = [whole(task.test_set(suffix))[0][:7, 28:58] for suffix in ("", "@75")]
    assert not torch.equal(*noises)


def test_no_picture_stands_in_two_splits(delayed_mnist: Make) -> None:
    task = delayed_mnist()
    rows = np.concatenate([task.train_rows(step) for step in range(4)])
    train = {row.tobytes() for row in task.train_set().__getitems__(rows.tolist()).inputs[:, :28].numpy()}
    val = {row.tobytes() for row in whole(task.val_set())[0][:, :28].numpy()}
    further = {row.tobytes() for row in whole(task.val_set_for("@50"))[0][:, :28].numpy()}
    test = {row.tobytes() for row in whole(task.test_set(""))[0][:, :28].numpy()}
    assert (len(train), len(val), len(test)) == (64, 20, NUM_TEST)
    assert further <= val
    assert not train & val
    assert not test & (train | val)
    assert NUM_TRAIN == 90


@pytest.mark.parametrize("noise", NOISES)
def test_a_row_is_a_pure_function_of_its_number(delayed_mnist: Make, noise: str) -> None:
    rows = delayed_mnist(noise=noise).train_set()
    numbers = [5, 70 * 9 + 3, 2**40]
    batch = rows.__getitems__(numbers)
    for i, row in enumerate(numbers):
        alone = rows.__getitems__([row])
        length = int(batch.lengths[i])
        assert alone.lengths.tolist() == [length]
        assert torch.equal(alone.inputs[0], batch.inputs[i, :length])
    travelled = pickle.loads(pickle.dumps(rows)).__getitems__(numbers)
    assert torch.equal(travelled.inputs, batch.inputs)


def test_noise_of_evaluation_knows_data_seed_alone(delayed_mnist: Make) -> None:
    one, seed, data_seed = (whole(delayed_mnist(**c).test_set(""))[0] for c in ({}, {"seed": 1}, {"data_seed": 1}))
    assert torch.equal(one, seed)
    assert not torch.equal(one, data_seed)


def test_floors(delayed_mnist: Make) -> None:
    """Random pictures tell no class; a picture that is brighter the higher its class does, without any order."""
    task = delayed_mnist()
    assert task.floors().keys() == {"chance", "constant_guess", "order_blind"}
    for split in ("train", "test"):
        pictures = task.splits[split]
        pictures.pixels = [np.repeat(pictures.labels[:, None] * 20, 784, axis=1).astype(np.uint8)]
        pictures.rows, pictures.first_rows = np.arange(len(pictures)), np.array([0, len(pictures)])
    assert task.floors()["order_blind"] == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"T": 0}, "T=0 must be at least 1"),
        ({"noise": "loud"}, "noise='loud' must be one of zeros, gaussian, digits"),
        ({"noise_std": 0.0}, "noise_std=0.0 must be above 0"),
        ({"noise_std": float("nan")}, "noise_std=nan must be above 0"),
        ({"num_test": 31}, "test asks for 31 pictures, there are 30"),
        ({"val_examples": [21]}, "val@50 asks for 21 pictures, there are 20"),
        ({"eval_lengths": [-1, 3]}, "eval_lengths=-1 must be at least 0"),
        ({"val_lengths": [1, 2]}, r"val_lengths=\[1, 2\], val_examples=\[12\]"),
    ],
)
def test_bad_values_are_refused_in_one_line(delayed_mnist: Make, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        delayed_mnist(**change)
    assert "\n" not in str(error.value)
