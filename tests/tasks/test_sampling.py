"""Which rows make a batch: every row the right number of times, whatever the ranks, wherever a run resumes."""

from collections import Counter

import numpy as np
import pytest

from lra_mru.tasks.sampling import BucketedEpochs, StepBatchSampler, eval_batches

LENGTHS = np.random.default_rng(0).integers(5, 500, size=1003)


def epochs(**changes: int) -> BucketedEpochs:
    return BucketedEpochs(**({"lengths": LENGTHS, "batch_size": 8, "seed": 0} | changes))


def test_an_epoch_holds_every_row_once_but_for_the_remainder() -> None:
    rows_of_step = epochs()
    assert rows_of_step.batches_per_epoch == 125
    for epoch in range(3):
        seen = np.concatenate([rows_of_step(step) for step in range(epoch * 125, (epoch + 1) * 125)])
        assert len(seen) == len(set(seen.tolist())) == 1000


def test_the_dropped_remainder_changes_and_favours_no_length() -> None:
    rows_of_step = epochs()
    dropped = []
    for epoch in range(200):
        seen = np.concatenate([rows_of_step(step) for step in range(epoch * 125, (epoch + 1) * 125)])
        dropped.extend(set(range(1003)) - set(seen.tolist()))
    assert len(set(dropped)) > 300
    assert np.mean(LENGTHS[dropped]) == pytest.approx(LENGTHS.mean(), abs=4 * LENGTHS.std() / np.sqrt(600))


def test_a_step_is_a_pure_function_of_seed_and_step() -> None:
    first, second = epochs(), epochs()
    forward = [first(step) for step in range(300)]
    backward = [second(step) for step in reversed(range(300))][::-1]
    assert np.array_equal(forward, backward)
    assert not np.array_equal(forward, [epochs(seed=1)(step) for step in range(300)])
    assert not np.array_equal(forward[:125], forward[125:250])


def test_batches_are_of_like_length_in_random_order() -> None:
    batches = LENGTHS[np.array([epochs()(step) for step in range(125)])]  # (batches, rows)
    padding = 1 - batches.sum() / (batches.max(axis=1) * batches.shape[1]).sum()
    assert padding < 0.03  # in random order: 44 %
    assert abs(np.corrcoef(batches[:-1].mean(axis=1), batches[1:].mean(axis=1))[0, 1]) < 0.3


def test_ranks_share_out_the_global_batch() -> None:
    whole = list(StepBatchSampler(rows_of_step=epochs(), start_step=0, num_steps=20, rank=0, world_size=1))
    parts = [
        list(StepBatchSampler(rows_of_step=epochs(), start_step=0, num_steps=20, rank=rank, world_size=4))
        for rank in range(4)
    ]
    for step, batch in enumerate(whole):
        assert [len(part[step]) for part in parts] == [2] * 4
        assert Counter(row for part in parts for row in part[step]) == Counter(batch)


@pytest.mark.parametrize("start_step", [0, 1, 124, 125, 290, 300])
def test_a_late_start_yields_the_tail_and_keeps_its_total_length(start_step: int) -> None:
    whole = list(StepBatchSampler(rows_of_step=epochs(), start_step=0, num_steps=300, rank=1, world_size=2))
    late = StepBatchSampler(rows_of_step=epochs(), start_step=start_step, num_steps=300, rank=1, world_size=2)
    assert list(late) == whole[start_step:]
    assert list(late) == whole[start_step:]  # and again
    assert len(late) == 300


def test_too_few_rows_for_a_batch() -> None:
    with pytest.raises(ValueError, match="batch_size=1004"):
        epochs(batch_size=1004)
    assert epochs(batch_size=1003).batches_per_epoch == 1


@pytest.mark.parametrize("max_tokens", [1, 499, 1000, 4096, 10**6])
@pytest.mark.parametrize("world_size", [1, 3])
def test_evaluation_covers_every_row_once_within_its_budget(max_tokens: int, world_size: int) -> None:
    batches = eval_batches(lengths=LENGTHS, max_tokens=max_tokens, min_batches=1)
    shared_out = [row for rank in range(world_size) for batch in batches[rank::world_size] for row in batch]
    assert sorted(shared_out) == list(range(1003))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * LENGTHS[batch].max() <= max_tokens
    assert LENGTHS[batches[0][0]] == LENGTHS.max()
    fewest = sum(LENGTHS) / max_tokens
    assert len(batches) <= max(1003, 2 * fewest) if max_tokens < 499 else len(batches) <= 2 * fewest + 1


@pytest.mark.parametrize("ranks", [2, 3])
def test_every_rank_has_an_evaluation_batch_or_the_set_is_refused(ranks):
    lengths = np.full(5, 9)
    batches = eval_batches(lengths=lengths, max_tokens=10**6, min_batches=ranks)
    assert len(batches) >= ranks
    assert sorted(row for batch in batches for row in batch) == list(range(5))
    with pytest.raises(ValueError, match="1 evaluation rows cannot be shared out"):
        eval_batches(lengths=lengths[:1], max_tokens=10**6, min_batches=ranks)
