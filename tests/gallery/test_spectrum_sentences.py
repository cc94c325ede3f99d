"""Sentences about the strips of a spectrum."""

import pytest

from atlas.gallery.spectrum_sentences import (
    share_sentence,
    spectrum_sentence,
    strip_name,
    strip_ticks,
)
from atlas.gallery.views import StripView


def strip(percentile: int, up_to: int, value: float, share: float) -> StripView:
    return StripView(percentile=percentile, up_to=up_to, value=value, share=share, images=())


@pytest.mark.parametrize(
    ("percentile", "up_to", "name", "ticks"),
    [(99, 99, "99th percentile", "99"), (0, 50, "0th to 50th percentile", "0–50")],
)
def test_a_strip_is_named_by_the_percentiles_of_its_value(
    percentile: int, up_to: int, name: str, ticks: str
) -> None:
    one = strip(percentile, up_to, 1, 0.5)
    assert (strip_name(one), strip_ticks(one)) == (name, ticks)


def test_shares_say_between_which_peaks() -> None:
    strips = [strip(75, 100, 3, 0.25), strip(0, 50, 0, 0.75)]
    assert share_sentence(strips, 0) == "25.0\u00a0% of the images from here down to 0."
    assert share_sentence(strips, 1) == "75.0\u00a0% of the images have this peak, the lowest."
    assert share_sentence([strip(0, 100, 0, 1)], 0) == "All images have this peak."


def test_what_is_shown_and_counted_is_said() -> None:
    usual = spectrum_sentence(284, 284, placed=True)
    assert "over the 284 sample images" in usual
    assert "the part around it" in usual
    assert "whole images" in spectrum_sentence(284, 284, placed=False)
    many = spectrum_sentence(5000, 60_000, placed=True)
    assert "5\u2009000 images drawn from the 60\u2009000 sample images" in many
    assert "chosen from 1\u2009000 images of these" in many
