"""How the snakes of a Pathfinder image start and grow. A snake is a row of paddles; from its start on,

    pivot:   the last pivot, moved on by paddle_length + 2 margin along the last paddle, rounded up
    head:    a pixel on the circle of radius paddle_length + margin around the pivot, drawn with weight
             cos^2(min(|turn| * continuity, 90 degrees)) * (1 - ground taken within a margin)
    refused: if the new paddle's mask and the ground taken come to 1.8 or more anywhere; drawn again, three times

and a snake that finds no head is given up. `mask` is the ground taken, `near` the same a margin wider: (stride^2,).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_prep.common.numba_rng import next_below
from data_prep.pathfinder.sprites import Grey
from data_prep.pathfinder.tables import WEIGHT_UNIT, Cells, Ground, Plane, Starts, Walk

PADDLE_TRIES = 3
LEAST_WEIGHT = int(1e-4 * 255 * WEIGHT_UNIT)  # of all heads together
NEARLY_FREE = 76  # ground taken to 0.3 of 255
NOWHERE = -1

State = NDArray[np.uint64]
Whole = NDArray[np.int64]  # e.g. paddles, (paddles, 2): place in the plane, orientation


@njit(cache=True, nogil=True)
def _moved(place: int, by: float) -> int:
    return int(np.ceil(place + by))


@njit(cache=True, nogil=True)
def _put(ground: Grey, cells: Cells, sprite: int, place: int) -> None:
    for pixel in cells.pixel[cells.start[sprite] : cells.start[sprite + 1]]:
        at, value = place + (pixel >> 8), np.uint8(pixel & 255)
        if ground[at] < value:
            ground[at] = value


@njit(cache=True, nogil=True)
def _clashes(ground: Grey, cells: Cells, sprite: int, place: int) -> bool:
    """Whether the ground taken reaches the value of any pixel."""
    for pixel in cells.pixel[cells.start[sprite] : cells.start[sprite + 1]]:
        if ground[place + (pixel >> 8)] >= (pixel & 255):
            return True
    return False


@njit(cache=True, nogil=True)
def _start(starts: Starts, size: int, orientation: int, y: int, x: int, pivot: Whole) -> bool:
    """Set the pivot of a first paddle with its tail at (y, x) -> whether head and pivot lie in the image."""
    head_y, head_x = _moved(y, starts.head[orientation, 0]), _moved(x, starts.head[orientation, 1])
    pivot[0], pivot[1] = _moved(head_y, starts.back[orientation, 0]), _moved(head_x, starts.back[orientation, 1])
    return min(head_y, head_x, pivot[0], pivot[1]) >= 0 and max(head_y, head_x, pivot[0], pivot[1]) < size


@njit(cache=True, nogil=True)
def _next_paddle(
    state: State,
    walk: Walk,
    guard: int,
    stride: int,
    mask: Grey,
    near: Grey,
    pivot: Whole,
    orientation: int,
    reached: Whole,
) -> tuple[int, int]:
    """Move the pivot on and draw a head -> (place, orientation) of the next paddle, or NOWHERE."""
    pivot[0] = _moved(pivot[0], walk.turn[orientation, 0])
    pivot[1] = _moved(pivot[1], walk.turn[orientation, 1])
    centre = (pivot[0] + guard) * stride + pivot[1] + guard
    first, total = walk.choice[orientation], 0
    for i in range(first, walk.choice[orientation + 1]):
        total += (255 - int(near[centre + walk.step[walk.step_of[i]]])) * walk.weight[i]
        reached[i - first] = total
    if total <= LEAST_WEIGHT:
        return NOWHERE, NOWHERE
    for _ in range(PADDLE_TRIES):
        drawn = next_below(state, total)
        i = 0
        while reached[i] <= drawn:
            i += 1
        k = walk.step_of[first + i]
        if not _clashes(mask, walk.clash, 360 + k, centre + walk.step[k]):
            return centre + walk.step[k], 360 + k
    return NOWHERE, NOWHERE


@njit(cache=True, nogil=True)
def start_targets(
    state: State,
    plane: Plane,
    starts: Starts,
    walk: Walk,
    ground: Ground,
    clean: bool,
    mask: Grey,
    near: Grey,
    pivots: Whole,
    paddles: Whole,
) -> bool:
    """First paddles of both targets on an empty image, their tails at seed_distance -> whether they lie in it."""
    mask[:] = plane.empty_mask
    near[:] = plane.empty_near
    orientation = starts.usable[next_below(state, len(starts.usable))]
    y = starts.corner[orientation, 0] + next_below(state, starts.extent[orientation, 0])
    x = starts.corner[orientation, 1] + next_below(state, starts.extent[orientation, 1])
    if not _start(starts, plane.size, orientation, y, x, pivots[0]):
        return False
    paddles[0, 0], paddles[0, 1] = (y + plane.guard) * plane.stride + x + plane.guard, orientation
    for _ in range(PADDLE_TRIES):
        orientation, degree = next_below(state, 360), next_below(state, 360)
        other_y, other_x = int(np.rint(y + starts.ring[degree, 0])), int(np.rint(x + starts.ring[degree, 1]))
        if _start(starts, plane.size, orientation, other_y, other_x, pivots[1]):
            paddles[1, 0] = (other_y + plane.guard) * plane.stride + other_x + plane.guard
            paddles[1, 1] = orientation
            if not clean:
                return True
            _put(near, ground.mask, paddles[0, 1], paddles[0, 0])
            crossed = _clashes(near, walk.clash, orientation, paddles[1, 0])
            near[:] = plane.empty_near
            return not crossed
    return False


@njit(cache=True, nogil=True)
def grow_targets(
    state: State,
    plane: Plane,
    walk: Walk,
    ground: Ground,
    clean: bool,
    mask: Grey,
    near: Grey,
    pivots: Whole,
    paddles: Whole,
    reached: Whole,
) -> bool:
    """Let both targets grow in turn from their first paddles, rows 0 and 1 -> whether they filled all rows."""
    for row in range(2, len(paddles)):
        last = row - 2  # of the same snake
        place, orientation = _next_paddle(
            state, walk, plane.guard, plane.stride, mask, near, pivots[row % 2], paddles[last, 1], reached
        )
        if place == NOWHERE:
            return False
        _put(mask, ground.mask, paddles[last, 1], paddles[last, 0])
        _put(near, ground.near, paddles[last, 1], paddles[last, 0])
        paddles[row, 0], paddles[row, 1] = place, orientation
    for row in range(
        len(paddles) - (2 if clean else 1), len(paddles)
    ):  # officially the first snake's last is forgotten
        _put(mask, ground.mask, paddles[row, 1], paddles[row, 0])
        _put(near, ground.near, paddles[row, 1], paddles[row, 0])
    return True


@njit(cache=True, nogil=True)
def _is_free(plane: Plane, free: Cells, mask: Grey, orientation: int, pixel: int) -> bool:
    place = (pixel // plane.size + plane.guard) * plane.stride + pixel % plane.size + plane.guard
    for cell in free.pixel[free.start[orientation] : free.start[orientation + 1]]:
        if mask[place + (cell >> 8)] > NEARLY_FREE:
            return False
    return True


@njit(cache=True, nogil=True)
def _free_pixel(state: State, plane: Plane, free: Cells, mask: Grey, orientation: int) -> int:
    """A random one of all pixels y * size + x where a snake may start at this orientation, or NOWHERE."""
    num_pixels = plane.size * plane.size
    for _ in range(32):  # most images have room: try before counting
        pixel = next_below(state, num_pixels)
        if _is_free(plane, free, mask, orientation, pixel):
            return pixel
    found = np.empty(num_pixels, np.int64)
    num_found = 0
    for pixel in range(num_pixels):
        if _is_free(plane, free, mask, orientation, pixel):
            found[num_found] = pixel
            num_found += 1
    return int(found[next_below(state, num_found)]) if num_found else NOWHERE


@njit(cache=True, nogil=True)
def start_distractor(state: State, plane: Plane, starts: Starts, mask: Grey, pivot: Whole, paddles: Whole) -> bool:
    """First paddle of a distractor, anywhere that is free -> whether there is such a place."""
    for _ in range(PADDLE_TRIES):
        orientation = next_below(state, 360)
        if not starts.may_start[orientation]:
            return False
        pixel = _free_pixel(state, plane, starts.free, mask, orientation)
        if pixel == NOWHERE:
            return False
        y, x = pixel // plane.size, pixel % plane.size
        if _start(starts, plane.size, orientation, y, x, pivot):
            paddles[0, 0], paddles[0, 1] = (y + plane.guard) * plane.stride + x + plane.guard, orientation
            return True
    return False


@njit(cache=True, nogil=True)
def grow_distractor(
    state: State,
    plane: Plane,
    walk: Walk,
    ground: Ground,
    mask: Grey,
    near: Grey,
    pivot: Whole,
    paddles: Whole,
    reached: Whole,
) -> bool:
    """Let a snake grow from row 0 -> whether it filled all rows; if not, the ground is as it was."""
    mask_before, near_before = mask.copy(), near.copy()
    for row in range(len(paddles)):
        if row > 0:
            place, orientation = _next_paddle(
                state, walk, plane.guard, plane.stride, mask, near, pivot, paddles[row - 1, 1], reached
            )
            if place == NOWHERE:
                mask[:] = mask_before
                near[:] = near_before
                return False
            _put(mask, ground.mask, paddles[row - 1, 1], paddles[row - 1, 0])
            _put(near, ground.near, paddles[row - 1, 1], paddles[row - 1, 0])
            paddles[row, 0], paddles[row, 1] = place, orientation
    _put(mask, ground.mask, paddles[-1, 1], paddles[-1, 0])
    _put(near, ground.near, paddles[-1, 1], paddles[-1, 0])
    return True
