"""Pictures, each followed by a delay: which picture, how long a delay, and what is seen meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.common.counter_rng import below, random_words
from lra_mru.spec import Batch
from lra_mru.tasks.base import SequenceSet
from lra_mru.tasks.draws import NormalStreams
from lra_mru.tasks.parts import Spans, spans_of
from lra_mru.tasks.pixels import PictureSet
from lra_mru.tasks.sampling import Rows

NOISES = ("zeros", "gaussian", "digits")
Vectors = NDArray[np.float32]


class Plan(Protocol):
    """What the rows of a set are; a pure function of their numbers.

    Shapes:  rows (B,) -> pictures, delays (B,), int64
    """

    @property
    def num_rows(self) -> int: ...

    def pictures(self, rows: Rows) -> Rows: ...

    def delays(self, rows: Rows) -> Rows: ...


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Row `step * num_pictures + picture` is that picture in training step `step`. A step has one delay, U{0 .. T}."""

    num_pictures: int
    T: int
    key: int
    num_rows: int

    def pictures(self, rows: Rows) -> Rows:
        return rows % self.num_pictures

    def delays(self, rows: Rows) -> Rows:
        words = random_words(self.key, rows // self.num_pictures, 1)[:, 0]
        return below(words, np.uint64(self.T + 1)).view(np.int64)


@dataclass(frozen=True, kw_only=True)
class EvalPlan:
    """Row i is picture `chosen[i]` with the delay `cycle[i % len(cycle)]`."""

    chosen: Rows
    cycle: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        return len(self.chosen)

    def pictures(self, rows: Rows) -> Rows:
        return self.chosen[rows]

    def delays(self, rows: Rows) -> Rows:
        return np.array(self.cycle)[rows % len(self.cycle)]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What a row shows during its delay.

    kind:   zeros (black), gaussian (black + std * N(0, 1)) or digits (other pictures of the same set, in turn)
    std:    of gaussian noise, in units of the input
    black:  value of a black pixel
    key:    of the stream that row i draws its noise from
    """

    kind: str
    std: float
    black: float
    key: int

    def streams(self, pictures: PictureSet, rows: Rows) -> "NoiseStreams":
        """The noise of the rows, to be taken in consecutive parts."""
        return NoiseStreams(self, pictures, rows)


class NoiseStreams:
    """The next steps of noise of every row. Parts of any size give the numbers of one whole part."""

    def __init__(self, noise: Noise, pictures: PictureSet, rows: Rows) -> None:
        self.noise, self.pictures, self.rows = noise, pictures, rows
        self.normals = NormalStreams(noise.key, rows)
        self.done = 0  # steps taken so far

    def take(self, steps: int) -> Vectors:
        """(B, steps, d_input)"""
        if self.noise.kind == "digits":
            values = self._digits(steps)
        else:
            shape = len(self.rows), steps, self.pictures.order.shape[1]
            values = np.full(shape, self.noise.black, dtype=np.float32)
            if self.noise.kind == "gaussian":
                normals = np.empty(shape, dtype=np.float32)
                self.normals.fill(normals)
                values += np.float32(self.noise.std) * normals
        self.done += steps
        return values

    def _digits(self, steps: int) -> Vectors:
        period = len(self.pictures.order)  # steps of one picture
        first, last = self.done // period, -(-(self.done + steps) // period)
        words = random_words(self.noise.key, self.rows, last - first, first=first)
        shown = below(words, np.uint64(len(self.pictures))).view(np.int64)  # (B, pictures)
        values = self.pictures.vectors(shown.reshape(-1)).reshape(len(self.rows), -1, self.pictures.order.shape[1])
        start = self.done - first * period
        return values[:, start : start + steps]


class DelayedSet(SequenceSet):
    """Rows of a plan: the steps of a picture, then noise."""

    def __init__(self, pictures: PictureSet, *, plan: Plan, noise: Noise) -> None:
        self.shown, self.plan, self.noise = pictures, plan, noise
        self.picture_steps = len(pictures.order)

    def __len__(self) -> int:
        return self.plan.num_rows

    def lengths(self) -> NDArray[np.int64]:
        return self.lengths_of(np.arange(len(self)))

    def lengths_of(self, rows: Rows) -> NDArray[np.int64]:
        """Length of the rows in steps: (B,)."""
        return self.picture_steps + self.plan.delays(rows)

    def __getitems__(self, rows: list[int]) -> Batch:
        longest = int(self.lengths_of(np.asarray(rows)).max())
        [batch] = self.parts(rows, [(0, longest)])
        return batch

    def pieces(self, rows: list[int], steps: int) -> Iterator[Batch]:
        """The named rows in consecutive parts of at most `steps` steps; no more than a part is held."""
        longest = int(self.lengths_of(np.asarray(rows)).max())
        yield from self.parts(rows, spans_of(longest, steps))

    def parts(self, rows: list[int], spans: Spans) -> Iterator[Batch]:
        """The rows' steps first .. last - 1 for each (first, last) of `spans`, which follow each other from step 0.

        Beyond a row's length stands more of its noise; a part's lengths say how many of its steps are the row's.
        """
        index = np.asarray(rows)
        chosen, lengths = self.plan.pictures(index), self.lengths_of(index)
        targets = torch.from_numpy(self.shown.labels[chosen].astype(np.int64))
        pictures, noise = self.shown.vectors(chosen), self.noise.streams(self.shown, index)
        for first, last in spans:
            seen = pictures[:, first:last]
            inputs = np.concatenate([seen, noise.take(last - first - seen.shape[1])], axis=1)
            steps = np.clip(lengths - first, 0, last - first)
            yield Batch(inputs=torch.from_numpy(inputs), lengths=torch.from_numpy(steps), targets=targets)
