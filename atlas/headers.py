"""What a picture file says of itself: format by content, size, whether it is there to its end.

Nothing is decoded here and nothing large is allocated. Start at `read_header`.
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from .config import MAX_PIXELS
from .errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of its picture before anything is decoded.

    Attributes:
        kind: the format by content.
        height, width: largest extent of any frame, before `orientation` is applied.
        orientation: EXIF orientation that is left to apply, 1 to 8.
        premultiplied: whether OpenCV delivers colours already multiplied by alpha.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    premultiplied: bool = False


TRUNCATED = "is truncated"


def read_header(data: bytes) -> Header:
    """Find the format by content, the size, and whether the file is there to its end.

    Raises:
        InputError: not a known format, truncated or damaged; the message is the reason alone.
    """
    for pattern, parse in PARSERS:
        if pattern.match(data):
            try:
                return parse(data)
            except (struct.error, IndexError) as error:
                raise InputError(TRUNCATED) from error
    raise InputError(f"is {describe(data)}, not a PNG, JPEG, GIF, BMP, WebP or TIFF picture")


def describe(data: bytes) -> str:
    """A guess at what a file is that is no picture."""
    if not data:
        return "empty"
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "text" if data[:512].isascii() and b"\0" not in data[:512] else "something else"


def parse_png(data: bytes) -> Header:
    """Walk the chunks of a PNG to its end, checking the sums of those that matter."""
    at, height, width, orientation = 8, 0, 0, 1
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        body = memoryview(data)[at + 8 : at + 8 + length]
        if not kind[0] & 0x20 and zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise InputError("is damaged: a checksum does not match")
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", body)
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(body))
        elif kind == b"IEND":
            return Header(kind="PNG", height=height, width=width, orientation=orientation)
        at += 12 + length


JPEG_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A marker that is neither a stuffed byte nor a restart inside the compressed data."""

JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_START, JPEG_END, JPEG_EXIF = 0xD8, 0xD9, 0xE1


def parse_jpeg(data: bytes) -> Header:
    """Walk the segments of a JPEG up to its end marker, without which it is truncated."""
    at, height, width, orientation = 2, 0, 0, 1
    while match := JPEG_MARKER.search(data, at):
        marker, at = match[1][0], match.end()
        if marker == JPEG_END:
            return Header(kind="JPEG", height=height, width=width, orientation=orientation)
        if marker in (0x01, JPEG_START):  # no length follows
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
        elif marker == JPEG_EXIF and data[at + 2 : at + 8] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 8 : at + length])
        at += length
    raise InputError(TRUNCATED)


def parse_gif(data: bytes) -> Header:
    """Walk the blocks of a GIF to its trailer; a frame may be larger than the screen it names."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + gif_palette(flags)
    while True:
        block = data[at]
        if block == 0x3B:
            return Header(kind="GIF", height=height, width=width)
        if block == 0x2C:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + across), max(height, top + down)
            at = gif_after(data, at + 11 + gif_palette(flags))
        elif block == 0x21:
            at = gif_after(data, at + 2)
        else:
            raise InputError("is damaged: an unknown block")


def gif_palette(flags: int) -> int:
    """Bytes of the palette that the flags of a GIF announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def gif_after(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks ends."""
    while data[at]:
        at += 1 + data[at]
    return at + 1


def parse_bmp(data: bytes) -> Header:
    """Read the size of a BMP and whether all its rows are there."""
    offset, header = struct.unpack_from("<II", data, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative: rows from top to bottom
    if width <= 0 or bits not in (1, 4, 8, 16, 24, 32):
        raise InputError(f"is damaged: {width} pixels wide, {bits} bits each")
    row = (width * bits + 31) // 32 * 4
    needed = (
        offset + row * height if compression in (0, 3) else struct.unpack_from("<I", data, 2)[0]
    )
    if len(data) < needed <= offset + 4 * MAX_PIXELS:
        raise InputError(TRUNCATED)
    return Header(kind="BMP", height=height, width=width)


def parse_webp(data: bytes) -> Header:
    """Walk the chunks of a WebP; the canvas, or the one frame, gives the size."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if len(data) < end:
        raise InputError(TRUNCATED)
    at, size, orientation = 12, (0, 0), 1
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if len(body) < length:
            raise InputError(TRUNCATED)
        if kind == b"EXIF":
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
        elif kind in WEBP_SIZES:
            size = tuple(map(max, size, WEBP_SIZES[kind](body)))  # type: ignore[assignment]
        at += 8 + length + length % 2
    return Header(kind="WebP", height=size[0], width=size[1], orientation=orientation)


def webp_lossy(body: bytes) -> tuple[int, int]:
    """(height, width) of a VP8 frame."""
    width, height = struct.unpack_from("<HH", body, 6)
    return height & 0x3FFF, width & 0x3FFF


def webp_lossless(body: bytes) -> tuple[int, int]:
    """(height, width) of a VP8L frame."""
    (bits,) = struct.unpack_from("<I", body, 1)
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


def webp_canvas(body: bytes) -> tuple[int, int]:
    """(height, width) of an extended WebP."""
    (width,), (height,) = (struct.unpack("<I", body[at : at + 3] + b"\0") for at in (4, 7))
    return height + 1, width + 1


def webp_frame(body: bytes) -> tuple[int, int]:
    """(height, width) of one frame of an animation."""
    (width,), (height,) = (struct.unpack("<I", body[at : at + 3] + b"\0") for at in (6, 9))
    return height + 1, width + 1


WEBP_SIZES = {
    b"VP8 ": webp_lossy,
    b"VP8L": webp_lossless,
    b"VP8X": webp_canvas,
    b"ANMF": webp_frame,
}

TIFF_TYPES = {1: "B", 3: "H", 4: "I"}
"""TIFF number types that matter here: byte, short, long."""

TIFF_MAX_VALUES = 1 << 20


def parse_tiff(data: bytes) -> Header:
    """Read the first picture of a TIFF: its size, whether its data are there, what OpenCV misreads.

    OpenCV applies the orientation of a TIFF itself and delivers 8-bit alpha premultiplied.
    """
    tags = tiff_tags(data)
    width, height = tags.get(256, (0,))[0], tags.get(257, (0,))[0]
    bits, colour, channels = (tags.get(tag, (1,)) for tag in (258, 262, 277))
    if max(bits) > 16:
        raise InputError(f"has {max(bits)} bits a channel; 8 and 16 are understood")
    if channels[0] == 2 or (colour[0] == 5 and max(bits) > 8):
        raise InputError(
            "has a kind of colour that is not understood (grey with alpha, 16-bit CMYK)"
        )
    if tags.get(322, (0,))[0] * tags.get(323, (0,))[0] > MAX_PIXELS:
        raise InputError("is damaged: its tiles are larger than any picture")
    for starts, lengths in ((273, 279), (324, 325)):
        ends = map(sum, zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False))
        if max(ends, default=0) > len(data):
            raise InputError(TRUNCATED)
    return Header(kind="TIFF", height=height, width=width, premultiplied=max(bits) <= 8)


def tiff_tags(data: bytes) -> dict[int, tuple[int, ...]]:
    """The whole numbers in the first directory of a TIFF file or an EXIF block."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
        if kind in TIFF_TYPES and 0 < number <= TIFF_MAX_VALUES:
            layout = f"{order}{number}{TIFF_TYPES[kind]}"
            inside = struct.calcsize(layout) <= 4
            start = entry + 8 if inside else struct.unpack_from(f"{order}I", data, entry + 8)[0]
            tags[tag] = struct.unpack_from(layout, data, start)
    return tags


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block; 1 (upright) where there is none or it is broken."""
    try:
        value = tiff_tags(block).get(274, (1,))[0]
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


PARSERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Header]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), parse_png),
    (re.compile(rb"\xff\xd8\xff"), parse_jpeg),
    (re.compile(rb"GIF8[79]a"), parse_gif),
    (re.compile(rb"BM.{8}", re.DOTALL), parse_bmp),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), parse_webp),
    (re.compile(rb"II\*\0|MM\0\*"), parse_tiff),
)
