"""The squares that are cut out of a decoded picture: which part, at which side, as which bytes.

Start at `cut`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from .headers import read_header
from .pictures import REDUCED, Pixels
from .records import USUAL_SHARE, CentralCrop

Crop = tuple[int, int, int, int] | Literal["centre"]
"""(y0, x0, y1, x1) in pixels of the decoded file, or its centre, see `centre_box`."""

VIEW_QUALITY = 88
"""JPEG quality of the views; with 4:4:4, because 4:2:0 ruins saturated textures."""

SPARE = 2
"""A reduced JPEG keeps at least this many times the resolution that is wanted of its square."""


def spare_factor(data: bytes, crops: Sequence[Crop], centre: CentralCrop, side: int) -> int:
    """By how much a JPEG can be reduced while decoding, for its centre at `side` pixels."""
    if not data.startswith(b"\xff\xd8") or any(crop != "centre" for crop in crops):
        return 1
    header = read_header(data)
    short = min(header.height, header.width) * centre.share
    return max(factor for factor in REDUCED if factor == 1 or short / factor >= SPARE * side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One square of a file: where it was, its pixels for the network and its view for pages."""

    box: tuple[int, int, int, int]
    pixels: Pixels
    view: bytes


def at_full_size(piece: Cut, factor: int) -> Cut:
    """A cut from a reduced picture with its box in pixels of the whole one."""
    y0, x0, y1, x1 = piece.box
    return replace(piece, box=(factor * y0, factor * x0, factor * y1, factor * x1))


def centre_box(
    height: int, width: int, centre: CentralCrop, size: int
) -> tuple[int, int, int, int]:
    """The central part that `centre` means, as (y0, x0, y1, x1), for an input of `size`."""
    short = min(height, width)
    if centre.prepared and round(short * USUAL_SHARE) == size:
        down = across = size
    elif centre.squash:
        down, across = (max(1, round(length * centre.share)) for length in (height, width))
    else:
        down = across = max(1, round(short * centre.share))
    y, x = (height - down) // 2, (width - across) // 2
    return y, x, y + down, x + across


def cut(pixels: Pixels, crop: Crop, centre: CentralCrop, size: int, view_size: int) -> Cut:
    """Cut one square out of a decoded file (H, W, 3).

    Args:
        pixels: of the whole file.
        crop: the square, or the centre.
        centre: which part that is.
        size: side of the square for the network.
        view_size: largest side of the view.
    """
    box = centre_box(pixels.shape[0], pixels.shape[1], centre, size) if crop == "centre" else crop
    part = pixels[box[0] : box[2], box[1] : box[3]]
    view = resize(part, min(view_size, *part.shape[:2]))
    return Cut(box=box, pixels=resize(part, size), view=encode_view(view))


def resize(part: Pixels, size: int) -> Pixels:
    """Resize to (size, size, 3): area means when shrinking, cubic when enlarging."""
    if part.shape[:2] == (size, size):
        return np.ascontiguousarray(part)
    method = cv2.INTER_AREA if size <= min(part.shape[:2]) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (size, size), interpolation=method), np.uint8)


def encode_view(pixels: Pixels) -> bytes:
    """JPEG bytes of (H, W, 3) RGB pixels, without chroma subsampling."""
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, VIEW_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], options)
    assert done
    return bytes(data)
