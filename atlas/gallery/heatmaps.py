"""Maps of numbers as pictures: heat maps, feature maps, differences, and their colour bars.

Above zero the colours are OpenCV's inferno, whose lightness grows evenly with the value; below zero
they run from the same black to a pale blue, so that a sign is never mistaken.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images.pixels import THUMBNAIL, Pixels
from ..shapes import Size, in_proportion, resize
from . import addresses, sheets

LEVELS = 255
"""Steps of colour on each side of zero."""

CEILING = 99.5
"""Percentile of a heat map that gets the brightest colour; single brighter pixels share it."""

CONTRAST = 10
"""Factor that enlarges a difference so that people can see it."""

GREY = 128
"""Grey value of a difference of zero."""

BAR = (12, 192)
"""Height and width of a colour bar."""

COLD = ((0, 0, 4), (8, 34, 92), (18, 92, 168), (70, 166, 214), (206, 243, 255))
"""Stops from zero down to the least value: as dark as inferno here, as light as it there."""


def colours() -> Pixels:
    """(511, 3) the colour of each value from -255 to 255."""
    steps = np.arange(LEVELS + 1, dtype=np.uint8)[:, None]
    warm = cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[:, 0, ::-1]  # (256, 3)
    at = np.linspace(0, len(COLD) - 1, LEVELS + 1)
    stops = np.arange(len(COLD))
    cold = np.stack([np.interp(at, stops, stop) for stop in np.array(COLD).T], 1)  # (256, 3)
    return np.concatenate([np.rint(cold[:0:-1]).astype(np.uint8), warm])


COLOURS = colours()


def paint(values: NDArray[np.floating]) -> Pixels:
    """Colour values (h, w) in [-1, 1], others like the nearest of these, NaN like zero.

    Returns:
        (h, w, 3).
    """
    whole = np.rint(np.nan_to_num(values.astype(np.float32)).clip(-1, 1) * LEVELS)
    return np.ascontiguousarray(COLOURS[whole.astype(int) + LEVELS])


def ceiling(values: NDArray[np.floating]) -> float:
    """The value of a heat map (h, w) that gets the brightest colour; 0 where all is zero."""
    found = float(np.percentile(np.nan_to_num(values.astype(np.float32)), CEILING))
    return found if found > 0 else float(np.nan_to_num(values.astype(np.float32)).max(initial=0))


def heat(values: NDArray[np.floating]) -> Pixels:
    """A heat map (h, w) of values from 0 on, scaled by its ceiling, as (h, w, 3)."""
    return paint(values.astype(np.float32) / (ceiling(values) or 1))


def difference(original: Pixels, changed: Pixels) -> Pixels:
    """Return the changes of a picture, ten times enlarged around grey and clipped, (h, w, 3)."""
    moved = changed.astype(np.int32) - original.astype(np.int32)
    return np.clip(GREY + CONTRAST * moved, 0, 255).astype(np.uint8)


def tile(values: NDArray[np.floating], shape: Size = THUMBNAIL) -> Pixels:
    """A feature map (h, w) in [-1, 1] as (112, 112, 3), or of another shape.

    A small map keeps its positions visible as squares, a large one is averaged.
    """
    plain = np.nan_to_num(values.astype(np.float32))
    shrinks = max(plain.shape) > THUMBNAIL
    method = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return paint(resize(plain[..., None], shape, method)[..., 0])


def band(maps: NDArray[np.floating], shape: Size = THUMBNAIL) -> Pixels:
    """Up to eight feature maps (M, h, w) in [-1, 1] side by side, (112, 896, 3).

    Args:
        maps: over the same image.
        shape: of the image, in the proportion of which they are drawn.
    """
    row = sheets.empty(THUMBNAIL, THUMBNAIL * addresses.TILES)
    height, width = in_proportion(THUMBNAIL, shape)
    top, left = (THUMBNAIL - height) // 2, (THUMBNAIL - width) // 2
    for place, values in enumerate(maps[: addresses.TILES]):
        sheets.put(row, tile(values, (height, width)), top, left + place * THUMBNAIL)
    return row


def bar(least: float) -> Pixels:
    """The colours from `least`, which is 0 or -1, to 1, as (12, 192, 3)."""
    return paint(np.broadcast_to(np.linspace(least, 1, BAR[1], dtype=np.float32), BAR))
