"""Bad files are refused by their header, before anything is decoded."""

import contextlib
import struct

import numpy as np
import pytest
from PIL import Image

from atlas.config import MAX_PIXELS
from atlas.errors import InputError
from atlas.images.decode import check_size, decode
from atlas.images.headers import read_header
from tests.picture_files import encode, flat, picture, png_header


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_file_is_rejected(kind, tenth):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    data = encode(Image.fromarray(noise), kind)
    cut = data[: len(data) * tenth // 10]
    with pytest.raises(InputError, match=r"truncated|empty"):
        decode(cut)
    assert decode(data).shape == (40, 40, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_file_that_lacks_its_last_byte_is_rejected(kind):
    with pytest.raises(InputError, match="truncated"):
        decode(encode(picture(), kind)[:-1])


def test_a_progressive_jpeg_with_bytes_behind_its_end_is_decoded():
    data = encode(flat(), "JPEG", progressive=True, exif=Image.Exif().tobytes())
    assert decode(data + b"\0" * 100 + b"trailer").shape == (16, 16, 3)


def test_a_flipped_byte_in_a_png_is_noticed():
    data = bytearray(encode(picture(), "PNG"))
    data[data.index(b"IDAT") + 9] ^= 1
    with pytest.raises(InputError, match="a checksum does not match"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"just some text", "is text"),
        (b"\n<!DOCTYPE html><title>404</title>", "is a web page"),
        (b"\x00\x01\x02\xff" * 10, "is something else"),
        (b"BM", "is text"),
    ],
)
def test_what_is_no_picture_is_named(data, what):
    with pytest.raises(InputError, match=what):
        decode(data)


def resized_header(kind, at, layout, *values, **options):
    """A small picture whose size fields say something else."""
    data = bytearray(encode(flat(), kind, **options))
    struct.pack_into(layout, data, at, *values)
    return bytes(data)


def bombs():
    """Headers of enormous pictures in every format."""
    jpeg = encode(flat(), "JPEG")
    width, height = (struct.pack("<HHII", tag, 4, 1, 60_000) for tag in (256, 257))
    tiff = b"II*\0" + struct.pack("<IH", 8, 2) + width + height + bytes(4)
    return {
        "PNG": png_header(2**31 - 1, 1),
        "PNG square": png_header(50_000, 50_000),
        "JPEG": resized_header("JPEG", jpeg.index(b"\xff\xc0") + 5, ">HH", 65500, 65500),
        "GIF": resized_header("GIF", 6, "<HH", 65535, 65535),
        "BMP": resized_header("BMP", 18, "<ii", 2**31 - 1, 1),
        "WebP": resized_header("WEBP", 26, "<HH", 16383, 16383),
        "TIFF": tiff,
    }


@pytest.mark.parametrize("kind", bombs())
def test_an_enormous_size_is_rejected_from_the_header(kind, monkeypatch):
    bomb = bombs()[kind]
    monkeypatch.setattr("cv2.imdecode", None)  # nothing is decoded
    with pytest.raises(InputError, match=r"the limit is 50 megapixels|truncated"):
        decode(bomb)


def test_the_frame_of_a_gif_counts_as_well_as_its_screen():
    data = bytearray(encode(flat(), "GIF"))
    frame = data.index(b"\x2c\0\0\0\0\x10\0\x10\0")
    struct.pack_into("<HHHH", data, frame + 1, 60_000, 60_000, 16, 16)
    with pytest.raises(InputError, match="60016 × 60016"):
        decode(bytes(data))


def test_a_picture_without_pixels_is_rejected():
    with pytest.raises(InputError, match="no size"):
        decode(png_header(0, 5))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_damaged_bytes_never_raise_anything_but_an_input_error(kind):
    random = np.random.default_rng(1)
    good = encode(picture(), kind)
    for _ in range(60):
        data = bytearray(good)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(0, 256)
        with contextlib.suppress(InputError):
            header = read_header(bytes(data))
            check_size(header.height, header.width, MAX_PIXELS)
