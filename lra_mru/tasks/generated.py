"""Tasks whose rows are made on demand: nothing on disk, no end of training rows, a test at any length."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from data_prep.common.checks import check_int
from data_prep.common.counter_rng import stream_key
from lra_mru.spec import NO_TARGET, Batch
from lra_mru.tasks.base import SequenceSet, SequenceTask
from lra_mru.tasks.draws import Draws
from lra_mru.tasks.machine import Machine
from lra_mru.tasks.sampling import Rows

UNBOUNDED = 2**62  # rows of a generated training set: no run reaches its end
MAX_ATTEMPTS = 100  # at a row that is not taken; where half of all rows are, 2**-100 is the chance that none is found
CHUNK_ROWS = 64  # made at a time where a whole set is looked through
Array = NDArray[Any]


@dataclass(kw_only=True, eq=False, repr=False)
class GeneratedTask(SequenceTask):
    """A task whose rows are built by one function, and answered by another.

    Row i of a set is a pure function of (seed or data_seed, name of the set, i), made again should its content stand
    in an earlier set of that length; the order is val, every test set, train. So no row stands in two sets: two equal
    rows have one length and one hash of their content, and the later set would have made its own anew.

    T:              length in training, validation and test, in the unit that the subclass names
    num_val:        validation rows
    num_test:       test rows at T
    eval_lengths:   T of the further test sets, recorded as test/acc@T
    eval_examples:  rows of each
    """

    T: int
    num_val: int
    num_test: int
    eval_lengths: Sequence[int]
    eval_examples: Sequence[int]

    _hashes: dict[str, NDArray[np.uint64]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(set(self.eval_lengths)) == len(self.eval_lengths) == len(self.eval_examples):
            raise ValueError(
                f"eval_lengths={list(self.eval_lengths)}, eval_examples={list(self.eval_examples)}: give each length "
                "once, and one number of examples for each"
            )
        for name in ("T", "num_val", "num_test"):
            check_int(name, getattr(self, name), minimum=1)
        for name in ("eval_lengths", "eval_examples"):
            for value in getattr(self, name):
                check_int(name, value, minimum=1)
        self._sizes = {"val": (self.num_val, self.T), "test": (self.num_test, self.T)}  # set -> rows, T
        self._sizes |= {f"test@{T}": (n, T) for T, n in zip(self.eval_lengths, self.eval_examples, strict=True)}
        self._sizes["train"] = (UNBOUNDED, self.T)
        self.test_sets = {"": self.num_steps(self.T)} | {f"@{T}": self.num_steps(T) for T in self.eval_lengths}
        self.group_names = []

    def check_lengths(self, *, minimum: int, reason: str) -> None:
        """Raise ValueError if T or an eval length is below minimum; `reason` says what needs it."""
        for name, value in [("T", self.T), *(("eval_lengths", T) for T in self.eval_lengths)]:
            if value < minimum:
                raise ValueError(f"{name}={value} must be at least {minimum}: {reason}")

    @abstractmethod
    def build(self, draws: Draws, T: int) -> tuple[Array, Array]:
        """Rows of length T -> inputs and targets, as in a Batch whose rows all have num_steps(T) steps."""

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

    def train_set(self) -> "GeneratedSet":
        return self._rows("train")

    def train_rows(self, step: int) -> Rows:
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size, dtype=np.int64)

    def val_set(self) -> "GeneratedSet":
        return self._rows("val")

    def test_set(self, suffix: str) -> "GeneratedSet":
        return self._rows("test" + suffix)

    def floors(self) -> dict[str, float]:
        right: dict[str, list[NDArray[np.bool_]]] = {}
        for inputs, targets in self._rows("test").chunks():
            for name, answers in self.shortcuts(inputs).items():
                right.setdefault(name, []).append((answers == targets)[targets != NO_TARGET])
        return {"chance": self.spec.chance} | {name: float(np.concatenate(r).mean()) for name, r in right.items()}

    def _rows(self, name: str) -> "GeneratedSet":
        num_rows, T = self._sizes[name]
        seed = self.seed if name == "train" else self.data_seed
        earlier = takewhile(lambda other: other != name, self._sizes)
        taken = [self._hashes_of(other) for other in earlier if self._sizes[other][1] == T]
        return GeneratedSet(
            task=self,
            key=stream_key(self.name, name, seed),
            num_rows=num_rows,
            T=T,
            taken=np.concatenate([np.empty(0, dtype=np.uint64), *taken]),
        )

    def _hashes_of(self, name: str) -> NDArray[np.uint64]:
        if name not in self._hashes:
            self._hashes[name] = np.concatenate([row_hashes(inputs) for inputs, _ in self._rows(name).chunks()])
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
        inputs, targets = self.arrays(np.asarray(rows, dtype=np.int64))
        return Batch(
            inputs=torch.from_numpy(inputs),
            lengths=torch.full((len(rows),), self.num_steps),
            targets=torch.from_numpy(targets),
        )

    def chunks(self) -> Iterator[tuple[Array, Array]]:
        """Inputs and targets of all rows, some at a time."""
        for first in range(0, self.num_rows, CHUNK_ROWS):
            yield self.arrays(np.arange(first, min(first + CHUNK_ROWS, self.num_rows)))

    def arrays(self, index: Rows) -> tuple[Array, Array]:
        """Inputs and targets of the rows `index`."""
        inputs, targets = self.task.build(Draws(self.key, index), self.T)
        if not len(self.taken):
            return inputs, targets
        for attempt in range(1, MAX_ATTEMPTS):
            clashes = np.isin(row_hashes(inputs), self.taken)
            if not clashes.any():
                return inputs, targets
            draws = Draws(stream_key(self.key, attempt), index[clashes])
            inputs[clashes], targets[clashes] = self.task.build(draws, self.T)
        raise ValueError(
            f"T={self.T} leaves too few rows for train, {self.task.num_val} for val and {self.task.num_test} for test "
            "to differ: raise T, or lower num_val and num_test"
        )


def row_hashes(inputs: Array) -> NDArray[np.uint64]:
    """64-bit hash of each row's content: (B,)."""
    return np.array([xxh3_64_intdigest(row) for row in inputs], dtype=np.uint64)
