"""Pictures as arrays: of any size, square or not, and of any number of channels."""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int]
"""Height and width in pixels."""

Size = int | Shape
"""Side of a square, or height and width."""

Picture = NDArray[np.uint8 | np.uint16]
"""(H, W, C): colours in 8 bits; other channels in 16, of which all count."""

T = TypeVar("T", bound=np.generic)

LEAST_SIDE = 8
"""Shorter sides are not made: the spectrum of a picture needs some frequencies along each axis."""

PLANES = 4
"""OpenCV shrinks pictures of up to so many channels by area means."""


def pair(size: Size) -> Shape:
    """Height and width of a size."""
    return (size, size) if isinstance(size, int) else size


def in_proportion(side: int, size: Size) -> Shape:
    """Height and width in the proportion of `size`, the longer one `side`, the shorter one even."""
    shape = pair(size)
    longer = max(shape)
    return (
        scaled_side(side, shape[0], longer),
        scaled_side(side, shape[1], longer),
    )


def scaled_side(side: int, length: int, longer: int) -> int:
    """Return the scaled `length` where the longer side of its shape becomes `side`."""
    if length == longer:
        return side
    return min(side, max(LEAST_SIDE, 2 * round(side * length / longer / 2)))


def typed(size: Size) -> str:
    """A size as it is typed: `128`, or `128x64`."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def white_of(picture: Picture) -> int:
    """Return the number that means 1 in the pixels of a picture."""
    return int(np.iinfo(picture.dtype).max)


def resize(picture: NDArray[T], size: Size, method: int) -> NDArray[T]:
    """Resize (H, W, C) by OpenCV's `method`, whatever the number of channels."""
    height, width = pair(size)
    parts = [
        np.ascontiguousarray(picture[..., first : first + PLANES])
        for first in range(0, picture.shape[2], PLANES)
    ]
    done = [cv2.resize(part, (width, height), interpolation=method) for part in parts]
    return np.concatenate([one.reshape(height, width, -1) for one in done], 2)
