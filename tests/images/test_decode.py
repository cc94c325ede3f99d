"""One rule makes a picture file into pixels, and squares are cut out of them by hand."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from atlas.errors import InputError
from atlas.images.decode import decode
from atlas.images.tiff import exif_orientation
from tests.picture_files import RED, bmp, encode, flat, picture, pixels_of, tiff


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
    for number in (2, 3):  # signed, floating-point
        with pytest.raises(InputError, match="signed or floating-point"):
            decode(tiff(COLOURS.astype(np.uint16), sample_format=number))


def test_the_limit_is_a_parameter_and_inclusive():
    data = encode(flat(), "PNG")
    assert decode(data, max_pixels=256).shape == (16, 16, 3)
    with pytest.raises(InputError, match="is 16 × 16 pixels large"):
        decode(data, max_pixels=255)


# --- what one library decodes wrongly -------------------------------------------------------------

COLOURS = pixels_of(picture(20, 24))
OTHER = COLOURS[::-1, :, :1] // 2
"""A fourth channel, such as near infrared."""

FOUR = np.dstack([COLOURS, OTHER])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extra", [(0,), None])
def test_a_fourth_channel_of_a_tiff_that_is_no_opacity_is_left_out(order, extra):
    assert np.array_equal(decode(tiff(FOUR, extra=extra, order=order)), COLOURS)
    deep = decode(tiff(FOUR.astype(np.uint16) * 257, extra=extra, order=order))
    assert np.array_equal(deep, COLOURS)


def test_two_more_channels_of_a_tiff_are_left_out():
    assert np.array_equal(decode(tiff(np.dstack([FOUR, OTHER]), extra=(0, 0))), COLOURS)


@pytest.mark.parametrize("scale", [1, 257])
def test_opacity_of_a_tiff_is_composited_on_white_multiplied_or_not(scale):
    kind = np.uint8 if scale == 1 else np.uint16
    plain = np.full((4, 4, 4), [*RED, 128]) * scale
    assert decode(tiff(plain.astype(kind), extra=(2,)))[0, 0].tolist() == HALF
    multiplied = plain.copy()
    multiplied[..., :3] = plain[..., :3] * 128 // 255
    got = decode(tiff(multiplied.astype(kind), extra=(1,)))[0, 0]
    assert np.abs(got.astype(int) - HALF).max() <= 1
    grey = np.full((4, 4, 2), [200, 128], np.uint8)
    assert decode(tiff(grey, colour=1, extra=(2,)))[0, 0].tolist() == [227, 227, 227]


def test_planes_of_a_tiff_are_read_where_a_library_does_and_never_guessed():
    assert np.array_equal(decode(tiff(COLOURS, planes=True)), COLOURS)
    for channels in (COLOURS, FOUR):  # OpenCV shows memory that nobody has written
        with pytest.raises(InputError, match="16 bits in separate planes"):
            decode(tiff(channels.astype(np.uint16), planes=True, extra=(0,)))


def test_white_as_zero_is_turned_or_refused():
    grey = COLOURS[..., :1]
    assert np.array_equal(decode(tiff(grey, colour=0))[..., 1], 255 - grey[..., 0])
    with pytest.raises(InputError, match="white as 0"):
        decode(tiff(grey.astype(np.uint16), colour=0))


def test_luminance_and_colour_differences_of_a_tiff_are_converted():
    red = np.full((4, 4, 3), [76, 85, 255], np.uint8)  # .299 · 255; 128 − .169 · 255; the most
    assert np.abs(decode(tiff(red, colour=6)).astype(int) - (254, 0, 0)).max() <= 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"colour": 8}, "kind of colour"),
        ({"colour": 9}, "kind of colour"),
        ({"colour": 1}, "3 channels, of which none"),
    ],
)
def test_colours_of_a_tiff_that_nobody_names_are_refused(changes, reason):
    with pytest.raises(InputError, match=reason):
        decode(tiff(COLOURS, **changes))


def test_tiffs_of_every_layout_come_out_exactly():
    assert np.array_equal(decode(tiff(COLOURS, large=True)), COLOURS)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = encode(Image.fromarray(COLOURS), "TIFF", compression=compression)
        assert np.array_equal(decode(data), COLOURS)
    deep = np.array([[0, 129, 51400, 65535]], np.uint16)
    got = decode(encode(Image.fromarray(deep), "TIFF", compression="tiff_lzw"))
    assert got[0, :, 0].tolist() == [0, 1, 200, 255]  # value / 257, rounded


FIELDS = {"usual": (16, 8, 0), "red first": (24, 16, 8)}


@pytest.mark.parametrize("fields", FIELDS)
def test_bit_fields_of_a_bmp_mean_what_it_says(fields):
    parts = [COLOURS[..., k].astype("<u4") << FIELDS[fields][k] for k in range(3)]
    rest = ~sum(255 << shift for shift in FIELDS[fields]) & 0xFFFFFFFF  # no opacity: means nothing
    data = bmp(sum(parts) | np.uint32(rest), [255 << shift for shift in FIELDS[fields]])
    assert np.array_equal(decode(data), COLOURS)


def test_bit_fields_of_a_bmp_that_are_not_understood_are_refused():
    data = bmp(np.zeros((4, 4), "<u4"), [0xFF, 0xFF00, 0xFF0000])
    with pytest.raises(InputError, match="bitfields"):
        decode(data)


SIDES = b"24 20\n"
GREY = np.repeat(COLOURS[..., :1], 3, 2)
BITS = np.where(GREY > 100, np.uint8(0), np.uint8(255))  # 1 is black
NETPBM = {
    "P6": (b"P6\n" + SIDES + b"255\n" + COLOURS.tobytes(), COLOURS),
    "P5": (b"P5 24 # a comment\n20 255\n" + COLOURS[..., 0].tobytes(), GREY),
    "P4": (b"P4 " + SIDES + np.packbits(BITS[..., 0] == 0, 1).tobytes(), BITS),
    "P3": (
        b"P3\n# made by hand\n" + SIDES + b"255\n" + b" ".join(b"%d" % v for v in COLOURS.flat),
        COLOURS,
    ),
    "P2": (b"P2 " + SIDES + b"255\n" + b"\n".join(b"%d" % v for v in COLOURS[..., 0].flat), GREY),
    "P1": (b"P1\n" + SIDES + b" ".join(b"%d" % (v == 0) for v in BITS[..., 0].flat), BITS),
    "P6 of 16 bits": (
        b"P6 " + SIDES + b"65535\n" + (COLOURS.astype(">u2") * 257).tobytes(),
        COLOURS,
    ),
    "P5 of 16 bits": (
        b"P5 " + SIDES + b"65535\n" + (GREY[..., 0].astype(">u2") * 257).tobytes(),
        GREY,
    ),
}


@pytest.mark.parametrize("kind", NETPBM)
def test_netpbm_files_come_out_exactly(kind):
    data, wanted = NETPBM[kind]
    assert np.array_equal(decode(data), wanted)


def test_shades_of_a_netpbm_file_end_at_its_own_white():
    data = b"P5 3 1 100\n" + bytes([0, 50, 100])
    assert decode(data)[0, :, 0].tolist() == [0, 128, 255]  # 127.5 is rounded up


@pytest.mark.parametrize("kind", ["P6", "P5", "P4"])
def test_a_truncated_netpbm_file_is_refused(kind):
    with pytest.raises(InputError, match="truncated"):
        decode(NETPBM[kind][0][:-10])


@pytest.mark.parametrize(
    ("bits", "shade", "wanted"),
    [(8, 7, [7, 9]), (4, 7, [119, 153]), (16, 7 * 257, [7, 9])],
)
def test_the_transparent_shade_of_a_grey_png_is_white(bits, shade, wanted):
    rows = {
        8: bytes([0, 7, 9]),
        4: bytes([0, 0x79]),  # 7 / 15 of 255 is 119, 9 / 15 is 153
        16: bytes([0, 7, 7, 9, 9]),
    }
    data = png(bits, rows[bits])
    assert decode(data)[0, :, 0].tolist() == wanted
    assert decode(png(bits, rows[bits], shade))[0, :, 0].tolist() == [255, wanted[1]]


def png(bits, row, shade=None):
    """A grey PNG of two pixels, of which one shade may be transparent."""
    head = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    if shade is not None:
        chunks.insert(1, (b"tRNS", struct.pack(">H", shade)))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_around_a_smaller_first_frame_is_the_white_page():
    small = flat(height=4, width=6)
    gif = bytearray(encode(small, "GIF"))
    struct.pack_into("<HH", gif, 6, 16, 12)  # the screen
    struct.pack_into("<HH", gif, gif.index(b"\x2c\0\0\0\0") + 1, 4, 2)
    lossless = encode(small, "WEBP", lossless=True)[12:]
    place = struct.pack("<HBHBHBHBI", 2, 0, 1, 0, 5, 0, 3, 0, 100)
    canvas = bytes([2, 0, 0, 0]) + struct.pack("<HBHB", 15, 0, 11, 0)
    parts = [(b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", place + lossless)]
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(one)) + one for kind, one in parts)
    webp = b"RIFF" + struct.pack("<I", len(body)) + body
    wanted = np.full((12, 16, 3), 255, np.uint8)
    wanted[2:6, 4:10] = RED
    for data in (bytes(gif), webp):
        assert np.abs(decode(data).astype(int) - wanted).max() <= 3


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x20ftypavif" + bytes(20), "an AVIF picture"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "a HEIF picture"),
        (b"\0\0\0\x0cjP  \r\n" + bytes(20), "a JPEG 2000 picture"),
        (b"\xff\x0a" + bytes(20), "a JPEG XL picture"),
        (b"PF\n2 2\n-1.0\n" + bytes(48), "a PFM picture of floating-point numbers"),
        (b"P7\nWIDTH 2\n" + bytes(20), "a PAM picture"),
    ],
)
def test_other_kinds_of_picture_are_refused_by_name(data, name):
    with pytest.raises(InputError, match=name):
        decode(data)
