"""A row in parts: which steps a part holds, and where in it something of the row stands."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Spans = Iterable[tuple[int, int]]  # (first, last) of each part: its steps are first .. last - 1 of the row


def spans_of(num_steps: int, steps: int) -> Iterator[tuple[int, int]]:
    """The spans of a row of num_steps steps that is cut into parts of `steps` steps, the last one shorter."""
    for first in range(0, num_steps, steps):
        yield first, min(first + steps, num_steps)


def write_run(part: Array, first: int, start: int, values: Array) -> None:
    """Write values that stand at the row's steps start, start + 1, .. into the part that begins at step `first`.

    Shapes:  part (B, steps); values (B, K)
    """
    begin, end = max(start, first), min(start + values.shape[1], first + part.shape[1])
    if begin < end:
        part[:, begin - first : end - first] = values[:, begin - start : end - start]


def write_at(part: Array, first: int, places: Array, values: Array | int) -> None:
    """Write values that stand at the row's steps `places` into the part that begins at step `first`.

    Shapes:  part (B, steps); places (B, K); values (B, K) or one for all
    """
    rows, k = np.nonzero((places >= first) & (places < first + part.shape[1]))
    part[rows, places[rows, k] - first] = np.broadcast_to(values, places.shape)[rows, k]
