"""Stimuli are what they say they are: contrast, orientation, frequency, hue."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking.stimuli import draw, make_stimuli
from atlas.records.tuning import Stimulus

SHAPES = [(224, 224), (32, 32), (24, 40), (8, 8)]


def shares(stimulus: Stimulus, shape: tuple[int, int] = (224, 224)) -> NDArray[np.float64]:
    return draw(stimulus, shape, 3) / 255


def of_kind(kind: str, shape: tuple[int, int] = (224, 224)) -> list[Stimulus]:
    return [one for one in make_stimuli(shape, 3) if one.kind == kind]


def test_the_set_is_eight_orientations_six_frequencies_two_phases_and_63_others() -> None:
    counts: dict[str, int] = {}
    for one in make_stimuli((224, 224), 3):
        counts[one.kind] = counts.get(one.kind, 0) + 1
    assert counts == {
        "grating": 96,
        "luminance": 9,
        "corner": 8,
        "curve": 6,
        "dots": 6,
        "checkers": 4,
        "noise": 6,
        "hue": 12,
        "isoluminant hue": 12,
    }


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_networks_without_colours_see_no_hues(channels: int) -> None:
    stimuli = make_stimuli((32, 32), channels)
    assert len(stimuli) == 135
    assert not any("hue" in one.kind for one in stimuli)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_picture_has_the_shape_of_the_input_and_only_grey_is_plain(
    shape: tuple[int, int],
) -> None:
    for one in make_stimuli(shape, 3):
        picture = draw(one, shape, 3)
        assert picture.shape == (*shape, 3)
        assert picture.dtype == np.uint8
        alike = np.ptp(picture.astype(int), 2).max() == 0
        assert alike == ("hue" not in one.kind)


def test_patterns_have_the_same_luminance_and_contrast() -> None:
    for one in make_stimuli((224, 224), 3):
        if one.kind != "luminance" and "hue" not in one.kind:
            pattern = shares(one)[..., 0]
            assert pattern.mean() == pytest.approx(0.5, abs=0.006), one
            assert pattern.std() == pytest.approx(0.175, abs=0.004), one


def test_hues_have_the_contrast_of_patterns_over_the_circle() -> None:
    squares = [((shares(one) - 0.5) ** 2).mean() for one in of_kind("hue")]
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.175, abs=0.003)


@pytest.mark.parametrize("one", of_kind("grating")[16:], ids=str)
def test_the_spectrum_of_a_grating_peaks_at_its_frequency_across_its_stripes(
    one: Stimulus,
) -> None:
    pattern = shares(one)[..., 0] - 0.5
    window = np.hanning(224)[:, None] * np.hanning(224)
    power = np.abs(np.fft.fft2(pattern * window, (896, 896)))
    down, right = (np.fft.fftfreq(896)[at] for at in np.unravel_index(power.argmax(), power.shape))
    assert np.hypot(down, right) == pytest.approx(one.frequency, abs=0.002)
    across = np.degrees(np.arctan2(-down, right)) - 90  # rows run downwards, stripes across it
    assert (across - one.orientation + 90) % 180 - 90 == pytest.approx(0, abs=3)


def test_stripes_at_0_are_level_at_45_rise_to_the_right_and_at_90_are_upright() -> None:
    level, rising, upright = (
        shares(Stimulus(kind="grating", orientation=angle, frequency=0.1, phase=0.0))[..., 0]
        for angle in (0.0, 45.0, 90.0)
    )
    assert np.ptp(level, axis=1).max() == 0
    assert np.ptp(upright, axis=0).max() == 0
    along = [rising[100 - step, 50 + step] for step in range(50)]  # up and to the right
    assert np.ptp(along) < 0.01


def test_the_two_phases_are_a_quarter_of_a_period_apart() -> None:
    zero, quarter = (shares(one)[..., 0] - 0.5 for one in of_kind("grating")[32:34])
    assert (zero * quarter).mean() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("kind", "shares_of"), [("hue", (1, 1, 1)), ("isoluminant hue", None)])
def test_hues_are_as_bright_as_grey(kind: str, shares_of: tuple[int, ...] | None) -> None:
    weights = np.array(shares_of or (0.299, 0.587, 0.114))
    for one in of_kind(kind):
        bright = shares(one) @ weights / weights.sum()
        assert np.abs(bright - 128 / 255).max() < 0.004


def test_hue_0_is_red_120_green_240_blue_and_opposite_hues_are_complements() -> None:
    found = {}
    for one in of_kind("hue"):
        picture = shares(one)
        found[one.hue] = picture[np.abs(picture - 0.5).max(2) > 0.1].mean(0) - 0.5
    for hue, colour in ((0, 0), (120, 1), (240, 2)):
        assert found[hue].argmax() == colour
        assert np.ptp(np.delete(found[hue], colour)) < 0.005
        np.testing.assert_allclose(found[hue], -found[(hue + 180) % 360], atol=0.005)


def test_dark_dots_are_bright_dots_upside_down() -> None:
    bright = of_kind("dots")[2]
    dark = shares(replace(bright, size=-bright.size))
    np.testing.assert_allclose(shares(bright) + dark, 1, atol=0.005)


def test_many_channels_show_the_same_in_16_bits() -> None:
    picture = draw(of_kind("noise")[0], (16, 16), 5)
    assert picture.dtype == np.uint16
    assert picture.shape == (16, 16, 5)
    assert np.ptp(picture.astype(int), 2).max() == 0


def test_noise_is_the_same_every_time_and_falls_with_the_frequency() -> None:
    one = of_kind("noise")[2]
    assert np.array_equal(shares(one), shares(one))
    power = np.abs(np.fft.fft2(shares(one)[..., 0] - 0.5))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(224), np.fft.fftfreq(224)))
    low, high = (power[(radius > at) & (radius < 1.2 * at)].mean() for at in (0.02, 0.2))
    assert low / high == pytest.approx(10, rel=0.2), "amplitude 1/f"
