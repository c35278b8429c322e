"""Which rows make a batch: a pure function of (seed, step) for training, every row once for evaluation."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

PIECE_STEPS = 1024  # of each of the rows that are read side by side: fewer would spend the time on calls
MEGA_BATCHES = 50  # batches sorted by length together: little padding, and still a random mix of rows


class StepBatchSampler:
    """This rank's rows of the global batches start_step .. num_steps - 1.

    Its length is num_steps, however late it starts: a resumed trainer counts batches from step 0.

    rows_of_step:  step -> (B,) row numbers of the global batch; rank r of W takes rows r::W
    """

    def __init__(
        self, *, rows_of_step: Callable[[int], Rows], start_step: int, num_steps: int, rank: int, world_size: int
    ) -> None:
        self.rows_of_step = rows_of_step
        self.start_step = start_step
        self.num_steps = num_steps
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start_step, self.num_steps):
            yield self.rows_of_step(step)[self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        return self.num_steps


class BucketedEpochs:
    """Rows of training step k over a stored set: fresh permutation per epoch, batches of like length.

    An epoch drops the len(lengths) % batch_size rows that its permutation puts last, so that every batch is full
    and no length is favoured; the next epoch drops others.
    """

    def __init__(self, *, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        if batch_size > len(lengths):
            raise ValueError(f"batch_size={batch_size} must be at most the number of training rows, {len(lengths)}")
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.batches_per_epoch = len(lengths) // batch_size
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def __call__(self, step: int) -> Rows:
        epoch, batch = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[batch]

    def _make_epoch(self, epoch: int) -> Rows:
        rng = np.random.Generator(np.random.SFC64([self.seed, epoch]))
        order = rng.permutation(len(self.lengths))[: self.batches_per_epoch * self.batch_size]
        mega = MEGA_BATCHES * self.batch_size
        for start in range(0, len(order), mega):
            part = order[start : start + mega]
            order[start : start + mega] = part[np.argsort(self.lengths[part], kind="stable")]
        batches = order.reshape(self.batches_per_epoch, self.batch_size)
        return batches[rng.permutation(self.batches_per_epoch)]


def eval_batches(*, lengths: NDArray[np.int64], max_tokens: int, min_batches: int) -> list[list[int]]:
    """Every row exactly once, longest first, in batches of at most max_tokens padded tokens (but at least one row).

    There are at least min_batches of them: one for each rank. Raises ValueError if there are fewer rows than that.
    """
    if len(lengths) < min_batches:
        raise ValueError(
            f"{len(lengths)} evaluation rows cannot be shared out over {min_batches} ranks: use fewer ranks"
        )
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        num_rows = max(1, min(max_tokens // int(lengths[order[start]]), len(order) // min_batches))
        batches.append(order[start : start + num_rows].tolist())
        start += num_rows
    return batches


def piece_batches(*, lengths: NDArray[np.int64], max_tokens: int) -> list[list[int]]:
    """Every row exactly once, longest first, in batches of rows of one length that are read side by side, in pieces.

    A piece of a batch has at most max_tokens steps in all, and PIECE_STEPS or more of each row where max_tokens allows.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[list[int]] = []
    for row in order.tolist():
        full = not batches or len(batches[-1]) >= max(1, max_tokens // PIECE_STEPS)
        if full or lengths[batches[-1][0]] != lengths[row]:
            batches.append([])
        batches[-1].append(row)
    return batches
