"""Headers of picture files: format by content, size, and whether the file is complete.

Nothing is decoded here and nothing large is allocated. Start at `read_header`. Pillow would not do
(measured): its `verify` takes JPEG, GIF, BMP, TIFF and PPM that are cut short for whole, it decodes
a GIF of which half is missing, and it makes room for a WebP before it says how large that is.
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InputError
from .tiff import (
    BLACK_IS_ZERO,
    RGB,
    TRUNCATED,
    check_tiff_colours,
    check_tiff_data,
    exif_orientation,
    tiff_tags,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Description of a picture, read from its file before anything is decoded.

    Attributes:
        kind: the format by content.
        height, width: largest extent of any frame, before `orientation` is applied.
        orientation: EXIF orientation that is left to apply, 1 to 8.
        frame: y0, x0, y1, x1 of the first frame where it may be smaller than the picture.
        clear: the one shade of a grey picture that is transparent; -1 for none.
        by_pillow: whether Pillow decodes it; OpenCV otherwise.
        opaque: whether a channel beside the colours is something else than their opacity.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    frame: tuple[int, int, int, int] | None = None
    clear: int = -1
    by_pillow: bool = False
    opaque: bool = False


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
    raise InputError(f"is {describe(data)}, not a PNG, JPEG, GIF, BMP, WebP, TIFF or PPM picture")


def looks_like_picture(start: bytes, named: bool) -> bool:
    """Return whether a file that begins so is a picture, though its name does not say so.

    Args:
        start: its first bytes.
        named: whether it has a suffix; raw photographs and slides are files like TIFF, of which
            only a small picture for looking would be decoded, and have suffixes of their own.
    """
    if start.startswith(b"BM") and start[6:10] != bytes(4):  # text that begins so
        return False
    parsers = [parse for pattern, parse in PARSERS if pattern.match(start)]
    return bool(parsers) and not (named and parse_tiff in parsers)


FOREIGN = (
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "an AVIF picture"),
    (re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL), "a HEIF picture"),
    (re.compile(rb"\0\0\0\x0cjP  "), "a JPEG 2000 picture"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL picture"),
    (re.compile(rb"P[Ff]\s"), "a PFM picture of floating-point numbers"),
    (re.compile(rb"P7\s"), "a PAM picture"),
    (re.compile(rb"\0\x05\x16\x07"), "an AppleDouble file of macOS"),
)


def describe(data: bytes) -> str:
    """A guess at what a file is that is not read."""
    if not data:
        return "empty"
    for pattern, name in FOREIGN:
        if pattern.match(data):
            return name
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "text" if data[:512].isascii() and b"\0" not in data[:512] else "something else"


def parse_png(data: bytes) -> Header:
    """Walk the chunks of a PNG to its end, checking the sums of those that matter."""
    at, height, width, orientation, clear = 8, 0, 0, 1, -1
    bits, colour = 8, -1
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        body = memoryview(data)[at + 8 : at + 8 + length]
        if not kind[0] & 0x20 and zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise InputError("is damaged: a checksum does not match")
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", body)
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(body))
        elif kind == b"tRNS" and colour == 0:  # OpenCV leaves this one out, for grey alone
            (shade,) = struct.unpack_from(">H", body)
            clear = shade * 255 // (2**bits - 1) if bits < 8 else shade
        elif kind == b"IEND":
            return Header(
                kind="PNG", height=height, width=width, orientation=orientation, clear=clear
            )
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
    at, frame = 13 + gif_palette(flags), None
    while True:
        block = data[at]
        if block == 0x3B:
            return Header(kind="GIF", height=height, width=width, frame=frame)
        if block == 0x2C:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            frame = frame or (top, left, top + down, left + across)
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
    """Return the offset behind a chain of sub-blocks."""
    while data[at]:
        at += 1 + data[at]
    return at + 1


def parse_bmp(data: bytes) -> Header:
    """Read the size of a BMP. OpenCV takes unusual bit fields for the usual ones."""
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    if width <= 0:
        raise InputError(f"is damaged: {width} pixels wide")
    return Header(kind="BMP", height=abs(height), width=width, by_pillow=True)  # < 0: from the top


PNM_START = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")


def parse_pnm(data: bytes) -> Header:
    """Read the size of a PBM, PGM or PPM. OpenCV reads some of them by chance only."""
    match = PNM_START.match(data)
    assert match
    return Header(kind="PPM", height=int(match[2]), width=int(match[1]), by_pillow=True)


def parse_webp(data: bytes) -> Header:
    """Walk the chunks of a WebP; the canvas, or the one frame, gives the size."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if len(data) < end:
        raise InputError(TRUNCATED)
    at, size, orientation, frame = 12, (0, 0), 1, None
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if len(body) < length:
            raise InputError(TRUNCATED)
        if kind == b"EXIF":
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
        elif kind in WEBP_SIZES:
            size = tuple(map(max, size, WEBP_SIZES[kind](body)))  # type: ignore[assignment]
        if kind == b"ANMF":
            frame = frame or webp_box(body)
        at += 8 + length + length % 2
    return Header(kind="WebP", height=size[0], width=size[1], orientation=orientation, frame=frame)


def webp_lossy(body: bytes) -> tuple[int, int]:
    """(height, width) of a VP8 frame."""
    width, height = struct.unpack_from("<HH", body, 6)
    return height & 0x3FFF, width & 0x3FFF


def webp_lossless(body: bytes) -> tuple[int, int]:
    """(height, width) of a VP8L frame."""
    (bits,) = struct.unpack_from("<I", body, 1)
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


def three_bytes(body: bytes, at: int) -> int:
    """A number of three bytes, as WebP writes sizes and places."""
    (value,) = struct.unpack("<I", body[at : at + 3] + b"\0")
    return int(value)


def webp_canvas(body: bytes) -> tuple[int, int]:
    """(height, width) of an extended WebP."""
    return three_bytes(body, 7) + 1, three_bytes(body, 4) + 1


def webp_frame(body: bytes) -> tuple[int, int]:
    """(height, width) of one frame of an animation."""
    return three_bytes(body, 9) + 1, three_bytes(body, 6) + 1


def webp_box(body: bytes) -> tuple[int, int, int, int]:
    """(y0, x0, y1, x1) of one frame of an animation; its place is given in pairs of pixels."""
    y, x = 2 * three_bytes(body, 3), 2 * three_bytes(body, 0)
    height, width = webp_frame(body)
    return y, x, y + height, x + width


WEBP_SIZES = {
    b"VP8 ": webp_lossy,
    b"VP8L": webp_lossless,
    b"VP8X": webp_canvas,
    b"ANMF": webp_frame,
}


def parse_tiff(data: bytes) -> Header:
    """Read the first picture of a TIFF: its size, whether its data are there, who decodes it.

    Both libraries apply the orientation of a TIFF themselves. OpenCV keeps all 16 bits, and is
    right for plain grey and RGB only: it takes any fourth channel for opacity, and planes of 16
    bits for pixels, with whatever lay in memory between them.
    """
    tags = tiff_tags(data)
    width, height = tags.get(256, (0,))[0], tags.get(257, (0,))[0]
    check_tiff_colours(tags)
    check_tiff_data(data, tags)
    bits, colour, channels = (tags.get(tag, (1,)) for tag in (258, 262, 277))
    plain = (colour[0], channels[0]) in ((BLACK_IS_ZERO, 1), (RGB, 3))
    return Header(
        kind="TIFF",
        height=height,
        width=width,
        by_pillow=max(bits) < 16 or not plain,
        opaque=tags.get(338, (0,))[0] not in (1, 2),
    )


PARSERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Header]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), parse_png),
    (re.compile(rb"\xff\xd8\xff"), parse_jpeg),
    (re.compile(rb"GIF8[79]a"), parse_gif),
    (re.compile(rb"BM.{8}", re.DOTALL), parse_bmp),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), parse_webp),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), parse_tiff),
    (PNM_START, parse_pnm),
)
