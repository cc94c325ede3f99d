"""Pictures of any number of channels: TIFF and .npy files as numbers. Start at `read_bands`.

A viewer has nothing to show of five channels, so nothing is converted here: no colour, no opacity,
no orientation. What is looked up is where the channels are and what number means 1.
"""

import io
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import InputError, one_line
from ..shapes import Picture, white_of
from .decode import check_size
from .tiff import TRUNCATED, check_tiff_data, tiff_tags

NPY_START = b"\x93NUMPY"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

COLOURS = (1, 3)
"""Numbers of channels that every picture can be brought to."""

KINDS = ("uint8", "uint16", "float16", "float32", "float64")

SEPARATE = 2
"""Value of the TIFF tag PlanarConfiguration for channels stored one after the other."""

Numbers = NDArray[Any]
K = TypeVar("K", np.uint8, np.uint16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Input of a network that takes other channels than the colours of an ordinary picture.

    Attributes:
        channels: of its input.
        white: the number that counts as 1; 0: the largest of its type, and 1 for fractions.
        shown: the three channels, or the one, that pages show, counted from 0; () for colours.
    """

    channels: int = 3
    white: float = 0
    shown: tuple[int, ...] = ()

    @property
    def many(self) -> bool:
        """True if the channels are no colours, so that no ordinary picture will do."""
        return self.channels not in COLOURS


COLOUR = Bands()


def holds_bands(data: bytes, bands: Bands) -> bool:
    """Return whether a file is to be read as numbers."""
    return bands.many or data.startswith(NPY_START) or (bool(bands.white) and is_tiff(data))


def is_tiff(data: bytes) -> bool:
    """Return whether the first bytes are those of a TIFF or BigTIFF."""
    return data.startswith(TIFF_STARTS)


def read_bands(data: bytes, bands: Bands, max_pixels: int) -> Picture:
    """Turn the bytes of a TIFF or .npy file into what the network sees, at the file's size.

    Returns:
        (H, W, C) uint16, 65535 for 1; for networks of colours (H, W, 3) uint8.

    Raises:
        InputError: another file, another number of channels, numbers that cannot be; the message is
            the reason alone.
    """
    counts = (bands.channels,) if bands.many else COLOURS
    if data.startswith(NPY_START):
        numbers = read_npy(data, counts, max_pixels)
    elif is_tiff(data):
        numbers = read_tiff(data, counts, max_pixels)
    else:
        raise InputError(
            f"is no TIFF and no .npy file, of which alone a network of {bands.channels} channels "
            "can be shown"
        )
    shares = as_shares(numbers, bands.white)
    if bands.many:
        return whole_numbers(shares, np.uint16)
    colours = whole_numbers(shares, np.uint8)
    return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else colours


def as_shares(numbers: Numbers, white: float) -> NDArray[np.float32]:
    """Numbers as shares of what counts as 1, brighter ones cut off."""
    check_kind(numbers.dtype.name)
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise InputError("holds numbers that are not finite")
    whole = numbers.dtype.kind == "u"
    unit = white or (float(np.iinfo(numbers.dtype).max) if whole else 1.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or (high > unit and not (white or whole)):
        raise InputError(
            f"holds numbers from {low:.4g} to {high:.4g}, allowed are those from 0 to 1; "
            "--white says what counts as 1"
        )
    with np.errstate(over="ignore"):  # what no float32 can hold is white too
        shares = numbers.astype(np.float32)
    shares /= unit
    return shares.clip(0, 1, out=shares)


def whole_numbers(shares: NDArray[np.float32], kind: type[K]) -> NDArray[K]:
    """Shares of 1 as whole numbers of a type, rounded; the shares are used up, to save memory."""
    shares *= np.iinfo(kind).max
    return np.rint(shares, out=shares).astype(kind)


def shown_picture(picture: Picture, shown: Sequence[int]) -> NDArray[np.uint8]:
    """The channels (H, W, 3) that pages show of a picture, one of them in grey, in 8 bits."""
    if not shown:
        return picture.astype(np.uint8, copy=False)
    white = white_of(picture)
    chosen = picture[..., list(shown) * (3 // len(shown))]
    eight: NDArray[np.uint8] = ((chosen.astype(np.uint32) * 255 + white // 2) // white).astype("u1")
    return eight


# --- files ----------------------------------------------------------------------------------------


def read_npy(data: bytes, counts: Sequence[int], max_pixels: int) -> Numbers:
    """The array (H, W, C) of a .npy file, checked by its header before anything is allocated."""
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception as error:  # whatever is there, it is no header
        raise InputError(f"is a .npy file without a sound header ({one_line(error)})") from error
    check_kind(dtype.name)
    axis = channel_axis(shape, counts)
    height, width = (length for place, length in enumerate(shape) if place != axis)
    check_size(height, width, max_pixels)
    if len(data) - stream.tell() < math.prod(shape) * dtype.itemsize:
        raise InputError(TRUNCATED)
    array = np.load(io.BytesIO(data), allow_pickle=False)
    return array[..., None] if axis is None else np.moveaxis(array, axis, 2)


def channel_axis(shape: tuple[int, ...], counts: Sequence[int]) -> int | None:
    """Return the axis of the channels, the first or the last; None for a plain grey picture.

    Raises:
        InputError: neither or both could; says what was got and what is expected.
    """
    expected = " or ".join(map(str, counts))
    if len(shape) == 2 and 1 in counts:
        return None
    ends = {axis for axis in (0, 2) if len(shape) == 3 and shape[axis] in counts}
    if len(ends) == 2:
        raise InputError(
            f"has shape {shape}, of which the first and the last axis could be the channels"
        )
    if not ends:
        raise InputError(
            f"has shape {shape}; expected is (H, W, C) or (C, H, W) with C = {expected} channels"
        )
    return ends.pop()


def check_kind(kind: str) -> None:
    """Raise an InputError for numbers of a type that is not understood."""
    if kind not in KINDS:
        raise InputError(f"holds {kind} numbers; understood are {', '.join(KINDS)}")


def read_tiff(data: bytes, counts: Sequence[int], max_pixels: int) -> Numbers:
    """The first picture (H, W, C) of a TIFF, or its pages as channels where each has one."""
    try:
        from tifffile import TiffFile  # an extra: only those who have such pictures need it
    except ImportError as error:
        raise InputError(
            "is a TIFF, and reading its numbers needs the package tifffile: pip install tifffile"
        ) from error
    try:
        tags = tiff_tags(data)
        check_tiff_data(data, tags)
        height, width = tags.get(257, (0,))[0], tags.get(256, (0,))[0]
        check_size(height, width, max_pixels)
        with TiffFile(io.BytesIO(data)) as file:
            return tiff_array(file, counts, (height, width))
    except InputError:
        raise
    except struct.error as error:
        raise InputError(TRUNCATED) from error
    except Exception as error:  # a decoder meets inputs that nobody thought of
        raise InputError(f"is a TIFF picture that cannot be decoded ({one_line(error)})") from error


def tiff_array(file: Any, counts: Sequence[int], shape: tuple[int, int]) -> Numbers:
    """The numbers (H, W, C) of an open TIFF whose first picture has this height and width."""
    first = file.pages[0]
    expected = " or ".join(map(str, counts))
    channels, pages = int(first.samplesperpixel), len(file.pages)
    check_kind(str(first.dtype))
    if not first.dataoffsets:  # or all of it would be black
        raise InputError(TRUNCATED)
    if channels in counts:
        array = np.asarray(first.asarray(maxworkers=1))
        if first.planarconfig == SEPARATE and channels > 1:
            return np.moveaxis(array.reshape(channels, *shape), 0, 2)
        return array.reshape(*shape, channels)
    alike = channels == 1 and pages in counts
    if alike and all(page.shape == first.shape == shape for page in file.pages):
        return np.stack([page.asarray(maxworkers=1) for page in file.pages], 2)
    raise InputError(
        f"has {channels} channel(s) on {pages} page(s); the network takes {expected} channels"
    )
