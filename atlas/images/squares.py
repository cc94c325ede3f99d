"""The parts that are cut out of a decoded picture: where, at which size, as which bytes.

Start at `cut`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import shapes
from ..records.samples import USUAL_SHARE, CentralCrop
from ..shapes import Picture, Shape, Size, T, pair
from .bands import shown_picture
from .decode import REDUCED, Pixels
from .headers import read_header

Crop = tuple[int, int, int, int] | Literal["centre"]
"""(y0, x0, y1, x1) in pixels of the decoded file, or its centre, see `centre_box`."""

VIEW_QUALITY = 88
"""JPEG quality of the squares; with 4:4:4, because 4:2:0 ruins saturated textures."""

SPARE = 2
"""A reduced JPEG keeps at least this many times the resolution that is wanted of its square."""


def spare_factor(data: bytes, crops: Sequence[Crop], centre: CentralCrop, size: Size) -> int:
    """By how much a JPEG can be reduced while decoding, for its centre at `size`."""
    if not data.startswith(b"\xff\xd8") or any(crop != "centre" for crop in crops):
        return 1
    header = read_header(data)
    spans = central_spans(header.height, header.width, centre, pair(size))
    room = list(zip(spans, pair(size), strict=True))
    return max(
        factor
        for factor in REDUCED
        if factor == 1 or all(span / factor >= SPARE * side for span, side in room)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One part of a file: where it was, its pixels for the network and its square for pages."""

    box: tuple[int, int, int, int]
    pixels: Picture
    square: bytes


def at_full_size(piece: Cut, factor: int) -> Cut:
    """A cut from a reduced picture with its box in pixels of the whole one."""
    y0, x0, y1, x1 = piece.box
    return replace(piece, box=(factor * y0, factor * x0, factor * y1, factor * x1))


def centre_box(
    height: int, width: int, centre: CentralCrop, size: Size
) -> tuple[int, int, int, int]:
    """The central part that `centre` means, as (y0, x0, y1, x1), for an input of `size`."""
    shape = pair(size)
    if centre.prepared and {round(min(height, width) * USUAL_SHARE)} == {*shape}:
        down, across = shape
    else:
        spans = central_spans(height, width, centre, shape)
        down, across = (max(1, round(span)) for span in spans)
    y, x = (height - down) // 2, (width - across) // 2
    return y, x, y + down, x + across


def central_spans(
    height: int, width: int, centre: CentralCrop, shape: Shape
) -> tuple[float, float]:
    """Height and width of the central part, not rounded: the largest rectangle in the proportion of
    `shape`, or the whole picture where it is squashed, times the share."""
    down, across = float(height), float(width)
    if not centre.squash:
        down, across = (
            min(height, width * shape[0] / shape[1]),
            min(width, height * shape[1] / shape[0]),
        )
    return down * centre.share, across * centre.share


def part_of_square(box: tuple[int, int, int, int], size: Size) -> tuple[int, int, int, int]:
    """The central part of a box in the proportion of `size`."""
    y0, x0, y1, x1 = box
    part = centre_box(y1 - y0, x1 - x0, CentralCrop(share=1), size)
    return y0 + part[0], x0 + part[1], y0 + part[2], x0 + part[3]


def cut(
    pixels: Picture,
    crop: Crop,
    centre: CentralCrop,
    size: Size,
    square_size: Size,
    shown: Sequence[int] = (),
) -> Cut:
    """Cut one part out of a decoded file (H, W, C).

    Args:
        pixels: of the whole file.
        crop: a square, of which the part in the proportion of `size` is taken, or the centre.
        centre: which part that is.
        size: of the part for the network.
        square_size: largest size of the square.
        shown: the channels in the square; () for colours.
    """
    height, width = pixels.shape[:2]
    if crop == "centre":
        box = centre_box(height, width, centre, size)
    else:
        box = part_of_square(crop, size)
    part = pixels[box[0] : box[2], box[1] : box[3]]
    square = shown_picture(resize(part, within(part.shape[:2], pair(square_size))), shown)
    return Cut(box=box, pixels=resize(part, size), square=encode_square(square))


def within(shape: Shape, limit: Shape) -> Shape:
    """The largest size in the proportion of `limit` that neither exceeds it nor the shape."""
    share = min(1.0, shape[0] / limit[0], shape[1] / limit[1])
    return max(1, round(limit[0] * share)), max(1, round(limit[1] * share))


def resize(part: NDArray[T], size: Size) -> NDArray[T]:
    """Resize to (H, W, C): area means when shrinking, cubic when enlarging."""
    shape = pair(size)
    if part.shape[:2] == shape:
        return np.ascontiguousarray(part)
    shrinks = shape[0] <= part.shape[0] and shape[1] <= part.shape[1]
    return shapes.resize(part, shape, cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def encode_square(pixels: Pixels) -> bytes:
    """JPEG bytes of (H, W, 3) RGB pixels, without chroma subsampling."""
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, VIEW_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], options)
    assert done
    return bytes(data)
