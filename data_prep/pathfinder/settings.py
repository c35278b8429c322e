"""Figures of every Pathfinder image size: those that the Long Range Arena documents, and a small one of our own.

Source: lra_benchmarks/data/pathfinder.py; what it leaves out, drewlinsley/pathfinder (snakes2.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Figures of one image size; lengths in pixels.

    contours:           numbers of paddles that a target snake may have
    margins:            gaps between paddles, one drawn per image
    seed_distance:      from one snake's origin to the other's; the first lies twice as far from the edges
    continuity:         how straight snakes go: a turn of 90 degrees / continuity never happens
    distractor_paddles: that all distractor snakes have together, if all of them find a place
    target_contrast, distractor_contrast:  brightness of paddles; a disc has 1, and the brightest pixel becomes 255
    """

    contours: tuple[int, ...]
    paddle_length: int
    thickness: float
    margins: tuple[int, ...]
    padding: int
    seed_distance: int
    marker_radius: float
    continuity: float
    distractor_paddles: int
    target_contrast: float
    distractor_contrast: float


SETTINGS = {
    16: Setting(  # our own, for a model that shall learn it on a CPU in minutes
        contours=(2, 3, 4, 5),
        paddle_length=2,
        thickness=0.5,
        margins=(1,),
        padding=2,
        seed_distance=3,
        marker_radius=1.0,
        continuity=1.0,
        distractor_paddles=0,
        target_contrast=1.5,
        distractor_contrast=2.0,
    ),
    32: Setting(
        contours=(6, 9, 14),
        paddle_length=2,
        thickness=0.5,
        margins=(1,),
        padding=1,
        seed_distance=7,
        marker_radius=1.5,
        continuity=1.0,
        distractor_paddles=20,
        target_contrast=1.5,
        distractor_contrast=2.0,
    ),
    64: Setting(
        contours=(6, 9, 14),
        paddle_length=5,
        thickness=1,
        margins=(1,),
        padding=1,
        seed_distance=12,
        marker_radius=2.5,
        continuity=1.8,
        distractor_paddles=22,
        target_contrast=0.8,
        distractor_contrast=0.8,
    ),
    128: Setting(
        contours=(6, 9, 14),
        paddle_length=5,
        thickness=1.5,
        margins=(2, 3),
        padding=1,
        seed_distance=20,
        marker_radius=3,
        continuity=1.8,
        distractor_paddles=35,
        target_contrast=0.9,
        distractor_contrast=0.9,
    ),
    256: Setting(
        contours=(6, 9, 14),
        paddle_length=5,
        thickness=2,
        margins=(3,),
        padding=22,
        seed_distance=27,
        marker_radius=5,
        continuity=1.8,
        distractor_paddles=30,
        target_contrast=1.0,
        distractor_contrast=1.0,
    ),
}


def shades(size: int, clean: bool) -> NDArray[np.float64]:
    """Brightness of each grey of a sprite in a target, a distractor and a disc, rounded as officially: (3, 256)."""
    s = SETTINGS[size]
    contrasts = [s.target_contrast, s.target_contrast if clean else s.distractor_contrast]
    paddles = [(np.arange(256) / 255 * contrast).astype(np.float32) for contrast in contrasts]
    return np.stack([*paddles, np.arange(256) / 255]).astype(np.float64)
