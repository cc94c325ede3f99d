"""Sizes that are no squares, and pictures of more than four channels."""

import cv2
import numpy as np
import pytest

from atlas.shapes import in_proportion, pair, resize, typed


def test_side_stands_for_a_square() -> None:
    assert pair(7) == (7, 7)
    assert pair((4, 9)) == (4, 9)


@pytest.mark.parametrize(
    ("side", "size", "wanted"),
    [
        (33, 224, (33, 33)),
        (128, (128, 64), (128, 64)),
        (32, (128, 64), (32, 16)),
        (100, (64, 192), (34, 100)),  # a third is 33.3; even sides only
        (16, (256, 32), (16, 8)),  # a side of 2 has no spectrum
        (8, (256, 32), (8, 8)),
    ],
)
def test_shorter_side_keeps_the_proportion(
    side: int, size: int | tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert in_proportion(side, size) == wanted


def test_size_is_written_as_it_is_typed() -> None:
    assert (typed(64), typed((128, 64))) == ("64", "128x64")


@pytest.mark.parametrize("method", [cv2.INTER_AREA, cv2.INTER_CUBIC])
def test_each_of_seven_channels_is_resized_like_a_grey_picture(method: int) -> None:
    picture = np.random.default_rng(0).integers(0, 65536, (12, 10, 7)).astype(np.uint16)
    small = resize(picture, (6, 5), method)
    for channel in range(7):
        grey = cv2.resize(picture[..., channel].copy(), (5, 6), interpolation=method)
        assert np.abs(small[..., channel].astype(int) - grey).max() <= 1
