"""One rule makes a picture file into pixels, and squares are cut out of them by hand."""

import cv2
import numpy as np
import pytest
from PIL import Image

from atlas.errors import InputError
from atlas.headers import exif_orientation
from atlas.pictures import centre_box, decode, encode_view, resize

from .picture_files import RED, encode, flat, picture, pixels_of


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_out_exactly(kind):
    assert np.array_equal(decode(encode(picture(), kind)), pixels_of(picture()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_come_out_nearly_and_in_rgb_order(kind):
    got = decode(encode(flat(), kind))
    assert got.shape == (16, 16, 3)
    assert np.abs(got.astype(int) - RED).max() <= 6


def test_webp_without_loss_comes_out_exactly():
    assert np.array_equal(decode(encode(picture(), "WEBP", lossless=True)), pixels_of(picture()))


# the eight ways a camera can be held: what has to be done to the stored pixels, by hand
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_every_exif_orientation_is_turned_upright(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0}
    stored = picture() if kind != "JPEG" else Image.fromarray(corners())
    got = decode(encode(stored, kind, exif=exif, **options))
    want = UPRIGHT[orientation](pixels_of(stored))
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= (12 if kind == "JPEG" else 0)


def corners():
    """Large patches, a different one in each corner, which JPEG hardly changes."""
    patches = np.array([[[0, 0, 0], [80, 80, 80]], [[160, 160, 160], [240, 240, 240]]], np.uint8)
    return patches.repeat(16, 0).repeat(24, 1)


def test_a_broken_exif_block_means_upright():
    for block in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
        assert exif_orientation(block) == 1
    exif = Image.Exif()
    exif[274] = 9
    assert np.array_equal(decode(encode(picture(), "PNG", exif=exif)), pixels_of(picture()))


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_sixteen_bits_are_scaled_to_eight(kind):
    values = np.array([[0, 128, 129, 257, 51400, 65535]], np.uint16)
    want = [0, 0, 1, 1, 200, 255]  # value / 257, rounded
    assert decode(cv2.imencode(kind, values)[1].tobytes())[0, :, 1].tolist() == want
    colour = np.repeat(values[..., None], 3, 2)
    assert decode(cv2.imencode(kind, colour)[1].tobytes())[0, :, 2].tolist() == want


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"])
def test_grey_is_repeated_into_three_channels(kind):
    got = decode(encode(flat(124, mode="L"), kind))
    assert got.shape == (16, 16, 3)
    assert np.abs(got.astype(int) - 124).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_one_bit_is_black_and_white(kind):
    checks = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert decode(encode(checks, kind))[..., 0].tolist() == [[0, 255], [255, 0]]


# half transparent: 200·128/255 + 255·127/255 = 227.4, 177.2 and 152.1
HALF = [227, 177, 152]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_composited_on_white(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    half = decode(encode(flat((*RED, 128), mode="RGBA"), kind, **options))
    assert np.abs(half[0, 0].astype(int) - HALF).max() <= (1 if kind == "TIFF" else 0)
    clear = flat((*RED, 0), mode="RGBA")
    assert (decode(encode(clear, kind, **options)) == 255).all()


def test_transparency_of_sixteen_bits_grey_and_palettes_is_composited_on_white():
    deep = np.full((2, 2, 4), [50 * 257, 100 * 257, 200 * 257, 128 * 257], np.uint16)
    assert decode(cv2.imencode(".png", deep)[1].tobytes())[0, 0].tolist() == HALF
    grey = Image.merge("LA", [flat(200, mode="L"), flat(128, mode="L")])
    assert decode(encode(grey, "PNG"))[0, 0].tolist() == [227, 227, 227]
    palette = flat().quantize(4)
    assert decode(encode(palette, "PNG"))[0, 0].tolist() == list(RED)
    assert decode(encode(palette, "PNG", transparency=bytes([128] * 4)))[0, 0].tolist() == HALF
    index = palette.getpixel((0, 0))
    assert (decode(encode(palette, "GIF", transparency=index)) == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted(kind):
    got = decode(encode(flat().convert("CMYK"), kind))
    assert np.abs(got[8, 8].astype(int) - RED).max() <= 6


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    data = encode(flat(), kind, save_all=True, append_images=[flat((0, 255, 0))])
    assert np.abs(decode(data)[8, 8].astype(int) - RED).max() <= 6


def test_numbers_whose_white_is_unknown_are_refused():
    for mode in ("F", "I"):
        with pytest.raises(InputError, match="32 bits a channel"):
            decode(encode(Image.new(mode, (4, 4)), "TIFF"))
    with pytest.raises(InputError, match="not understood"):
        decode(encode(Image.new("LA", (4, 4)), "TIFF"))


def test_the_limit_is_a_parameter_and_inclusive():
    data = encode(flat(), "PNG")
    assert decode(data, max_pixels=256).shape == (16, 16, 3)
    with pytest.raises(InputError, match="is 16 × 16 pixels large"):
        decode(data, max_pixels=255)


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (256, 256, (16, 16, 240, 240)),
        (256, 512, (16, 144, 240, 368)),
        (300, 200, (62, 12, 237, 187)),  # 200 · .875 = 175
        (1, 1, (0, 0, 1, 1)),
        (1, 50, (0, 24, 1, 25)),
    ],
)
def test_the_central_square_by_hand(height, width, box):
    assert centre_box(height, width) == box


def test_shrinking_takes_means_and_enlarging_keeps_flat_colours():
    square = np.zeros((2, 2, 3), np.uint8)
    square[0] = 100
    assert resize(square, 1).tolist() == [[[50, 50, 50]]]
    assert (resize(np.full((3, 3, 3), 77, np.uint8), 8) == 77).all()


def test_views_keep_their_colours_at_full_resolution():
    data = encode_view(np.zeros((16, 16, 3), np.uint8))
    frame = data.index(b"\xff\xc0")
    assert data[frame + 11] == 0x11  # luminance sampled as often as colour: 4:4:4
