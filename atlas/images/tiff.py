"""Tags of a TIFF file or an EXIF block: start at `tiff_tags`.

Pillow reads tags too, but takes a directory that is cut off for one that ends there.
"""

import struct

from ..config import MAX_PIXELS
from ..errors import InputError

Tags = dict[int, tuple[int, ...]]

TRUNCATED = "is truncated"

TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""TIFF number types that matter here: byte, short, long, and the long of BigTIFF."""

TIFF_MAX_VALUES = 1 << 20

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6


def check_tiff_data(data: bytes, tags: Tags) -> None:
    """Raise an InputError for a TIFF whose data are not there to their end, or cannot be."""
    if tags.get(322, (0,))[0] * tags.get(323, (0,))[0] > MAX_PIXELS:
        raise InputError("is damaged: its tiles are larger than any picture")
    for starts, lengths in ((273, 279), (324, 325)):
        ends = map(sum, zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False))
        if max(ends, default=0) > len(data):
            raise InputError(TRUNCATED)


def check_tiff_colours(tags: Tags) -> None:
    """Raise an InputError for what neither library decodes rightly, as generated files show."""
    bits, colour, channels = (tags.get(tag, (1,)) for tag in (258, 262, 277))
    if max(bits) > 16:
        raise InputError(f"has {max(bits)} bits a channel; 8 and 16 are understood")
    if not {*bits} <= {1, 2, 4, 8, 16} or len({*bits}) > 1:
        raise InputError(f"has {bits} bits a channel; 8 and 16 are understood")
    if not {*tags.get(339, (1,))} <= {1, 4}:
        raise InputError("holds signed or floating-point numbers, whose white is not known")
    if colour[0] not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR):
        raise InputError("has a kind of colour that is not understood, such as Lab")
    if colour[0] in (WHITE_IS_ZERO, BLACK_IS_ZERO) and channels[0] > 1 + len(tags.get(338, ())):
        raise InputError(f"has {channels[0]} channels, of which none is said to be red or grey")
    planes = tags.get(284, (1,))[0] == 2 and channels[0] > 1
    if max(bits) == 16 and (planes or colour[0] == WHITE_IS_ZERO):
        raise InputError("has 16 bits in separate planes, or white as 0, which is not understood")


def tiff_tags(data: bytes) -> Tags:
    """The whole numbers in the first directory of a TIFF or BigTIFF file or an EXIF block."""
    order = "<" if data[:2] == b"II" else ">"
    large = b"+" in data[2:4]
    number, count, header, step = ("Q", "Q", 8, 20) if large else ("I", "H", 4, 12)
    (at,) = struct.unpack_from(f"{order}{number}", data, header)
    (entries,) = struct.unpack_from(f"{order}{count}", data, at)
    tags: Tags = {}
    first, room = at + struct.calcsize(f"{order}{count}"), struct.calcsize(f"{order}{number}")
    for entry in range(first, first + step * entries, step):
        tag, kind, length = struct.unpack_from(f"{order}HH{number}", data, entry)
        if kind in TIFF_TYPES and 0 < length <= TIFF_MAX_VALUES:
            layout, start = f"{order}{length}{TIFF_TYPES[kind]}", entry + 4 + room
            if struct.calcsize(layout) > room:
                (start,) = struct.unpack_from(f"{order}{number}", data, start)
            tags[tag] = struct.unpack_from(layout, data, start)
    return tags


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block; 1 (upright) where there is none or it is broken."""
    try:
        value = tiff_tags(block).get(274, (1,))[0]
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1
