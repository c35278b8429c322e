"""Everything about a Pathfinder image that does not depend on chance: paddles, where they may follow, how discs look.

A paddle is a short bar in one of 360 orientations at the start of a snake, or along one of some twenty steps within
it. Its picture and its mask (the ground that it takes, a margin wider) are drawn once, so that the generator only has
to move them about. Angles are in radians.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.pathfinder.settings import SETTINGS, Setting
from data_prep.pathfinder.sprites import SCALE, Grey, dilated, disc, line, polar, reduced

WEIGHT_UNIT = 2**16  # weights of the next step are whole numbers: the same draw on every machine


class Cells(NamedTuple):
    """Pixels of many sprites: sprite i has those from start[i] to start[i + 1].

    A pixel is one number, 256 * offset + value: its offset from the sprite's place in the plane, and its value.
    """

    start: NDArray[np.int64]  # (sprites + 1,)
    pixel: NDArray[np.int32]  # (pixels,)


class Plane(NamedTuple):
    """The image with a frame around it, in one row: nothing that a snake tries leaves it."""

    size: int
    guard: int  # width of the frame
    stride: int  # from one row to the next
    empty_mask: Grey  # (stride^2,): ground taken at the start; 0 in the frame
    empty_near: Grey  # (stride^2,): the same, a margin wider; 255 in the frame


class Starts(NamedTuple):
    """First paddles: 360 orientations, in whole degrees from -180 on; y before x."""

    may_start: NDArray[np.bool_]  # (360,): whether any snake may start at this orientation
    usable: NDArray[np.int64]  # those at which the first target finds room
    corner: NDArray[np.int64]  # (360, 2): top left of the area where it may start
    extent: NDArray[np.int64]  # (360, 2): and rows and columns of that area
    head: NDArray[np.float64]  # (360, 2): from the tail of a paddle to its head
    back: NDArray[np.float64]  # (360, 2): from there to its pivot
    ring: NDArray[np.float64]  # (360, 2): from the first target's origin to the second's, by direction
    free: Cells  # (360): pixels that must be free for a distractor to start


class Walk(NamedTuple):
    """Further paddles: orientations 0 .. 359 are those of first paddles, 360 + k that of step k."""

    turn: NDArray[np.float64]  # (orientations, 2): from a paddle's pivot to the next one's
    step: NDArray[np.int64]  # (steps,): from a pivot to the heads that may follow
    choice: NDArray[np.int64]  # (orientations + 1,): after orientation i may follow step_of[choice[i] : choice[i + 1]]
    step_of: NDArray[np.int64]
    weight: NDArray[np.int64]  # of each choice
    clash: Cells  # (orientations): value of ground taken from which on a paddle here would come too close


class Ground(NamedTuple):
    """What a paddle takes, and that a margin wider: (orientations)."""

    mask: Cells
    near: Cells


class Table(NamedTuple):
    """All that the generator looks up for one image size and margin."""

    plane: Plane
    starts: Starts
    walk: Walk
    ground: Ground
    line: Cells  # (orientations): pictures of paddles
    disc: Cells  # (1)


@lru_cache(maxsize=8)
def tables(size: int, clean: bool) -> tuple[Table, ...]:
    """One table for each margin of an image size."""
    return tuple(_table(SETTINGS[size], size, margin, clean) for margin in SETTINGS[size].margins)


def _table(s: Setting, size: int, margin: int, clean: bool) -> Table:
    guard = 3 * s.paddle_length + 4 * max(s.margins) + math.ceil(s.thickness) + 2
    stride = size + 2 * guard
    starts = np.arange(-180, 180) * np.pi / 180
    steps = _steps(s.paddle_length + margin)  # (steps, 2)
    along = np.arctan2(steps[:, 0], steps[:, 1])
    angles = np.concatenate([starts, along])
    weights = _weights(angles, along, s.continuity)
    lines = [line(angle, s, margin) for angle in starts] + [line(_flip(angle), s, margin) for angle in along]
    masks = [reduced(dilated(line, margin * SCALE)) for line in lines]

    def cells(sprites: list[Grey]) -> Cells:
        return _cells([_pixels(sprite, 1) for sprite in sprites], stride)

    close = [_pixels(mask, 204) for mask in masks]  # two masks clash where their sum is 1.8 or more: 459 of 255
    return Table(
        plane=_plane(size, guard, s.padding, margin),
        starts=_starts(starts, masks[:360], s, size, margin, stride, clean),
        walk=Walk(
            turn=polar(angles, s.paddle_length + 2 * margin),
            step=steps[:, 0] * stride + steps[:, 1],
            choice=np.concatenate([[0], np.cumsum((weights > 0).sum(1))]),
            step_of=np.nonzero(weights)[1],
            weight=weights[weights > 0],
            clash=_cells([(offsets, 459 - values.astype(np.int64)) for offsets, values in close], stride),
        ),
        ground=Ground(cells(masks), cells([dilated(np.pad(mask, margin), margin) for mask in masks])),
        line=cells([reduced(line) for line in lines]),
        disc=cells([disc(s.marker_radius)]),
    )


def _plane(size: int, guard: int, padding: int, margin: int) -> Plane:
    mask = np.full((size, size), 255, np.uint8)
    mask[padding : size - padding, padding : size - padding] = 0
    near = np.pad(dilated(mask, margin), guard, constant_values=255)
    return Plane(size, guard, size + 2 * guard, np.pad(mask, guard).ravel(), near.ravel())


def _starts(
    angles: NDArray[np.float64], masks: list[Grey], s: Setting, size: int, margin: int, stride: int, clean: bool
) -> Starts:
    reach = s.paddle_length + margin
    offsets = [_start_offsets(mask, reach, clean) for mask in masks]
    lowest, highest = np.array([[cells.min(0), cells.max(0)] for cells in offsets]).transpose(1, 0, 2)
    corner = 2 * s.seed_distance - lowest
    extent = np.maximum(size - 2 * s.seed_distance - highest - corner, 0)
    may_start = np.array([clean or _reaches_all_corners(cells) for cells in offsets])
    return Starts(
        may_start=may_start,
        usable=np.flatnonzero(may_start & (extent > 0).all(1)),
        corner=corner,
        extent=extent,
        head=polar(angles, s.paddle_length),
        back=polar(np.array([_reverse(angle) for angle in angles]), reach),
        ring=polar(np.arange(360) * np.pi / 180, s.seed_distance),
        free=_cells([(cells, np.zeros(len(cells), np.int64)) for cells in offsets], stride),
    )


def _reverse(angle: float) -> float:
    return angle + np.pi if angle + np.pi < np.pi else angle - np.pi


def _flip(angle: float) -> float:
    return angle + np.pi if angle < 0 else angle - np.pi


def _steps(radius: int) -> NDArray[np.int64]:
    """Distinct pixels on a circle, walked in arcs of a pixel, from top left to bottom right: (steps, 2)."""
    degrees = np.arange(0, 360, 360 / (2 * radius * np.pi))
    return np.unique(np.floor(1000 + polar(degrees * np.pi / 180, radius)).astype(np.int64) - 1000, axis=0)


def _weights(angles: NDArray[np.float64], along: NDArray[np.float64], continuity: float) -> NDArray[np.int64]:
    """cos^2 of the turn times continuity, nothing from 90 degrees on: (orientations, steps)."""
    apart = np.abs(along[None, :] - angles[:, None])
    turn = np.minimum(np.minimum(apart, 2 * np.pi - apart) * continuity, np.pi / 2)
    return np.rint(np.cos(turn) ** 2 * WEIGHT_UNIT).astype(np.int64)


def _start_offsets(mask: Grey, reach: int, clean: bool) -> NDArray[np.int64]:
    """Pixels, from a tail on, that must be free for a snake to start: (cells, 2).

    The official program takes the mask's full pixels one too far down and right. Where they then surround no corner
    of the image, its OpenCV call answers with the lowest number there is, and no snake starts at this orientation.
    """
    offsets, _ = _pixels(mask, 255)
    if clean:
        return offsets
    moved = offsets + 1
    return moved[(np.abs(moved) <= reach).all(1)]


def _reaches_all_corners(offsets: NDArray[np.int64]) -> bool:
    return all(((offsets * sign >= 0).all(1)).any() for sign in ([1, 1], [1, -1], [-1, 1], [-1, -1]))


def _pixels(sprite: Grey, least: int) -> tuple[NDArray[np.int64], Grey]:
    """Pixels of at least this value -> offsets from the centre (cells, 2), values (cells,)."""
    found = np.argwhere(sprite >= least)
    return found - len(sprite) // 2, sprite[found[:, 0], found[:, 1]]


def _cells(sprites: list[tuple[NDArray[np.int64], NDArray[Any]]], stride: int) -> Cells:
    counts = [len(offsets) for offsets, _ in sprites]
    offsets = np.concatenate([offsets for offsets, _ in sprites])
    values = np.concatenate([values for _, values in sprites]).astype(np.int64)
    pixel = 256 * (offsets[:, 0] * stride + offsets[:, 1]) + values
    return Cells(np.concatenate([[0], np.cumsum(counts)]), pixel.astype(np.int32))
