"""Maps as pictures."""

import cv2
import numpy as np
import pytest

from atlas.gallery import heatmaps


def lightness(pixels: np.ndarray) -> np.ndarray:
    """L* of (h, w, 3) RGB, from 0 to 100."""
    return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_lightness_grows_with_the_size_of_the_value(sign: int) -> None:
    steps = lightness(heatmaps.paint(sign * np.linspace(0, 1, 64)[None]))[0]
    assert steps[0] < 1
    assert steps[-1] > 90
    assert (np.diff(steps) > 0).all()


def test_a_negative_value_is_blue_and_a_positive_one_is_not() -> None:
    below, above = heatmaps.paint(np.array([[-0.5, 0.5]]))[0].astype(int)
    assert below[2] > below[0] + 50
    assert above[0] > above[2] + 50


def test_what_is_no_number_is_painted_like_zero_and_what_is_beyond_like_the_end() -> None:
    painted = heatmaps.paint(np.array([[np.nan, 0, np.inf, 1, -7, -1]]))[0]
    assert (painted[0] == painted[1]).all()
    assert (painted[2] == painted[3]).all()
    assert (painted[4] == painted[5]).all()


def test_a_few_bright_pixels_do_not_darken_a_heat_map() -> None:
    values = np.full((100, 100), 0.25)
    values[0, :40] = 1.0  # 0.4 %
    assert heatmaps.ceiling(values) == 0.25
    assert (heatmaps.heat(values) == heatmaps.paint(np.ones((1, 1)))).all()


@pytest.mark.parametrize(("peak", "expected"), [(0.0, 0.0), (0.5, 0.5)])
def test_a_heat_map_of_almost_nothing_has_a_ceiling(peak: float, expected: float) -> None:
    values = np.zeros((100, 100), np.float16)
    values[3, 3] = peak
    assert heatmaps.ceiling(values) == expected
    assert (heatmaps.heat(values)[0, 0] == heatmaps.paint(np.zeros((1, 1)))[0, 0]).all()


def test_a_difference_is_ten_times_the_change_around_grey() -> None:
    original = np.array([[[10, 200, 100]]], np.uint8)
    changed = np.array([[[13, 199, 140]]], np.uint8)
    assert heatmaps.difference(original, changed).tolist() == [[[158, 118, 255]]]


def test_a_small_map_keeps_its_positions_as_squares() -> None:
    painted = heatmaps.tile(np.array([[0.0, 1.0], [0.5, -1.0]]))
    assert painted.shape == (112, 112, 3)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 4
    assert (painted[55, 56] == heatmaps.paint(np.ones((1, 1)))[0, 0]).all()


def test_a_large_map_is_averaged() -> None:
    stripes = np.tile([0.0, 0.5], (224, 112))
    assert (heatmaps.tile(stripes) == heatmaps.paint(np.full((112, 112), 0.25))).all()


def test_a_band_has_room_for_eight_maps_and_leaves_the_others_empty() -> None:
    band = heatmaps.band(np.ones((3, 7, 7), np.float16))
    assert band.shape == (112, 896, 3)
    assert (band[:, : 3 * 112] == heatmaps.paint(np.ones((1, 1)))).all()
    assert (band[:, 3 * 112 :] == (128, 124, 118)).all()


def test_colour_bars_run_from_their_least_value_to_the_peak() -> None:
    for least in (0, -1):
        bar = heatmaps.bar(least)
        assert bar.shape == (12, 192, 3)
        ends = heatmaps.paint(np.array([[least, 1.0]]))
        assert (bar[0, [0, -1]] == ends[0]).all()
