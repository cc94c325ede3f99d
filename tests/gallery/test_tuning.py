"""Tuning curves on pages: charts whose shapes are the numbers, and sentences that say them."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atlas.gallery import tuning_charts as charts
from atlas.gallery import tuning_sentences as sentences
from atlas.gallery.pages.tuning import tuning_panels
from atlas.gallery.write import write_site
from atlas.records.tuning import Curve, UnitTuning
from tests.synthetic import SyntheticPictures, make_atlas, tuned


def curve(at: list[float], responses: list[float]) -> Curve:
    return Curve(at=np.array(at, np.float32), responses=np.array(responses, np.float32))


TUNING = UnitTuning(
    orientation=45.0,
    orientation_selectivity=0.6,
    frequency=0.1,
    cycles=22.4,
    hue=240.0,
    hue_selectivity=0.5,
    colour=0.25,
    luminance=1.0,
    orientations=curve([22.5 * place for place in range(8)], [1, 2, 4, 2, 1, 0, 0, 0]),
    frequencies=curve([0.01, 0.03, 0.1, 0.3], [1, 2, 8, 2]),
    hues=curve([30.0 * place for place in range(12)], [0, 0, 0, 0, -1, 0, 1, 2, 3, 2, 1, 0]),
    luminances=curve([0, 0.5, 1], [-1, 0, 3]),
)
NOTHING = replace(
    TUNING,
    **dict.fromkeys(
        ("orientation", "orientation_selectivity", "frequency", "cycles", "hue"), math.nan
    ),
    **dict.fromkeys(("hue_selectivity", "colour", "luminance"), math.nan),
)


def points(svg: str) -> list[tuple[float, float]]:
    (text,) = re.findall(r' points="([^"]*)"', svg)
    pairs = [pair.split(",") for pair in text.split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_orientations_go_around_twice_and_the_mark_lies_as_the_stripes_do() -> None:
    svg = charts.orientation_chart(TUNING.orientations, 45.0, "said")
    middle, found = charts.SIDE / 2, points(svg)
    assert len(found) == 16
    far = charts.RADIUS * math.sqrt(0.5)
    assert found[2] == pytest.approx((middle + far, middle - far), abs=0.06)  # up, to the right
    assert found[10] == pytest.approx((middle - far, middle + far), abs=0.06)  # and opposite
    assert found[0] == pytest.approx((middle + charts.RADIUS / 4, middle), abs=0.06)
    ends = re.findall(r'class="mark" d="M85 85L([\d.]+) ([\d.]+)"', svg)
    assert [tuple(map(float, end)) for end in ends] == [found[2], found[10]]
    assert "rim 4.00" in svg


def test_hues_that_lower_a_unit_stay_in_the_middle() -> None:
    svg = charts.hue_chart(TUNING.hues, 240.0, "said")
    found = points(svg)
    assert found[4] == (charts.SIDE / 2, charts.SIDE / 2)
    assert math.dist(found[8], found[4]) == pytest.approx(charts.RADIUS, abs=0.1)
    fills = re.findall(r'fill="#(..)(..)(..)"', svg)
    assert len(fills) == 12
    for place, strongest in ((0, 0), (4, 1), (8, 2)):
        assert max(range(3), key=lambda at: fills[place][at]) == strongest


def test_frequencies_are_evenly_spaced_by_their_logarithm() -> None:
    svg = charts.frequency_chart(TUNING.frequencies, 0.1, 224, "said")
    found = points(svg)
    assert found[0][0] == charts.LEFT
    assert found[3][0] == charts.RIGHT
    share = math.log(10) / math.log(30)
    assert found[2] == pytest.approx((10 + share * 170, charts.TOP), abs=0.1)
    assert 'class="mark"' in svg
    assert ">22.4<" in svg


def test_luminance_is_drawn_around_mean_grey() -> None:
    svg = charts.luminance_chart(TUNING.luminances, "said")
    black, grey, white = (y for _, y in points(svg))
    assert (black, white) == (charts.BOTTOM, charts.TOP)
    assert grey == charts.BOTTOM - 28  # a quarter of the height, from −1 to 3
    assert re.findall(r'fill="(#\w+)"', svg) == ["#000000", "#808080", "#ffffff"]


def test_units_without_preferences_have_charts_without_marks() -> None:
    panels = tuning_panels(NOTHING, make_atlas(layers=1).model)
    assert [one.title for one in panels] == ["Orientation", "Spatial frequency", "Hue", "Luminance"]
    assert not any('"mark"' in one.chart for one in panels)
    assert [one.sentence[:12] for one in panels] == [
        *("No preferred", "No preferred", "No preferred", "Brightness a")
    ]
    silent = replace(
        NOTHING,
        **{
            name: replace(getattr(NOTHING, name), responses=0 * getattr(NOTHING, name).responses)
            for name in ("orientations", "frequencies", "hues", "luminances")
        },
    )
    charts_of = [one.chart for one in tuning_panels(silent, make_atlas(layers=1).model)]
    assert not any(re.search(r"\bnan\b", chart) for chart in charts_of)


def test_sentences_say_what_is_preferred() -> None:
    assert sentences.orientation_sentence(TUNING).startswith("Prefers stripes at 45° (0° level")
    assert "a bright and a dark stripe take 10.0 px" in sentences.frequency_sentence(TUNING)
    finest = replace(TUNING, frequency=float(TUNING.frequencies.at[-1]))
    assert sentences.frequency_sentence(finest).startswith(
        "Prefers the finest stripes shown, 0.300"
    )
    hue = sentences.hue_sentence(TUNING)
    assert hue.startswith("Raised most by blue (240°), selectivity 0.500 of 1.")
    assert "Colour index 0.250 (0: grey" in hue
    assert "White raises it more than black, by up to 3.00" in sentences.luminance_sentence(TUNING)
    lowered = replace(TUNING, colour=-0.4)
    assert "hues only lower it" in sentences.hue_sentence(lowered)
    flat = replace(TUNING, orientation=math.nan, orientation_selectivity=0.05)
    assert sentences.orientation_sentence(flat).startswith("No preferred orientation: selectivity")
    both = replace(TUNING, luminance=0.2, luminances=curve([0, 0.5, 1], [2, 0, 3]))
    assert sentences.luminance_sentence(both).startswith("Black and white both raise it")


@pytest.mark.parametrize(
    ("hue", "name"), [(0, "red"), (359, "red"), (119, "green"), (61, "yellow")]
)
def test_hues_have_names(hue: float, name: str) -> None:
    assert sentences.hue_name(hue) == name


def test_page_shows_curves_where_the_layer_is_tuned_and_nothing_else(tmp_path: Path) -> None:
    plain = make_atlas(layers=2, units=3)
    for atlas, shown in ((plain, False), (tuned(plain), True)):
        write_site(
            atlas,
            SyntheticPictures(atlas),
            site=tmp_path,
            labels={},
            site_url="",
            templates=(),
        )
        layer = tmp_path / "synthetic" / "conv_stem"
        page = (layer / f"{atlas.layers[0].chosen[0]}.html").read_text()
        assert ('aria-labelledby="tuning"' in page) is shown
        assert ("Measured with 159 synthetic pictures" in page) is shown
        assert ('value="orientation"' in (layer / "index.html").read_text()) is shown
