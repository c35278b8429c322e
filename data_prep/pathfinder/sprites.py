"""Pictures of single paddles and discs, and the ground that a paddle takes; all in pixels, y downwards."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data_prep.pathfinder.settings import Setting

Grey = NDArray[np.uint8]
SCALE = 2  # pictures are drawn at twice the size, then reduced (Lanczos)


def polar(angles: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    return np.stack([radius * np.sin(angles), radius * np.cos(angles)], 1)


def line(angle: float, s: Setting, margin: int) -> Grey:
    """A bar from the centre along an angle, white on black, at SCALE times the size."""
    reach = (s.paddle_length + math.ceil(s.thickness) + margin) * SCALE
    y, x = (math.ceil(reach + d) for d in polar(np.array([angle]), s.paddle_length * SCALE)[0])
    image = Image.new("L", (2 * reach + 1, 2 * reach + 1))
    ImageDraw.Draw(image).line([(reach, reach), (x, y)], fill=255, width=round(s.thickness * SCALE))
    return np.array(image)


def disc(radius: float) -> Grey:
    """A marker around a pixel. It is drawn around that pixel's first corner: SCALE is even."""
    reach = math.ceil(radius) + 3  # Lanczos rings 3 pixels wide
    y, x = np.mgrid[: (2 * reach + 1) * SCALE, : (2 * reach + 1) * SCALE] - reach * SCALE
    return reduced(np.where(y**2 + x**2 <= (radius * SCALE) ** 2, 255, 0).astype(np.uint8))


def reduced(picture: Grey) -> Grey:
    """To the size of the image; an odd width 2 n + 1 becomes n + 1 if n is even, as the official sprites do."""
    width = len(picture) // SCALE + (len(picture) % SCALE)
    return np.array(Image.fromarray(picture).resize((width, width), Image.Resampling.LANCZOS))


def dilated(picture: Grey, radius: int) -> Grey:
    """Maximum over a disc around each pixel."""
    padded, result = np.pad(picture, radius), np.zeros_like(picture)
    rows, columns = picture.shape
    for y in range(2 * radius + 1):
        for x in range(2 * radius + 1):
            if (y - radius) ** 2 + (x - radius) ** 2 <= radius**2:
                np.maximum(result, padded[y : y + rows, x : x + columns], out=result)
    return result
