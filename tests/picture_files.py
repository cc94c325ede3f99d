"""Small picture files of every format, made by the tests themselves."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from atlas.images.load import Loaded

RED = (200, 100, 50)


def picture(height=6, width=8):
    """A picture whose every pixel is different, as a PIL image."""
    ramp = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    return Image.fromarray(ramp)


def flat(colour=RED, height=16, width=16, mode="RGB"):
    return Image.new(mode, (width, height), colour)


def encode(picture, kind, **options):
    """The bytes of a PIL image in a format."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(picture):
    return np.asarray(picture.convert("RGB"))


def save(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fill(folder, count, side=16):
    """PNG files of one colour each, whose red is their number."""
    for number in range(count):
        save(folder, f"{number:03}.png", encode(flat((number, 0, 0), side, side), "PNG"))


def reds(results):
    """Return the decoded files of `fill`, in order."""
    return [int(one.pixels[0, 0, 0]) for one in results if isinstance(one, Loaded)]


def png_header(width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def tiff(array, *, colour=2, extra=None, order="<", planes=False, large=False, sample_format=1):
    """An uncompressed TIFF of (H, W, C), one strip for each plane.

    Args:
        array: 8 or 16 bits.
        colour: tag PhotometricInterpretation.
        extra: tag ExtraSamples; None leaves it out.
        order: of the bytes.
        planes: one plane a channel instead of one pixel after the other.
        large: BigTIFF.
        sample_format: tag SampleFormat.
    """
    height, width, channels = array.shape
    parts = np.moveaxis(array, 2, 0) if planes else [array]
    strips = [part.astype(array.dtype.newbyteorder(order)).tobytes() for part in parts]
    tags = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * array.dtype.itemsize] * channels),
        259: ("H", [1]),
        262: ("H", [colour]),
        273: ("I", [0] * len(strips)),
        277: ("H", [channels]),
        278: ("I", [height]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if planes else 1]),
        **({338: ("H", extra)} if extra is not None else {}),
        339: ("H", [sample_format] * channels),
        **({530: ("H", [1, 1])} if colour == 6 else {}),
    }
    head = 16 if large else 8
    end = len(directory(tags, order, large, head))
    places = np.cumsum([head + end, *tags[279][1][:-1]]).tolist()
    tags[273] = ("I", places)
    start = b"II" if order == "<" else b"MM"
    layout, values = ("HHHQ", (43, 8, 0, head)) if large else ("HI", (42, head))
    return (
        start
        + struct.pack(order + layout, *values)
        + directory(tags, order, large, head)
        + b"".join(strips)
    )


def directory(tags, order, large, start):
    """The directory of a TIFF that lies at `start`, and the values that do not fit into it."""
    count, place, step = ("Q", "Q", 20) if large else ("H", "I", 12)
    room = struct.calcsize(place)
    after = start + struct.calcsize(count) + step * len(tags) + room
    entries, values = struct.pack(order + count, len(tags)), b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(packed) > room:
            at, values = after + len(values), values + packed
            packed = struct.pack(order + place, at)
        head = struct.pack(f"{order}HH{place}", tag, {"H": 3, "I": 4}[kind], len(numbers))
        entries += head + packed.ljust(room, b"\0")
    return entries + bytes(room) + values


def bmp(numbers, fields):
    """A BMP of (H, W) 32-bit numbers, of which bit fields say what is red, green and blue."""
    height, width = numbers.shape
    sizes = (40, width, height, 1, 32, 3, numbers.nbytes, 0, 0, 0, 0)
    head = struct.pack("<IiiHHIIiiII", *sizes) + struct.pack("<3I", *fields)
    start = 14 + len(head)
    return (
        struct.pack("<2sIHHI", b"BM", start + numbers.nbytes, 0, 0, start)
        + head
        + np.ascontiguousarray(numbers[::-1]).astype("<u4").tobytes()
    )
