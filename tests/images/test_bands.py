"""TIFF and .npy files as numbers: where the channels lie, what counts as 1, what is refused."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from atlas.errors import InputError
from atlas.images.bands import Bands, holds_bands, read_bands, shown_picture

FIVE = Bands(channels=5, shown=(0, 1, 2))
REFLECTANCE = Bands(channels=5, white=10_000, shown=(2, 1, 0))
LIMIT = 1000


def numbers() -> NDArray[np.uint16]:
    """(4, 6, 5): 0 to 10,000 by row and column, each channel 1,000 below the one before."""
    rows, columns = np.mgrid[0:4, 0:6]
    base = 10_000 - 200 * (6 * rows + columns)
    return np.stack([base - 1000 * channel for channel in range(5)], 2).astype(np.uint16)


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def tiff(array: NDArray[Any], **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def plain() -> bytes:
    return tiff(numbers(), photometric="minisblack", planarconfig="contig")


def reason(data: bytes, bands: Bands = FIVE, limit: int = LIMIT) -> str:
    with pytest.raises(InputError) as caught:
        read_bands(data, bands, limit)
    return str(caught.value)


FILES = {
    "channels last": npy(numbers()),
    "channels first": npy(numbers().transpose(2, 0, 1)),
    "Fortran order": npy(np.asfortranarray(numbers())),
    "big end first": npy(numbers().astype(">u2")),
    "pixel by pixel": plain(),
    "channel by channel": tiff(
        numbers().transpose(2, 0, 1), photometric="minisblack", planarconfig="separate"
    ),
    "a page a channel": tiff(numbers().transpose(2, 0, 1), photometric="minisblack"),
    "deflated": tiff(
        numbers(), photometric="minisblack", planarconfig="contig", compression="zlib"
    ),
    "tiles": tiff(numbers(), photometric="minisblack", planarconfig="contig", tile=(16, 16)),
    "big": tiff(numbers(), photometric="minisblack", planarconfig="contig", bigtiff=True),
}


@pytest.mark.parametrize("name", FILES)
def test_every_arrangement_gives_the_same_pixels(name: str) -> None:
    wanted = np.rint(numbers() / 10_000 * 65_535)
    np.testing.assert_allclose(read_bands(FILES[name], REFLECTANCE, LIMIT), wanted, atol=1)


def test_without_white_the_largest_number_of_the_type_is_1() -> None:
    sixteen = np.full((2, 3, 5), 65_535, np.uint16)
    eight = np.full((2, 3, 5), 51, np.uint8)
    half = np.full((2, 3, 5), 0.5, np.float32)
    assert read_bands(npy(sixteen), FIVE, LIMIT).max() == 65_535
    assert (read_bands(npy(eight), FIVE, LIMIT) == 65_535 // 5).all()
    assert (read_bands(npy(half), FIVE, LIMIT) == 32_768).all()


def test_brighter_than_white_is_white() -> None:
    bright = np.full((2, 3, 5), 12_000, np.uint16)
    assert (read_bands(npy(bright), REFLECTANCE, LIMIT) == 65_535).all()
    assert (read_bands(npy(1e200 * np.ones((2, 3, 5))), REFLECTANCE, LIMIT) == 65_535).all()


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (1, 4, 6)])
def test_grey_array_is_a_grey_picture_for_a_colour_network(shape: tuple[int, ...]) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(shape)
    picture = read_bands(npy(grey), Bands(channels=1), LIMIT)
    assert picture.shape == (4, 6, 3)
    assert picture.dtype == np.uint8
    assert (picture == grey.reshape(4, 6, 1)).all()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 6, 4), np.uint8), "has shape (4, 6, 4); expected is (H, W, C) or (C, H, W)"),
        (np.zeros((4, 6), np.uint8), "with C = 5 channels"),
        (np.zeros((5, 6, 5), np.uint8), "the first and the last axis could be the channels"),
        (np.zeros((1, 4, 6, 5), np.uint8), "has shape (1, 4, 6, 5)"),
        (np.zeros((0, 6, 5), np.uint8), "it has no size"),
        (np.zeros((40, 60, 5), np.uint8), "is 60 × 40 pixels large; the limit is 0.001 megapixels"),
        (np.zeros((4, 6, 5), np.int32), "holds int32 numbers"),
        (np.zeros((4, 6, 5), np.complex64), "holds complex64 numbers"),
        (np.full((4, 6, 5), np.nan), "holds numbers that are not finite"),
        (
            np.full((4, 6, 5), -0.5),
            "holds numbers from -0.5 to -0.5, allowed are those from 0 to 1",
        ),
        (np.full((4, 6, 5), 870.0), "--white says what counts as 1"),
    ],
)
def test_array_that_is_no_picture_is_refused(array: NDArray[Any], says: str) -> None:
    assert says in reason(npy(array))


def test_objects_are_never_unpickled() -> None:
    header = npy(np.zeros((1, 1, 5), np.uint8)).replace(b"'|u1'", b"'|O' ")
    assert "holds object numbers" in reason(header)


def test_header_that_promises_more_than_there_is_allocates_nothing() -> None:
    data = npy(np.zeros((4, 6, 5), np.uint8)).replace(b"(4, 6, 5)", b"(9, 9, 5)")
    assert reason(data) == "is truncated"
    assert "sound header" in reason(b"\x93NUMPY\x01\x00\x10\x00garbage")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            tiff(numbers()[..., :4], photometric="minisblack", planarconfig="contig"),
            "has 4 channel",
        ),
        (tiff(numbers()[..., 0], photometric="minisblack"), "has 1 channel(s) on 1 page(s)"),
        (plain()[:200], "truncated"),
        (tiff(numbers().astype(np.int16), photometric="minisblack"), "holds int16 numbers"),
        (b"\x89PNG\r\n\x1a\n", "is no TIFF and no .npy file"),
    ],
)
def test_file_that_is_no_such_picture_is_refused(data: bytes, says: str) -> None:
    assert says in reason(data)


def test_large_tiff_is_refused_by_its_header() -> None:
    assert "the limit is" in reason(plain(), limit=23)


def test_photographs_stay_photographs_for_colour_networks() -> None:
    assert not holds_bands(plain(), Bands())
    assert holds_bands(plain(), Bands(white=10_000))
    assert holds_bands(npy(numbers()), Bands())


def test_shown_are_the_channels_asked_for_in_eight_bits() -> None:
    picture = np.stack([np.full((2, 2), 257 * value, np.uint16) for value in (9, 8, 7, 6)], 2)
    assert shown_picture(picture, (3, 1, 0))[0, 0].tolist() == [6, 8, 9]
    assert shown_picture(picture, (2,))[0, 0].tolist() == [7, 7, 7]
