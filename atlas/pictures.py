"""The one rule by which a picture file becomes pixels, and the squares that are cut out of it.

Start at `decode` for a whole file and at `cut` for one square of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .config import MAX_PIXELS
from .errors import InputError
from .headers import Header, read_header

Pixels = NDArray[np.uint8]
Decoded = NDArray[np.integer[Any] | np.floating[Any]]
Crop = tuple[int, int, int, int] | Literal["centre"]
"""(y0, x0, y1, x1) in pixels of the decoded file, or the central square, see `centre_box`."""

CENTRE = 224 / 256
"""Side of the central square over the short side of the file: the usual evaluation crop."""

VIEW_QUALITY = 88
"""JPEG quality of the views; with 4:4:4, because 4:2:0 ruins saturated textures."""


REDUCED = {
    1: cv2.IMREAD_UNCHANGED,
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
    8: cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION,
}
SPARE = 2
"""A reduced JPEG keeps at least this many times the resolution that is wanted of its square."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS, factor: int = 1) -> Pixels:
    """Turn the bytes of a picture file into what a viewer would show on a white page.

    The rule: the first frame; turned as its EXIF orientation says; 16 bits a channel scaled to 8
    (65535 becomes 255); grey repeated into three channels; CMYK converted; what is transparent
    composited on white. Colour profiles are not applied, and the one transparent shade that a grey
    PNG can name stays visible.

    Args:
        data: PNG, JPEG, GIF, BMP, WebP or TIFF, found by content.
        max_pixels: larger pictures are refused from their header.
        factor: 2, 4 or 8 decodes a JPEG at that part of its size, which takes as much less time.

    Returns:
        (H, W, 3) RGB.

    Raises:
        InputError: unknown, truncated, damaged or too large; the message is the reason alone.
    """
    header = read_header(data)
    check_size(header, max_pixels)
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED[factor])
    except cv2.error:
        array = None
    if array is None:
        raise InputError(f"is a {header.kind} picture that cannot be decoded; it may be damaged")
    return orient(to_rgb(array, header), header.orientation)


def spare_factor(data: bytes, crops: Sequence[Crop], side: int) -> int:
    """By how much a JPEG can be reduced while decoding, for its central square at `side` pixels."""
    if not data.startswith(b"\xff\xd8") or any(crop != "centre" for crop in crops):
        return 1
    header = read_header(data)
    short = min(header.height, header.width) * CENTRE
    return max(factor for factor in REDUCED if factor == 1 or short / factor >= SPARE * side)


def check_size(header: Header, max_pixels: int) -> None:
    """Raise an InputError for pictures without pixels and for more than memory should hold."""
    height, width = header.height, header.width
    if height * width == 0:
        raise InputError("is damaged: it has no size")
    if height * width > max_pixels:
        limit = max_pixels / 1e6
        raise InputError(f"is {width} × {height} pixels large; the limit is {limit:g} megapixels")


def to_rgb(array: Decoded, header: Header) -> Pixels:
    """Bring what OpenCV decoded, (H, W) or (H, W, C) in BGR order, to (H, W, 3) 8-bit RGB."""
    pixels = to_eight_bits(array)
    if pixels.ndim == 2:
        pixels = pixels[..., None]  # (H, W, 1)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        pixels = on_white(pixels[..., :3], pixels[..., 3:], header.premultiplied)
    return np.ascontiguousarray(pixels[..., 2::-1])


def to_eight_bits(array: Decoded) -> Pixels:
    """Scale 16-bit numbers to 8 bits, rounding; refuse numbers whose white is not known."""
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(array, alpha=1 / 257), np.uint8)
    raise InputError(f"holds {array.dtype} numbers; 8 and 16 bits a channel are understood")


def on_white(colour: Pixels, alpha: Pixels, premultiplied: bool) -> Pixels:
    """Composite on white: colour (H, W, 3) and alpha (H, W, 1), rounding to nearest."""
    opacity = alpha.astype(np.uint16)  # 255² + 127 still fits
    part = np.minimum(colour, alpha) * np.uint16(255) if premultiplied else colour * opacity
    mixed: Pixels = ((part + (255 - opacity) * 255 + 127) // 255).astype(np.uint8)
    return mixed


def orient(pixels: Pixels, orientation: int) -> Pixels:
    """Turn (H, W, 3) pixels upright.

    Source: EXIF 2.3, tag 274: 2 and 4 are mirrored, 3 upside down, 5 to 8 lie on a side.
    """
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)  # now 5 is right, 6 mirrored, 7 upside down, 8 flipped
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


# --- cutting out ---------------------------------------------------------------------------------


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


def centre_box(height: int, width: int) -> tuple[int, int, int, int]:
    """The central square of 224/256 of the short side, as (y0, x0, y1, x1)."""
    side = max(1, round(min(height, width) * CENTRE))
    y, x = (height - side) // 2, (width - side) // 2
    return y, x, y + side, x + side


def cut(pixels: Pixels, crop: Crop, size: int, view_size: int) -> Cut:
    """Cut one square out of a decoded file (H, W, 3)."""
    box = centre_box(*pixels.shape[:2]) if crop == "centre" else crop
    square = pixels[box[0] : box[2], box[1] : box[3]]
    view = resize(square, min(view_size, len(square)))
    return Cut(box=box, pixels=resize(square, size), view=encode_view(view))


def resize(square: Pixels, size: int) -> Pixels:
    """Resize a square to (size, size, 3): area means when shrinking, cubic when enlarging."""
    method = cv2.INTER_AREA if size <= len(square) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=method), np.uint8)


def encode_view(pixels: Pixels) -> bytes:
    """JPEG bytes of (H, W, 3) RGB pixels, without chroma subsampling."""
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, VIEW_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], options)
    assert done
    return bytes(data)
