"""What every task is to the engine: a TaskSpec, and a stream of Batch for training, validation and test."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from data_prep.common.checks import check_int, check_seed
from lra_mru.spec import Batch, TaskSpec
from lra_mru.tasks.ahead import Ahead, Loader
from lra_mru.tasks.sampling import Rows, StepBatchSampler, eval_batches, piece_batches


class SequenceSet(Dataset[Batch], ABC):
    """A split of a task, delivered a whole batch at a time."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def lengths(self) -> NDArray[np.int64]:
        """Length of every row in steps: (len(self),)."""

    @abstractmethod
    def __getitems__(self, rows: list[int]) -> Batch:
        """The named rows as one padded batch: a pure function of the row numbers."""

    def pieces(self, rows: list[int], steps: int) -> Iterator[Batch]:
        """The named rows, of one length, in consecutive batches of at most `steps` steps: the same numbers.

        Targets are those of the piece's steps where every step has one, else each row's target in every piece.
        Memory: of the whole batch. A set that can make a row in parts overrides this.
        """
        batch = self.__getitems__(rows)
        num_steps, per_step = batch.inputs.shape[1], batch.targets.ndim == 2
        if int(batch.lengths.min()) < num_steps:
            raise ValueError(f"rows={rows[:3]}... are of different lengths: only rows of one length come in pieces")
        for start in range(0, num_steps, steps):
            end = min(start + steps, num_steps)
            yield replace(
                batch,
                inputs=batch.inputs[:, start:end],
                lengths=torch.full_like(batch.lengths, end - start),
                targets=batch.targets[:, start:end] if per_step else batch.targets,
            )


class PieceLoader:
    """Batches of whole rows, then those of long rows, each read to its end in pieces of at most max_tokens steps."""

    def __init__(
        self, rows: SequenceSet, *, whole: DataLoader[Batch], long: list[list[int]], num_steps: Rows, max_tokens: int
    ) -> None:
        self.rows, self.whole = rows, whole
        self.plan = [  # rows read side by side, steps of each in a piece, steps of each in all
            (batch, max(1, max_tokens // len(batch)), int(num_steps[batch[0]])) for batch in long
        ]

    def __iter__(self) -> Iterator[Batch]:
        yield from self.whole
        for batch, steps, num_steps in self.plan:
            read = 0
            for piece in self.rows.pieces(batch, steps):
                piece.first = read == 0
                read += piece.inputs.shape[1]
                piece.last = read == num_steps
                yield piece

    def __len__(self) -> int:
        return len(self.whole) + sum(math.ceil(num_steps / steps) for _, steps, num_steps in self.plan)


def as_is(batch: Any) -> Any:
    """Collate function of a set that delivers whole batches."""
    return batch


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceTask(pl.LightningDataModule, ABC):
    """A task: `spec` for the model, batches for the engine. A subclass, a dataclass too, adds the settings of its own.

    A training batch is a pure function of (seed, step), an evaluation set of data_seed alone: neither depends on the
    number of workers, on the number of ranks or on where a run was resumed.

    data_dir:           folder below which a task that stores data makes its own folder
    seed:               the run's seed: order of training rows, or the stream of generated training rows
    data_seed:          which data: validation and test sets, and stored training sets
    batch_size:         rows of a global training batch, shared out over the ranks
    eval_batch_tokens:  most padded tokens of an evaluation batch, which has at least one row; a longer row is read in
                        pieces of as many tokens, by a model that can go on from its state
    num_workers:        loader processes; 0 loads in the main process
    """

    data_dir: Path
    seed: int
    data_seed: int
    batch_size: int
    eval_batch_tokens: int
    num_workers: int

    name = ""  # of the class and of its file in conf/task
    spec: TaskSpec = field(init=False)
    variant: str = field(init=False)  # the settings that make it another task: two variants are never compared
    group_names: list[str] = field(init=False)  # accuracy is also reported per group (Batch.groups); may be empty
    test_sets: dict[str, int] = field(init=False)  # suffix -> longest length in steps; "" is the task's own test set
    val_sets: dict[str, int] = field(init=False, default_factory=dict)  # suffix -> steps: further ones, none by default
    device: torch.device = field(init=False, default=torch.device("cpu"))  # set by the engine: where batches go

    def __post_init__(self) -> None:
        super().__init__()
        check_seed("seed", self.seed)
        check_seed("data_seed", self.data_seed)
        check_int("batch_size", self.batch_size, minimum=1)
        check_int("eval_batch_tokens", self.eval_batch_tokens, minimum=1)
        check_int("num_workers", self.num_workers, minimum=0)
        self.data_dir = Path(self.data_dir)

    @abstractmethod
    def train_set(self) -> SequenceSet:
        """The training rows."""

    @abstractmethod
    def train_rows(self, step: int) -> Rows:
        """Row numbers of global training batch `step`: (batch_size,), a pure function of (seed, step)."""

    @abstractmethod
    def val_set(self) -> SequenceSet:
        """The validation rows: they choose the checkpoint."""

    def val_set_for(self, suffix: str) -> SequenceSet:
        """The rows of one entry of `val_sets`: scored after training, so that choices need not look at test sets."""
        raise ValueError(f"suffix={suffix!r} must be one of {sorted(self.val_sets)}")

    @abstractmethod
    def test_set(self, suffix: str) -> SequenceSet:
        """The test rows of one entry of `test_sets`."""

    @abstractmethod
    def floors(self) -> dict[str, float]:
        """Accuracies in [0, 1] that need no memory: "chance", and shortcuts fitted on train and measured on test."""

    def train_dataloader(self) -> Loader:
        """Batches global_step .. max_steps - 1 of the attached trainer, this rank's share."""
        if self.trainer is None:
            raise ValueError("trainer=None: train_dataloader() needs a trainer; without one use train_loader(...)")
        per_step = self.trainer.accumulate_grad_batches
        return self.train_loader(
            start_step=self.trainer.global_step * per_step,
            num_steps=self.trainer.max_steps * per_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def train_loader(self, *, start_step: int, num_steps: int, rank: int, world_size: int) -> Loader:
        """Training batches start_step .. num_steps - 1; its len() is num_steps, wherever it starts."""
        if num_steps < 0:
            raise ValueError(f"num_steps={num_steps} must be at least 0: set trainer.max_steps")
        if self.batch_size % world_size:
            raise ValueError(f"batch_size={self.batch_size} must be divisible by the number of ranks, {world_size}")
        sampler = StepBatchSampler(
            rows_of_step=self.train_rows,
            start_step=start_step,
            num_steps=num_steps,
            rank=rank,
            world_size=world_size,
        )
        return self._for_device(self._loader(self.train_set(), sampler))

    def val_dataloader(self) -> Loader:
        """Every validation row once over all ranks."""
        return self._eval_loader(self.val_set())

    def val_dataloader_for(self, suffix: str, *, in_pieces: bool = False) -> Loader:
        """Every row of the validation set named by a key of `val_sets` once over all ranks."""
        return self._eval_loader(self.val_set_for(suffix), in_pieces)

    def test_dataloader_for(self, suffix: str, *, in_pieces: bool = False) -> Loader:
        """Every row of the test set named by a key of `test_sets` once over all ranks.

        in_pieces: rows longer than eval_batch_tokens come in pieces (Batch.first, Batch.last); pairs never do
        """
        if suffix not in self.test_sets:
            raise ValueError(f"suffix={suffix!r} must be one of {sorted(self.test_sets)}")
        return self._eval_loader(self.test_set(suffix), in_pieces)

    def _eval_loader(self, rows: SequenceSet, in_pieces: bool = False) -> Loader:
        rank, world_size = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        lengths, most = rows.lengths(), self.eval_batch_tokens
        long = np.flatnonzero(lengths > most) if in_pieces and not self.spec.pairs else np.empty(0, dtype=np.int64)
        if not len(long) or len(lengths) < world_size:
            batches = eval_batches(lengths=lengths, max_tokens=most, min_batches=world_size)
            return self._for_device(self._loader(rows, batches[rank::world_size]))
        short, mine = np.setdiff1d(np.arange(len(lengths)), long), long[rank::world_size]
        whole = eval_batches(lengths=lengths[short], max_tokens=most, min_batches=min(world_size, len(short)))
        loader = PieceLoader(
            rows,
            whole=self._loader(rows, [short[batch].tolist() for batch in whole[rank::world_size]]),
            long=[mine[batch].tolist() for batch in piece_batches(lengths=lengths[mine], max_tokens=most)],
            num_steps=lengths,
            max_tokens=most,
        )
        return self._for_device(loader)

    def _for_device(self, loader: Loader) -> Loader:
        """For a GPU batches are made ahead, in a thread; a CPU has none to spare."""
        return Ahead(loader, device=self.device) if self.device.type == "cuda" else loader

    def _loader(self, rows: SequenceSet, batches: StepBatchSampler | list[list[int]]) -> DataLoader[Batch]:
        return DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=as_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            generator=torch.Generator(),  # a loader left to itself draws from the global generator on every pass
        )
