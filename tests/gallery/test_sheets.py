"""Pictures as bytes."""

import cv2
import numpy as np
import pytest

from atlas.errors import CacheError
from atlas.gallery import sheets
from atlas.images.pixels import encode, patch_shape, to_pixels
from tests.synthetic import generator, texture


def test_eight_bits_are_the_rounding_of_the_image() -> None:
    image = np.array([0.0, 1.0, 0.5, 0.25, -1.0, 2.0, np.nan, np.inf, -np.inf], np.float16)
    pixels = to_pixels(image.reshape(3, 1, 3))
    assert pixels.transpose(2, 0, 1).ravel().tolist() == [0, 255, 128, 64, 0, 255, 0, 255, 0]


def test_a_decoded_jpeg_is_near_the_saturated_texture_it_was_made_from() -> None:
    pixels = (texture(generator("saturated"), 224, 1.0) * 255).astype(np.uint8)
    difference = sheets.decode(encode(pixels), "x").astype(float) - pixels
    assert 10 * np.log10(255**2 / np.mean(difference**2)) > 28


def test_red_stays_red_in_full_chroma() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2, 0] = 255
    red = sheets.decode(encode(pixels), "x")[:, ::2]
    assert red[..., 0].min() > 200


def test_bytes_that_are_no_picture_name_the_sample() -> None:
    for data in (b"", b"no picture"):
        with pytest.raises(CacheError, match="sample image 3"):
            sheets.decode(data, "sample image 3")


def test_a_patch_is_cut_at_the_scale_of_the_view() -> None:
    square = np.zeros((448, 448, 3), np.uint8)
    square[200:400, 100:300] = 255
    patch = sheets.cut_patch(square, (100, 50, 200, 150), 224)
    assert patch.shape == (112, 112, 3)
    assert patch.min() == 255


def test_the_longest_side_of_a_patch_is_112() -> None:
    assert patch_shape((0, 0, 50, 200)) == (28, 112)
    assert patch_shape((0, 0, 3, 3)) == (112, 112)
    assert patch_shape((5, 5, 5, 5)) == (112, 112)


@pytest.mark.parametrize("box", [(-50, -50, 0, 0), (300, 300, 400, 400), (0, 0, 0, 0)])
def test_a_box_outside_the_view_gives_at_least_a_pixel(box: tuple[int, int, int, int]) -> None:
    square = np.full((224, 224, 3), 7, np.uint8)
    assert (sheets.cut_patch(square, box, 224) == 7).all()


def test_views_are_read_once_while_they_fit() -> None:
    asked: list[int] = []

    def read(index: int) -> bytes:
        asked.append(index)
        return encode(np.zeros((10, 10, 3), np.uint8))

    squares = sheets.Squares(read, budget=2 * 300)
    for index in (0, 1, 0, 1, 2, 1, 0):
        assert squares[index].shape == (10, 10, 3)
    assert asked == [0, 1, 2, 0]


def test_a_sheet_is_square_and_leaves_empty_places_grey() -> None:
    white = np.full((112, 112, 3), 255, np.uint8)
    sheet = sheets.contact_sheet([white, None, white], 2)
    assert sheet.shape == (224, 224, 3)
    assert (sheet[:112, :112] == 255).all()
    assert (sheet[:112, 112:] == sheets.EMPTY).all()
    assert (sheet[112:, :112] == 255).all()
    assert (sheet[112:, 112:] == sheets.EMPTY).all()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9, 12])
def test_a_card_has_the_size_that_link_previews_want(count: int) -> None:
    pair = (np.zeros((50, 50, 3), np.uint8), np.full((20, 40, 3), 255, np.uint8))
    card = sheets.card([pair] * count)
    assert card.shape == (630, 1200, 3)
    assert bool((card == 255).any()) is bool(count)


def test_cover_fills_without_distortion() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert cv2.mean(sheets.cover(wide, 10, 10))[0] == 255
