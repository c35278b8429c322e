"""Tasks whose rows lie on disk, as memory-mapped Arrow; a batch is cut out and padded in one piece."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.common.arrow import read_pair_file, read_token_file
from lra_mru.spec import Batch
from lra_mru.tasks.base import SequenceSet, SequenceTask
from lra_mru.tasks.sampling import BucketedEpochs, Rows

SPLITS = ("train", "val", "test")


class StoredSet(SequenceSet):
    """Rows with a label each."""

    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)


class TokenSet(StoredSet):
    """A file of token rows; a batch is padded to its own longest row, with a content that means nothing."""

    def __init__(self, path: Path) -> None:
        self.tokens, self.offsets, self.labels = read_token_file(path)

    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets).astype(np.int64)

    def __getitems__(self, rows: list[int]) -> Batch:
        inputs, lengths = padded(self.tokens, self.offsets, np.asarray(rows))
        return Batch(inputs=inputs, lengths=lengths, targets=torch.from_numpy(self.labels[rows].astype(np.int64)))


class PairSet(StoredSet):
    """A file of pairs, and the documents that they name; a batch of B pairs has 2B rows, a pair side by side."""

    def __init__(self, path: Path, documents: Path) -> None:
        self.pairs, self.labels = read_pair_file(path)
        self.tokens, self.offsets, _ = read_token_file(documents)

    def lengths(self) -> NDArray[np.int64]:
        """Padded steps of each pair: twice its longer document."""
        return 2 * np.diff(self.offsets)[self.pairs].max(axis=1).astype(np.int64)

    def __getitems__(self, rows: list[int]) -> Batch:
        inputs, lengths = padded(self.tokens, self.offsets, self.pairs[rows].reshape(-1).astype(np.int64))
        return Batch(inputs=inputs, lengths=lengths, targets=torch.from_numpy(self.labels[rows].astype(np.int64)))


def padded(tokens: NDArray[np.uint8], offsets: NDArray[np.int32], rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut the rows out of a file of tokens -> ids (B, longest of them) int64, lengths (B,) int64."""
    starts, ends = offsets[rows], offsets[rows + 1]
    lengths = (ends - starts).astype(np.int64)
    inputs = np.zeros((len(rows), lengths.max()), dtype=np.int64)  # (B, L)
    for row, start, end in zip(inputs, starts.tolist(), ends.tolist(), strict=True):
        row[: end - start] = tokens[start:end]
    return torch.from_numpy(inputs), torch.from_numpy(lengths)


@dataclass(kw_only=True, eq=False, repr=False)
class StoredTask(SequenceTask):
    """A task of three files; training goes through them in epochs, batches of like length."""

    @abstractmethod
    def load(self, split: str) -> StoredSet:
        """Map the rows of train, val or test, which prepare_data has put on disk."""

    def setup(self, stage: str) -> None:
        """Map the files; `stage` makes no difference."""
        self.splits = {split: self.load(split) for split in SPLITS}
        self.train_rows_of_step = BucketedEpochs(
            lengths=self.splits["train"].lengths(), batch_size=self.batch_size, seed=self.seed
        )

    def train_set(self) -> SequenceSet:
        return self.splits["train"]

    def train_rows(self, step: int) -> Rows:
        return self.train_rows_of_step(step)

    def val_set(self) -> SequenceSet:
        return self.splits["val"]

    def test_set(self, suffix: str) -> SequenceSet:
        return self.splits["test" + suffix]

    def floors(self) -> dict[str, float]:
        commonest = np.bincount(self.splits["train"].labels).argmax()
        constant_guess = float(np.mean(self.splits["test"].labels == commonest))
        return {"chance": self.spec.chance, "constant_guess": constant_guess}
