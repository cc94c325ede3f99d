"""Charts as SVG."""

import re
import xml.etree.ElementTree as ET
from math import inf, nan

import numpy as np
import pytest

from atlas.gallery import charts


def test_the_rendering_is_marked_where_it_lies() -> None:
    values = np.array([0, 1, 2, 3, 4], np.float32)
    svg = charts.activation_histogram(values, [("octaves", 8.0)], "value")
    mark = re.search(r'class="mark" d="M([\d.]+)', svg)
    assert mark
    assert float(mark[1]) == charts.WIDTH - 8
    assert "rendering octaves at 8.00" in svg


def test_bars_count_every_image_once() -> None:
    values = np.array([0, 0, 0, 1, 2.5], np.float32)
    counts = re.findall(r"<title>(\d+)</title>", charts.activation_histogram(values, [], "value"))
    assert sum(map(int, counts)) == 5


@pytest.mark.parametrize("values", [[], [nan, inf], [0.0], [3.0, 3.0]])
def test_odd_activations_still_give_a_chart(values: list[float]) -> None:
    svg = charts.activation_histogram(
        np.array(values, np.float32), [("octaves", nan)], "activation"
    )
    ET.fromstring(svg)
    assert "nan" not in svg


def test_renderings_below_one_are_told_apart() -> None:
    svg = charts.reach_histogram([0.1, 0.9, 1.0, 3.0, 50.0, -2.0, nan])
    assert "REACH of 6 renderings: 3 below 1, 3 at 1 or above" in svg
    assert svg.count('class="low"') == 4


def test_octaves_divide_the_curve_by_their_steps() -> None:
    svg = charts.octave_curve(np.arange(10, dtype=np.float32), (50, 25, 25))
    borders = [float(x) for x in re.findall(r'class="border" d="M([\d.]+)', svg)]
    assert borders == [8 + 0.5 * 464, 8 + 0.75 * 464]


@pytest.mark.parametrize("values", [[], [1.0], [nan, nan]])
def test_a_curve_of_less_than_two_values_is_left_out(values: list[float]) -> None:
    assert charts.octave_curve(np.array(values, np.float32), (10,)) == ""


def test_a_gap_in_the_objective_leaves_the_rest_of_the_curve() -> None:
    svg = charts.octave_curve(np.array([0, nan, 2], np.float32), (10,))
    points = re.search(r'points="([^"]*)"', svg)
    assert points
    assert len(points[1].split()) == 2


def test_values_that_hardly_differ_have_a_histogram() -> None:
    values = np.full(20, 1000, np.float32)
    values[3] = np.nextafter(np.float32(1000), np.float32(2000))
    assert "<svg" in charts.activation_histogram(values, [("picture", 1000.0)], "value")


def links_of(svg: str) -> dict[str, str]:
    """Link → the bars that it holds, of a histogram of intervals."""
    found = re.findall(r'<a href="#(\w+)" aria-label="[^"]+">(.*?)</a>', svg)
    return {link: re.findall(r'/><path d="([^"]*)"', body)[0] for link, body in found}


def intervals(*values: float) -> list[charts.Interval]:
    return [
        charts.Interval(name=f"{at}", label=f"strip {at}", link=f"#s{at}", value=value)
        for at, value in enumerate(values)
    ]


def test_each_bar_of_a_histogram_leads_to_the_interval_of_its_values() -> None:
    values = np.arange(40, dtype=np.float32)  # one value a bar
    svg = charts.interval_histogram(values, intervals(39, 29, 0), "peak")
    ET.fromstring(svg)
    bars = {link: path.count("M") for link, path in links_of(svg).items()}
    assert bars == {"s0": 10, "s1": 29, "s2": 1}


def test_a_bar_with_values_of_two_intervals_leads_to_where_most_of_them_are() -> None:
    values = np.array([0, 0.001, 0.002, 1], np.float32)
    svg = charts.interval_histogram(values, intervals(1, 0.002, 0), "peak")
    assert {link: path.count("M") for link, path in links_of(svg).items()} == {"s0": 1, "s1": 1}


def test_values_that_are_all_the_same_are_one_bar() -> None:
    svg = charts.interval_histogram(np.zeros(5, np.float32), intervals(0), "peak")
    assert [path.count("M") for path in links_of(svg).values()] == [1]
    assert "nan" not in svg


def test_an_interval_is_named_where_there_is_room() -> None:
    values = np.concatenate([np.linspace(0, 10, 100), [100]]).astype(np.float32)
    svg = charts.interval_histogram(values, intervals(100, 10), "peak")
    assert '">1</text>' in svg
