"""Sentences and numbers for people."""

from math import nan

import pytest

from atlas.gallery import sentences as captions
from atlas.gallery.text import reach
from atlas.records.units import Scores


def scores(**given: float) -> Scores:
    values = {"activation": 2.0, "reach": 1.0, "select": 1, "robust": 0.9, "hf": 1.0, **given}
    return Scores(**values)  # type: ignore[arg-type]


def test_a_handful_of_images_is_called_a_demonstration() -> None:
    assert "demonstration, not a measurement" in captions.images_sentence(120, 99)
    assert "demonstration" not in captions.images_sentence(120, 100)


def test_images_and_distinct_files_are_both_counted() -> None:
    assert "400 sample images cut from 14 distinct files" in captions.images_sentence(400, 14)


@pytest.mark.parametrize(
    ("reach", "part"),
    [
        (3.2, "3.20 times as far"),
        (0.42, "42%"),
        (-1.0, "no more than an average"),
        (nan, "No REACH"),
    ],
)
def test_reach_is_compared_with_the_best_sample_image(reach: float, part: str) -> None:
    assert part in captions.reach_sentence(scores(reach=reach))


def test_select_counts_the_channels_that_respond_more() -> None:
    assert "none responds more" in captions.select_sentence(scores(select=1), 96)
    assert captions.select_sentence(scores(select=2), 96).startswith("1 channel of the layer’s 96")
    assert captions.select_sentence(scores(select=4), 96).startswith("3 channels")
    assert captions.select_sentence(scores(select=0), 96) == "Not measured."


def test_a_reference_set_is_named() -> None:
    said = captions.images_sentence(3925, 3925, "Imagenette")
    assert "3\u2009925 reference images, each a distinct file (Imagenette;" in said


def test_every_score_that_is_not_a_number_has_a_sentence() -> None:
    none = scores(activation=nan, robust=nan, hf=nan)
    assert "no finite" in captions.activation_sentence(none, 1.0, "3 sample images")
    assert captions.robust_sentence(none) == captions.hf_sentence(none) == "Not measured."


@pytest.mark.parametrize(("hf", "part"), [(0.1, "smoother"), (1.0, "as smooth"), (9.0, "noise")])
def test_fine_detail_is_compared_with_nature(hf: float, part: str) -> None:
    assert part in captions.hf_sentence(scores(hf=hf))


def test_a_negative_picture_is_compared_with_the_least_exciting_image() -> None:
    said = captions.reach_sentence(scores(reach=2.0), negative=True)
    assert "below the mean as the natural image that excites it least" in said
    assert "none responds less" in captions.select_sentence(scores(), 96, negative=True)
    least = captions.activation_sentence(scores(), -1.5, "3 sample images", negative=True)
    assert least.endswith("on the rendering and −1.50 on the least of 3 sample images.")


def test_a_reach_without_a_scale_is_described_rather_than_counted() -> None:
    assert reach(1e12) == "beyond"
    assert captions.reach_sentence(scores(reach=1e12)).startswith("Beyond every natural image")
    assert (reach(999.0), reach(None)) == ("999", "–")
