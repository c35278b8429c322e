"""A row of any length in pieces: the same numbers as in one, and never the whole row in memory."""

import tracemalloc

import pytest
import torch
from task_family import FAMILY, make

CASES = [(name, ()) for name in FAMILY]
CASES += [("copy_first", ("distractors=gaussian", "d_input=3")), ("denoising", ("min_delay=7", "T=30"))]


def joined(pieces, per_step):
    """The pieces' rows, put together again; what does not change from step to step must be the same in all."""
    pieces = list(pieces)
    if not per_step:
        assert all(torch.equal(piece.targets, pieces[0].targets) for piece in pieces)
    targets = torch.cat([piece.targets for piece in pieces], dim=1) if per_step else pieces[0].targets
    return torch.cat([piece.inputs for piece in pieces], dim=1), targets, sum(piece.lengths for piece in pieces)


@pytest.mark.parametrize("steps", [7, 64, 1000])
@pytest.mark.parametrize(("name", "changes"), CASES)
def test_pieces_are_the_row(name, changes, steps):
    task = make(name, *changes)
    for rows in (task.test_set("@64"), task.test_set("@20"), task.train_set()):  # the latter ones make rows anew
        whole = rows.__getitems__([3, 1, 11])
        pieces = list(rows.pieces([3, 1, 11], steps))
        assert [piece.inputs.shape[1] for piece in pieces[:-1]] == [steps] * (len(pieces) - 1)
        inputs, targets, lengths = joined(pieces, task.spec.per_step)
        assert inputs.dtype == whole.inputs.dtype
        assert targets.dtype == whole.targets.dtype
        assert torch.equal(inputs, whole.inputs)
        assert torch.equal(targets, whole.targets)
        assert torch.equal(lengths, whole.lengths)


def test_pieces_of_rows_that_were_made_anew():
    """Parity at T = 8 has 256 rows: the later sets must draw many of theirs again."""
    task = make("parity", "T=8", "eval_lengths=[8]", "eval_examples=[30]", "val_lengths=[8]", "val_examples=[20]")
    rows = task.train_set()
    whole = rows.__getitems__(list(range(200)))
    inputs, targets, _ = joined(rows.pieces(list(range(200)), 3), per_step=True)
    assert torch.equal(inputs, whole.inputs)
    assert torch.equal(targets, whole.targets)


@pytest.mark.parametrize("steps", [9, 40, 500])
@pytest.mark.parametrize("noise", ["zeros", "gaussian", "digits"])
def test_pieces_of_a_picture_and_its_delay(delayed_mnist, noise, steps):
    rows = delayed_mnist(noise=noise).test_set("@75")
    whole = rows.__getitems__([2, 0, 5])
    inputs, targets, lengths = joined(rows.pieces([2, 0, 5], steps), per_step=False)
    assert torch.equal(inputs, whole.inputs)
    assert torch.equal(targets, whole.targets)
    assert torch.equal(lengths, whole.lengths)


def test_ten_million_steps_are_never_held():
    T, steps = 10_000_000, 2**16
    further = [f"eval_lengths=[{T}]", "eval_examples=[2]", f"val_lengths=[{T // 2}]", "val_examples=[2]"]
    rows = make("flip_flop", *further).test_set(f"@{T}")  # no row of these sets is made to be hashed: no other has T
    seen = 0
    tracemalloc.start()
    for piece in rows.pieces([1], steps):
        seen += piece.inputs.shape[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == T
    assert int(piece.targets[0, -1]) in (0, 1)  # the last step is a read
    assert peak < 40 * 8 * steps < 8 * T / 3  # bytes
