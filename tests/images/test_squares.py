"""Squares are cut out by hand-made rules, and resized as little as can be."""

import numpy as np
import pytest

from atlas.images.squares import centre_box, cut, encode_square, resize
from atlas.records.samples import USUAL_CROP, CentralCrop

OWN = CentralCrop(share=1, prepared=True)


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
    assert centre_box(height, width, USUAL_CROP, 224) == box


def test_shrinking_takes_means_and_enlarging_keeps_flat_colours():
    square = np.zeros((2, 2, 3), np.uint8)
    square[0] = 100
    assert resize(square, 1).tolist() == [[[50, 50, 50]]]
    assert (resize(np.full((3, 3, 3), 77, np.uint8), 8) == 77).all()


def test_views_keep_their_colours_at_full_resolution():
    data = encode_square(np.zeros((16, 16, 3), np.uint8))
    frame = data.index(b"\xff\xc0")
    assert data[frame + 11] == 0x11  # luminance sampled as often as colour: 4:4:4


@pytest.mark.parametrize(
    ("centre", "box"),
    [
        (CentralCrop(share=1), (0, 100, 200, 300)),
        (CentralCrop(share=0.5), (50, 150, 150, 250)),
        (CentralCrop(share=1, squash=True), (0, 0, 200, 400)),
        (CentralCrop(share=0.9, squash=True), (10, 20, 190, 380)),
        (CentralCrop(share=0.001), (99, 199, 100, 200)),
    ],
)
def test_the_centre_is_the_share_that_is_asked_for(centre, box):
    assert centre_box(200, 400, centre, 64) == box


@pytest.mark.parametrize(
    ("height", "width", "size", "box"),
    [
        (73, 73, 64, (4, 4, 68, 68)),  # 73 · 224 / 256 = 63.9
        (256, 341, 224, (16, 58, 240, 282)),
        (72, 72, 64, (0, 0, 72, 72)),  # 63.0
        (255, 255, 224, (0, 0, 255, 255)),  # 223.1
        (64, 80, 64, (0, 8, 64, 72)),
    ],
)
def test_pictures_that_were_prepared_by_the_usual_resize_are_cut_at_the_input_size(
    height, width, size, box
):
    assert centre_box(height, width, OWN, size) == box


@pytest.mark.parametrize("side", [32, 37])  # 37 · 224 / 256 = 32.4
def test_a_picture_of_the_input_size_reaches_the_network_as_it_is(side):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    first = (side - 32) // 2
    piece = cut(noise, "centre", OWN, 32, 48)
    assert np.array_equal(piece.pixels, noise[first : first + 32, first : first + 32])


def test_a_squashed_picture_is_a_square():
    wide = np.repeat(np.array([[[10] * 3, [30] * 3]], np.uint8), 2, 1)  # 10 10 30 30
    piece = cut(wide, "centre", CentralCrop(share=1, squash=True), 1, 9)
    assert piece.pixels.tolist() == [[[20, 20, 20]]]
    assert piece.box == (0, 0, 1, 4)
