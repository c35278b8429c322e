"""Pictures as sequences: pixel by pixel in any order, or row by row."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lra_mru.spec import Batch
from lra_mru.tasks.sampling import Rows
from lra_mru.tasks.stored import StoredSet

Files = Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]  # pixels (rows, pixels) and labels (rows,) of each


class PictureSet(StoredSet):
    """Pictures of one or more memory-mapped files; step t holds the pixels order[t], as (grey - mean) / std.

    files: read on as one
    rows:  which of their rows; None: all
    order: (L, d_input) numbers of pixels in raster order
    """

    def __init__(
        self, files: Files, *, rows: NDArray[np.int64] | None, order: NDArray[np.int64], mean: float, std: float
    ) -> None:
        self.pixels = [pixels for pixels, _ in files]
        self.first_rows = np.cumsum([0, *map(len, self.pixels)])
        every = np.arange(self.first_rows[-1]) if rows is None else rows
        self.rows = every
        self.labels = np.concatenate([labels for _, labels in files])[every]
        self.order = order
        self.scaled = ((np.arange(256) - mean) / std).astype(np.float32)  # of each grey level

    def lengths(self) -> NDArray[np.int64]:
        return np.full(len(self), len(self.order))

    def __getitems__(self, rows: list[int]) -> Batch:
        return Batch(
            inputs=torch.from_numpy(self.vectors(np.asarray(rows))),
            lengths=torch.full((len(rows),), len(self.order)),
            targets=torch.from_numpy(self.labels[rows].astype(np.int64)),
        )

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """The pictures as a model sees them: (B, L, d_input)."""
        return self.scaled[self.greys(rows)[:, self.order]]

    def greys(self, rows: Rows | list[int]) -> NDArray[np.uint8]:
        """The pictures as stored, in raster order: (B, pixels)."""
        stored = self.rows[rows]
        files = np.searchsorted(self.first_rows, stored, side="right") - 1
        greys = np.empty((len(stored), self.pixels[0].shape[1]), dtype=np.uint8)
        for f, pixels in enumerate(self.pixels):
            greys[files == f] = pixels[stored[files == f] - self.first_rows[f]]
        return greys


def raster(side: int, *, by_row: bool = False) -> NDArray[np.int64]:
    """Pixel by pixel, row after row from the top: (side^2, 1); by_row: a row at each step, (side, side)."""
    return np.arange(side**2).reshape(-1, side if by_row else 1)


def check_scale(pixel_std: float) -> None:
    """Raise ValueError unless pixels can be divided by it."""
    if pixel_std <= 0:
        raise ValueError(f"pixel_std={pixel_std} must be above 0")
