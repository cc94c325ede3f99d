"""The one rule by which a picture file becomes pixels: start at `decode`."""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..config import MAX_PIXELS
from ..errors import InputError
from .headers import Header, read_header
from .tiff import TRUNCATED

Pixels = NDArray[np.uint8]
Decoded = NDArray[np.integer[Any] | np.floating[Any]]

REDUCED = {
    1: cv2.IMREAD_UNCHANGED,
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
    8: cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION,
}
"""OpenCV's ways to decode a JPEG at a part of its size."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS, factor: int = 1) -> Pixels:
    """Turn the bytes of a picture file into what a viewer would show on a white page.

    The rule: the first frame; turned as its EXIF orientation says; 16 bits a channel scaled to 8
    (65535 becomes 255); grey repeated into three channels; CMYK converted; what is transparent
    composited on white. Channels beside the colours that are not said to be opacity are left out.
    Colour profiles are not applied.

    Args:
        data: PNG, JPEG, GIF, BMP, WebP, TIFF, PBM, PGM or PPM, found by content.
        max_pixels: larger pictures are refused from their header.
        factor: 2, 4 or 8 decodes a JPEG at that part of its size, which takes as much less time.

    Returns:
        (H, W, 3) RGB.

    Raises:
        InputError: unknown, truncated, damaged or too large; the message is the reason alone.
    """
    header = read_header(data)
    check_size(header.height, header.width, max_pixels)
    pixels = by_pillow(data, header) if header.by_pillow else by_opencv(data, header, factor)
    return orient(on_page(pixels, header), header.orientation)


def by_opencv(data: bytes, header: Header, factor: int) -> Pixels:
    """Decode PNG, JPEG, GIF, WebP and plain 16-bit TIFF to (H, W, 3) RGB."""
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED[factor])
    except cv2.error:
        array = None
    if array is None:
        raise InputError(f"{undecodable(header)}; it may be damaged")
    return to_rgb(array, header)


def by_pillow(data: bytes, header: Header) -> Pixels:
    """Decode BMP, PPM and all other TIFF to (H, W, 3) RGB."""
    try:
        with Image.open(io.BytesIO(data), formats=(header.kind,)) as image:
            image.load()
            if image.mode == "I":  # a grey PPM of more than 8 bits, scaled to 16
                return to_rgb(np.asarray(image).astype(np.uint16), header)
            if image.has_transparency_data and not header.opaque:
                array = np.asarray(image.convert("RGBA"))
                return on_white(array[..., :3], array[..., 3:])
            return np.array(image.convert("RGB"))
    except UnidentifiedImageError as error:  # its message holds an address in memory
        reason = "it is damaged, or arranged in a way that is not understood"
        raise InputError(f"{undecodable(header)}; {reason}") from error
    except Exception as error:  # Pillow meets inputs that nobody thought of
        if "truncated" in str(error):
            raise InputError(TRUNCATED) from error
        raise InputError(f"{undecodable(header)} ({error})") from error


def undecodable(header: Header) -> str:
    """The beginning of a reason."""
    return f"is a {header.kind} picture that cannot be decoded"


def on_page(pixels: Pixels, header: Header) -> Pixels:
    """Put the first frame on a white page, whatever background the file names."""
    if header.frame is None:
        return pixels
    top, left, bottom, right = header.frame
    page = np.full_like(pixels, 255)
    page[top:bottom, left:right] = pixels[top:bottom, left:right]
    return page


def check_size(height: int, width: int, max_pixels: int) -> None:
    """Raise an InputError for pictures without pixels and for more than memory should hold."""
    if height * width == 0:
        raise InputError("is damaged: it has no size")
    if height * width > max_pixels:
        limit = max_pixels / 1e6
        raise InputError(f"is {width} × {height} pixels large; the limit is {limit:g} megapixels")


def to_rgb(array: Decoded, header: Header) -> Pixels:
    """Bring what OpenCV decoded, (H, W) or (H, W, C) in BGR order, to (H, W, 3) 8-bit RGB."""
    pixels = to_eight_bits(array)
    if pixels.ndim == 2:
        pixels = np.where(array == header.clear, np.uint8(255), pixels)[..., None]  # (H, W, 1)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        pixels = on_white(pixels[..., :3], pixels[..., 3:])
    return np.ascontiguousarray(pixels[..., 2::-1])


def to_eight_bits(array: Decoded) -> Pixels:
    """Scale 16-bit numbers to 8 bits, rounding; refuse numbers whose white is not known."""
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(array, alpha=1 / 257), np.uint8)
    raise InputError(f"holds {array.dtype} numbers; 8 and 16 bits a channel are understood")


def on_white(colour: Pixels, alpha: Pixels) -> Pixels:
    """Composite on white: colour (H, W, 3) and alpha (H, W, 1), rounding to nearest."""
    opacity = alpha.astype(np.uint16)  # 255² + 127 still fits
    mixed: Pixels = ((colour * opacity + (255 - opacity) * 255 + 127) // 255).astype(np.uint8)
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
