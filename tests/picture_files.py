"""Small picture files of every format, made by the tests themselves."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from atlas.images import Loaded

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
    """What the files of `fill` came back as, in order."""
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
