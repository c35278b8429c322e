"""What every task owes the engine: one stream, whatever the workers, the ranks or the step a run resumes from."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lra_mru.spec import Batch
from lra_mru.tasks.base import SequenceTask
from lra_mru.tasks.copy_first import CopyFirst
from lra_mru.tasks.listops import ListOps

COMMON = {"data_seed": 7, "batch_size": 12, "eval_batch_tokens": 700}
LISTOPS = {"num_train": 100, "min_length": 5, "max_length": 40, "max_depth": 10, "max_args": 10}
FURTHER = {"eval_lengths": [40], "eval_examples": [5], "val_lengths": [25], "val_examples": [6]}
COPY_FIRST = {"T": 9, "num_symbols": 8, "num_distractors": 5, "d_input": 12} | FURTHER
SIZES = {"num_val": 50, "num_test": 70}
NUM_STEPS = 20  # 8 batches in an epoch of listops

Make = Callable[..., SequenceTask]


@pytest.fixture(params=["listops", "symbols", "gaussian"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.getbasetemp() / "loaders"

    def make_task(num_workers: int = 0, seed: int = 0) -> SequenceTask:
        common = COMMON | SIZES | {"data_dir": str(folder), "num_workers": num_workers, "seed": seed}
        if request.param == "listops":
            task: SequenceTask = ListOps(**common, **LISTOPS)
        else:
            task = CopyFirst(**common, **COPY_FIRST, distractors=request.param)
        task.prepare_data()
        task.setup("fit")
        return task

    return make_task


def attach(task: SequenceTask, **changes: int) -> SequenceTask:
    trainer = {
        "global_step": 0,
        "max_steps": NUM_STEPS,
        "accumulate_grad_batches": 1,
        "global_rank": 0,
        "world_size": 1,
    }
    task.trainer = SimpleNamespace(**(trainer | changes))
    return task


def rows_of(batches: list[Batch]) -> list[bytes]:
    """Every row without its padding, as a key."""
    return [
        row[:length].numpy().tobytes()
        for batch in batches
        for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True)
    ]


def same(ours: list[Batch], theirs: list[Batch]) -> bool:
    fields = ("inputs", "lengths", "targets")
    return len(ours) == len(theirs) and all(
        torch.equal(getattr(a, field), getattr(b, field)) for a, b in zip(ours, theirs, strict=True) for field in fields
    )


def test_the_same_seed_gives_the_same_stream_and_another_another(make: Make) -> None:
    whole = list(attach(make()).train_dataloader())
    assert len(whole) == NUM_STEPS
    assert {len(batch.targets) for batch in whole} == {12}
    assert same(whole, list(attach(make()).train_dataloader()))
    assert not same(whole, list(attach(make(seed=1)).train_dataloader()))


@pytest.mark.parametrize("step", [1, 8, 13, NUM_STEPS])
def test_a_resumed_stream_is_the_tail_of_the_whole(make: Make, step: int) -> None:
    whole = list(attach(make()).train_dataloader())
    resumed = attach(make(), global_step=step).train_dataloader()
    assert len(resumed) == NUM_STEPS
    assert same(list(resumed), whole[step:])


def test_accumulated_gradients_use_more_of_the_same_stream(make: Make) -> None:
    whole = list(make().train_loader(start_step=0, num_steps=NUM_STEPS, rank=0, world_size=1))
    half = attach(make(), max_steps=NUM_STEPS // 2, accumulate_grad_batches=2, global_step=3).train_dataloader()
    assert len(half) == NUM_STEPS
    assert same(list(half), whole[6:])


def test_workers_change_nothing(make: Make) -> None:
    alone, helped = attach(make()), attach(make(num_workers=2))
    assert same(list(alone.train_dataloader()), list(helped.train_dataloader()))
    assert same(list(alone.val_dataloader()), list(helped.val_dataloader()))
    assert same(list(alone.test_dataloader_for("")), list(helped.test_dataloader_for("")))


def test_no_row_comes_twice_from_different_workers(make: Make) -> None:
    rows = rows_of(list(attach(make(num_workers=2), max_steps=8).train_dataloader()))
    assert len(set(rows)) == len(rows) == 96


def test_ranks_share_every_training_batch(make: Make) -> None:
    whole = list(attach(make()).train_dataloader())
    shares = [list(attach(make(), global_rank=rank, world_size=3).train_dataloader()) for rank in range(3)]
    for step, batch in enumerate(whole):
        assert [len(share[step].targets) for share in shares] == [4, 4, 4]
        assert sorted(rows_of([share[step] for share in shares])) == sorted(rows_of([batch]))


def test_a_batch_that_ranks_cannot_share_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="batch_size=12 must be divisible by the number of ranks, 5"):
        attach(make(), world_size=5).train_dataloader()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_holds_every_row_exactly_once_over_the_ranks(make: Make, world_size: int) -> None:
    task = make()
    whole = {"val": task.val_set(), "test": task.test_set("")}
    for name, size in {"val": 50, "test": 70}.items():
        batches = []
        for rank in range(world_size):
            attach(task, global_rank=rank, world_size=world_size)
            batches += list(task.val_dataloader() if name == "val" else task.test_dataloader_for(""))
        every = whole[name].__getitems__(list(range(size)))
        assert sorted(rows_of(batches)) == sorted(rows_of([every]))
        for batch in batches:
            assert batch.inputs.shape[0] * batch.inputs.shape[1] <= 700


def test_no_evaluation_row_stands_in_train(make: Make, tmp_path: Path) -> None:
    """copy_first at T = 9 has 8 x 5^9 rows: chance alone makes no two of these meet."""
    task = attach(make(), max_steps=40)
    train = set(rows_of(list(task.train_dataloader())))
    val, test = set(rows_of(list(task.val_dataloader()))), set(rows_of(list(task.test_dataloader_for(""))))
    assert not train & val
    assert not train & test
    assert not val & test


def test_loading_leaves_the_global_generator_alone(make: Make) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    task = attach(make(), max_steps=2)
    list(task.train_dataloader())
    list(task.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_training_needs_a_trainer_that_knows_its_steps(make: Make) -> None:
    with pytest.raises(ValueError, match="trainer=None"):
        make().train_dataloader()
    with pytest.raises(ValueError, match=r"num_steps=-1 .* set trainer"):
        attach(make(), max_steps=-1).train_dataloader()
