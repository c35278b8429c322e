"""Pathfinder images, drawn in one pass: two target snakes, distractor snakes, and a disc at each end of a question.

    label 1: the discs stand at both ends of one target snake      label 0: at one end of each

Both targets grow in turn; if one fails, both start over. Distractors of a third of their length find a place or not.

Example i of a split is a pure function of (seed, split, i), and no image can stand in two splits, whatever seeds and
sizes: the hash of the finished pixels, mod 10, says the split (0 validation, 1 test, else training), and distractors
and discs are drawn anew, around the same targets, until it says the right one.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.common.numba_rng import below, example_key, mix64, next_below
from data_prep.common.splits import FNV_OFFSET, FNV_PRIME, TEST, TRAIN, VAL
from data_prep.pathfinder.snakes import (
    State,
    Whole,
    grow_distractor,
    grow_targets,
    start_distractor,
    start_targets,
)
from data_prep.pathfinder.sprites import Grey
from data_prep.pathfinder.tables import Cells, Plane, Table

DISTRACTOR_TRIES = 5
MAX_ATTEMPTS = 1_000_000  # pairs of snakes drawn for one image; the hardest setting needs some hundreds
REDRAWS = 100  # of distractors and discs around one pair of targets, before that is thrown away


@njit(cache=True, nogil=True)
def _draw_distractors(
    state: State, t: Table, wanted: int, length: int, mask: Grey, near: Grey, paddles: Whole, reached: Whole
) -> int:
    """As many snakes as find a place -> their number; paddles (wanted * length, 2)."""
    found = 0
    pivot = np.empty(2, np.int64)
    for _ in range(wanted):
        for _ in range(DISTRACTOR_TRIES):
            rows = paddles[found * length : (found + 1) * length]
            if start_distractor(state, t.plane, t.starts, mask, pivot, rows) and grow_distractor(
                state, t.plane, t.walk, t.ground, mask, near, pivot, rows, reached
            ):
                found += 1
                break
    return found


@njit(cache=True, nogil=True)
def _paint(cells: Cells, paddles: Whole, shade: NDArray[np.float64], canvas: NDArray[np.float64]) -> None:
    """Compose paddles, or discs, by maximum."""
    for row in range(len(paddles)):
        sprite = paddles[row, 1]
        for pixel in cells.pixel[cells.start[sprite] : cells.start[sprite + 1]]:
            at = paddles[row, 0] + (pixel >> 8)
            canvas[at] = max(canvas[at], shade[pixel & 255])


@njit(cache=True, nogil=True)
def _stretch(plane: Plane, canvas: NDArray[np.float64], image: Grey) -> np.uint64:
    """Copy the image out of the canvas, its brightest pixel to 255 -> hash of the pixels. image (size, size)"""
    rows = canvas.reshape(plane.stride, plane.stride)[plane.guard : plane.guard + plane.size]
    rows = rows[:, plane.guard : plane.guard + plane.size]
    stretch = 255.0 / rows.max()
    content = FNV_OFFSET
    for y in range(plane.size):
        for x in range(plane.size):
            grey = np.uint8(rows[y, x] * stretch + 0.5)
            image[y, x] = grey
            content = (content ^ np.uint64(grey)) * FNV_PRIME
    return mix64(content)


@njit(cache=True, nogil=True)
def split_of(content: np.uint64) -> int:
    """The one split in which an image of this hash may stand."""
    bucket = below(mix64(content), np.uint64(10))
    return VAL if bucket == 0 else TEST if bucket == 1 else TRAIN


@njit(cache=True, nogil=True)
def draw_images(
    t: Table,
    number: int,
    num_tables: int,
    seed: int,
    split: int,
    first: int,
    contour: int,
    num_distractors: int,
    shades: NDArray[np.float64],
    clean: bool,
    images: Grey,
    labels: Grey,
    hashes: NDArray[np.uint64],
    numbers: Grey,
    drawn: Grey,
) -> int:
    """Draw those of the examples first, first + 1, ... of a split that use table `number` -> rows done.

    It stops early, at the first example for which MAX_ATTEMPTS pairs of snakes did not do. With clean, targets that
    leave no room for all distractors are thrown away.

    Shapes:  shades (3, 256); images (rows, size, size)
             labels, hashes, numbers (of tables), drawn (distractor snakes) (rows,)
    """
    state = np.empty(1, np.uint64)
    length = contour // 3
    mask, near = np.empty_like(t.plane.empty_mask), np.empty_like(t.plane.empty_near)
    canvas = np.empty(len(mask), np.float64)
    targets, others = np.empty((2 * contour, 2), np.int64), np.empty((num_distractors * length, 2), np.int64)
    pivots, discs = np.empty((2, 2), np.int64), np.zeros((2, 2), np.int64)
    reached = np.empty(len(t.walk.step), np.int64)
    for i in range(len(labels)):
        state[0] = example_key(seed, split, first + i)
        labels[i], numbers[i] = next_below(state, 2), next_below(state, num_tables)
        if numbers[i] != number:
            continue
        done = False
        for _ in range(MAX_ATTEMPTS):
            if not (
                start_targets(state, t.plane, t.starts, t.walk, t.ground, clean, mask, near, pivots, targets)
                and grow_targets(state, t.plane, t.walk, t.ground, clean, mask, near, pivots, targets, reached)
            ):
                continue
            mask_before, near_before = mask.copy(), near.copy()
            for _ in range(REDRAWS):
                mask[:] = mask_before
                near[:] = near_before
                drawn[i] = _draw_distractors(state, t, num_distractors, length, mask, near, others, reached)
                if clean and drawn[i] < num_distractors:
                    continue
                origin = next_below(state, 2)
                discs[0, 0] = targets[origin, 0]
                discs[1, 0] = targets[2 * contour - 2 + (origin if labels[i] == 1 else 1 - origin), 0]
                canvas[:] = 0
                _paint(t.line, targets, shades[0], canvas)
                _paint(t.line, others[: drawn[i] * length], shades[1], canvas)
                _paint(t.disc, discs, shades[2], canvas)
                hashes[i] = _stretch(t.plane, canvas, images[i])
                if split_of(hashes[i]) == split:
                    done = True
                    break
            if done:
                break
        else:
            return i
    return len(labels)
