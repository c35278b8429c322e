"""Tasks whose rows are made on demand: nothing on disk, no end of training rows, a test at any length."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from xxhash import xxh3_64, xxh3_64_intdigest

from data_prep.common.checks import MOST_ROWS, check_int
from data_prep.common.counter_rng import stream_key
from lra_mru.spec import NO_TARGET, Batch
from lra_mru.tasks.base import SequenceSet, SequenceTask
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.further import further_sets
from lra_mru.tasks.limits import check_batch
from lra_mru.tasks.machine import Machine
from lra_mru.tasks.parts import Array, Spans, spans_of
from lra_mru.tasks.sampling import Rows

UNBOUNDED = 2**62  # rows of a generated training set: no run reaches its end
MAX_ATTEMPTS = 100  # per row. Where half of all rows are taken, 100 attempts fail with probability 2**-100
CHUNK_ROWS = 64  # rows made together where a whole set is looked through; fewer if they have more
CHUNK_STEPS = 2**20  # steps than this in all

Stream = Callable[[Draws, int, Spans], Iterator[tuple[Array, Array]]]  # as GeneratedTask.stream


@dataclass(kw_only=True, eq=False, repr=False)
class GeneratedTask(SequenceTask):
    """A task with two functions: `stream` makes rows, `oracle` answers them.

    Row i of a set is a pure function of (seed or data_seed, name of the set, i). No row stands in two sets: the sets
    have an order (val, every test set, the further validation sets, train), and a set makes row i anew while its inputs
    equal those of a row in an earlier set of the same length. Rows are compared by a 64-bit hash of their inputs.

    T:              length in training, validation and test, in the unit that the subclass names
    num_val:        validation rows
    num_test:       test rows at T
    eval_lengths:   T of the further test sets, recorded as test/acc@T
    eval_examples:  rows of each
    val_lengths:    T of the further validation sets, recorded as val/acc@T
    val_examples:   rows of each
    """

    T: int
    num_val: int
    num_test: int
    eval_lengths: Sequence[int]
    eval_examples: Sequence[int]
    val_lengths: Sequence[int]
    val_examples: Sequence[int]
    _hashes: dict[str, NDArray[np.uint64]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        tests = further_sets("eval", self.eval_lengths, self.eval_examples, minimum=1)
        vals = further_sets("val", self.val_lengths, self.val_examples, minimum=1)
        for name, most in (("T", None), ("num_val", MOST_ROWS), ("num_test", MOST_ROWS)):
            check_int(name, getattr(self, name), minimum=1, maximum=most)
        check_batch(self.T, self.batch_size)
        self._sizes = {  # set -> T, rows
            "val": (self.T, self.num_val),
            "test": (self.T, self.num_test),
            **{f"test{suffix}": size for suffix, size in tests.items()},
            **{f"val{suffix}": size for suffix, size in vals.items()},
            "train": (self.T, UNBOUNDED),
        }
        self._order = list(self._sizes)  # a set makes anew what a set before it holds
        self.test_sets = {suffix: self.num_steps(T) for suffix, (T, _) in {"": (self.T, 0), **tests}.items()}
        self.val_sets = {suffix: self.num_steps(T) for suffix, (T, _) in vals.items()}
        self.group_names = []

    def check_lengths(self, *, minimum: int, reason: str) -> None:
        """Raise ValueError if T or the length of a further set is below minimum; `reason` says what needs it."""
        further = {"eval_lengths": self.eval_lengths, "val_lengths": self.val_lengths}
        for name, value in [("T", self.T), *((name, T) for name, lengths in further.items() for T in lengths)]:
            if value < minimum:
                raise ValueError(f"{name}={value} must be at least {minimum}: {reason}")

    @abstractmethod
    def stream(self, draws: Draws, T: int, spans: Spans) -> Iterator[tuple[Array, Array]]:
        """Rows of length T in parts: for each (first, last) of `spans`, inputs and targets of steps first .. last - 1.

        The spans follow each other from step 0. However a row is cut, its parts hold the same numbers. Shapes are those
        of a Batch of rows that all have last - first steps; a target of the whole row stands in each of its parts.
        """

    def training(self, step: int) -> tuple[int, Stream]:
        """Length of the rows of a training step, one for all, and what draws them: as in every other set, unless a task
        says otherwise."""
        return self.T, self.stream

    def build(self, draws: Draws, T: int) -> tuple[Array, Array]:
        """Whole rows of length T: inputs and targets."""
        [row] = self.stream(draws, T, [(0, self.num_steps(T))])
        return row

    @abstractmethod
    def oracle(self, inputs: Array) -> Array:
        """The targets, in closed form, from the inputs alone: what the task asks for. Where none is, any value."""

    def shortcuts(self, inputs: Array) -> dict[str, Array]:
        """Answers in the shape of the targets that need less memory than the task is about, by name."""
        return {}

    def machine(self) -> Machine:
        """The task as a finite machine, for proofs over all of its words.

        Raises:  ValueError for a task that is none
        """
        raise ValueError(f"task={self.name} is no finite machine of tokens: nothing to prove over all its words")

    def num_steps(self, T: int) -> int:
        """Steps of a row of length T."""
        return T

    def setup(self, stage: str) -> None:
        """Finds out before training whether T leaves rows to train on; `stage` makes no difference."""
        self.train_set().__getitems__([0])

    def train_set(self) -> "TrainingSet":
        rows = self._rows("train")
        return TrainingSet(task=self, key=rows.key, num_rows=rows.num_rows, T=rows.T, taken=rows.taken)

    def train_rows(self, step: int) -> Rows:
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size, dtype=np.int64)

    def val_set(self) -> "GeneratedSet":
        return self._rows("val")

    def val_set_for(self, suffix: str) -> "GeneratedSet":
        return self._rows("val" + suffix)

    def test_set(self, suffix: str) -> "GeneratedSet":
        return self._rows("test" + suffix)

    def fresh_set(self, T: int, num_rows: int) -> "GeneratedSet":
        """Rows of any length T that stand in no set of the task by name: another stream of draws."""
        return GeneratedSet(
            task=self,
            key=stream_key(self.name, f"fresh@{T}", self.data_seed),
            num_rows=num_rows,
            T=T,
            taken=np.empty(0, dtype=np.uint64),
        )

    def floors(self) -> dict[str, float]:
        tolerance = self.spec.tolerance or 0
        right: dict[str, list[NDArray[np.bool_]]] = {}
        for inputs, targets in self._rows("test").chunks():
            for name, answers in self.shortcuts(inputs).items():
                right.setdefault(name, []).append((abs(answers - targets) <= tolerance)[targets != NO_TARGET])
        return {"chance": self.spec.chance} | {name: float(np.concatenate(r).mean()) for name, r in right.items()}

    def _rows(self, name: str) -> "GeneratedSet":
        T, num_rows = self._sizes[name]
        seed = self.seed if name == "train" else self.data_seed
        earlier = self._order[: self._order.index(name)]
        return GeneratedSet(
            task=self,
            key=stream_key(self.name, name, seed),
            num_rows=num_rows,
            T=T,
            taken=self._taken(earlier, T),
        )

    def taken_from_training(self, T: int) -> NDArray[np.uint64]:
        """Hashes of the rows of length T that stand in any set for validation or test."""
        return self._taken(self._order[:-1], T)

    def _taken(self, names: Sequence[str], T: int) -> NDArray[np.uint64]:
        hashes = [self._hashes_of(name) for name in names if self._sizes[name][0] == T]
        return np.concatenate([np.empty(0, dtype=np.uint64), *hashes])

    def _hashes_of(self, name: str) -> NDArray[np.uint64]:
        if name not in self._hashes:
            self._hashes[name] = self._rows(name).hashes()
        return self._hashes[name]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"trainer": None}  # a loader process needs the settings alone


class GeneratedSet(SequenceSet):
    """Rows of one set, made on demand; none has a hash that is `taken`."""

    def __init__(self, *, task: GeneratedTask, key: int, num_rows: int, T: int, taken: NDArray[np.uint64]) -> None:
        self.task, self.key, self.num_rows, self.T, self.taken = task, key, num_rows, T, taken
        self.num_steps = task.num_steps(T)

    def __len__(self) -> int:
        return self.num_rows

    def lengths(self) -> NDArray[np.int64]:
        return np.full(self.num_rows, self.num_steps)

    def __getitems__(self, rows: list[int]) -> Batch:
        return batch_of(*self.arrays(np.asarray(rows, dtype=np.int64)))

    def pieces(self, rows: list[int], steps: int) -> Iterator[Batch]:
        """The named rows in consecutive parts of at most `steps` steps; no more than a part is held."""
        for part in self.parts(np.asarray(rows, dtype=np.int64), steps):
            yield batch_of(*part)

    def parts(self, index: Rows, steps: int) -> Iterator[tuple[Array, Array]]:
        """Inputs and targets of the rows `index`, at most `steps` steps at a time."""
        yield from self._stream(self._keys(index), index, steps)

    def chunks(self) -> Iterator[tuple[Array, Array]]:
        """Inputs and targets of all rows, some at a time."""
        for index in self._indices():
            yield self.arrays(index)

    def arrays(self, index: Rows) -> tuple[Array, Array]:
        """Inputs and targets of the rows `index`."""
        return self._distinct(index, self.T, self.task.stream, self.taken)

    def _distinct(self, index: Rows, T: int, stream: Stream, taken: NDArray[np.uint64]) -> tuple[Array, Array]:
        """Rows of length T, made anew while they are taken."""
        span = [(0, self.task.num_steps(T))]
        [(inputs, targets)] = stream(Draws(self.key, index), T, span)
        if not len(taken):
            return inputs, targets
        for attempt in range(1, MAX_ATTEMPTS):
            clashes = np.isin(row_hashes(inputs), taken)
            if not clashes.any():
                return inputs, targets
            draws = Draws(stream_key(self.key, attempt), index[clashes])
            [(inputs[clashes], targets[clashes])] = stream(draws, T, span)
        raise self._too_few_rows(T)

    def hashes(self) -> NDArray[np.uint64]:
        """Hash of every row's inputs, as row_hashes gives it: (rows,)."""
        return np.concatenate([self._hash(self._keys(index), index) for index in self._indices()])

    def _keys(self, index: Rows) -> NDArray[np.uint64]:
        """Key of the stream that each row is drawn from: the first attempt that is not taken. (B,)"""
        keys = np.full(len(index), self.key, dtype=np.uint64)
        if not len(self.taken):
            return keys
        for attempt in range(1, MAX_ATTEMPTS):
            clashes = np.isin(self._hash(keys, index), self.taken)
            if not clashes.any():
                return keys
            keys[clashes] = stream_key(self.key, attempt)
        raise self._too_few_rows(self.T)

    def _hash(self, keys: NDArray[np.uint64], index: Rows) -> NDArray[np.uint64]:
        hashes = [xxh3_64() for _ in index]
        for inputs, _ in self._stream(keys, index, CHUNK_STEPS):
            for row_hash, row in zip(hashes, inputs, strict=True):
                row_hash.update(row)
        return np.array([row_hash.intdigest() for row_hash in hashes], dtype=np.uint64)

    def _stream(self, keys: NDArray[np.uint64], index: Rows, steps: int) -> Iterator[tuple[Array, Array]]:
        yield from self.task.stream(Draws(keys, index), self.T, spans_of(self.num_steps, steps))

    def _indices(self) -> Iterator[Rows]:
        """All row numbers, some at a time: fewer where rows are long."""
        rows = max(1, min(CHUNK_ROWS, CHUNK_STEPS // self.num_steps))
        for first in range(0, self.num_rows, rows):
            yield np.arange(first, min(first + rows, self.num_rows))

    def _too_few_rows(self, T: int) -> ValueError:
        if T != self.task.T:
            return ValueError(
                f"eval_lengths and val_lengths hold {T}, of which there are too few rows for all sets to differ: "
                "name a longer one, or lower eval_examples and val_examples"
            )
        return ValueError(
            f"T={T} leaves too few rows for train, {self.task.num_val} for val and {self.task.num_test} for test "
            "to differ: raise T, or lower num_val and num_test"
        )


class TrainingSet(GeneratedSet):
    """Training rows: the rows of one step have one length, which a task may change from step to step."""

    def __getitems__(self, rows: list[int]) -> Batch:
        T, stream = self.task.training(rows[0] // self.task.batch_size)
        taken = self.taken if T == self.T else self.task.taken_from_training(T)
        return batch_of(*self._distinct(np.asarray(rows, dtype=np.int64), T, stream, taken))


def batch_of(inputs: Array, targets: Array) -> Batch:
    """A batch whose rows have all steps of the arrays."""
    return Batch(
        inputs=torch.from_numpy(inputs),
        lengths=torch.full((len(inputs),), inputs.shape[1]),
        targets=torch.from_numpy(targets),
    )


def row_hashes(inputs: Array) -> NDArray[np.uint64]:
    """64-bit hash of each row's content: (B,)."""
    return np.array([xxh3_64_intdigest(row) for row in inputs], dtype=np.uint64)
