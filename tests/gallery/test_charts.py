"""Charts as SVG."""

import re
import xml.etree.ElementTree as ET
from math import inf, nan

import numpy as np
import pytest

from atlas.gallery import charts


def node(name: str, kind: str = "Conv2d", height: int = 14) -> charts.Node:
    return charts.Node(
        name=name,
        type=kind,
        height=height,
        channels=8,
        href=f"{name}/index.html",
        picture="a/img/1.t.jpg",
        patch="a/img/1.p1.jpg",
    )


GOOGLENET = [
    *("conv1", "inception3a.branch1", "inception3a.branch2.0", "inception3a.branch2.1"),
    *("inception3a.branch3.0", "inception3a", "inception3b"),
]


def test_the_rendering_is_marked_where_it_lies() -> None:
    values = np.array([0, 1, 2, 3, 4], np.float32)
    svg = charts.activation_histogram(values, [("octaves", 8.0)])
    mark = re.search(r'class="mark" d="M([\d.]+)', svg)
    assert mark
    assert float(mark[1]) == charts.WIDTH - 8
    assert "rendering octaves at 8.00" in svg


def test_bars_count_every_image_once() -> None:
    values = np.array([0, 0, 0, 1, 2.5], np.float32)
    counts = re.findall(r"<title>(\d+)</title>", charts.activation_histogram(values, []))
    assert sum(map(int, counts)) == 5


@pytest.mark.parametrize("values", [[], [nan, inf], [0.0], [3.0, 3.0]])
def test_odd_activations_still_give_a_chart(values: list[float]) -> None:
    svg = charts.activation_histogram(np.array(values, np.float32), [("octaves", nan)])
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


def test_branches_of_one_block_stand_in_lanes_of_their_own() -> None:
    places = charts.arrange([node(name) for name in GOOGLENET])
    assert [(place.column, place.lane, place.lanes) for place in places] == [
        *((0, 0, 1), (1, 0, 3), (1, 1, 3), (2, 1, 3), (1, 2, 3), (3, 0, 1), (4, 0, 1)),
    ]


def test_a_block_is_fed_by_what_comes_before_and_feeds_what_comes_after() -> None:
    places = charts.arrange([node(name) for name in GOOGLENET])
    pairs = {(a.node.name, b.node.name) for a, b in charts.connections(places)}
    assert pairs == {
        ("conv1", "inception3a.branch1"),
        ("conv1", "inception3a.branch2.0"),
        ("conv1", "inception3a.branch3.0"),
        ("inception3a.branch2.0", "inception3a.branch2.1"),
        ("inception3a.branch1", "inception3a"),
        ("inception3a.branch2.1", "inception3a"),
        ("inception3a.branch3.0", "inception3a"),
        ("inception3a", "inception3b"),
    }


def test_two_blocks_of_branches_in_a_row_are_not_mixed_up() -> None:
    names = ["a.branch1", "a.branch2", "b.branch1", "b.branch2"]
    places = charts.arrange([node(name) for name in names])
    pairs = {(a.node.name, b.node.name) for a, b in charts.connections(places)}
    assert pairs == {(a, b) for a in names[:2] for b in names[2:]}


def test_residual_stages_have_an_arc() -> None:
    svg = charts.layer_strip([node("a", "BasicBlock"), node("b")])
    assert svg.count('class="skip"') == 1


def test_a_new_resolution_is_announced_once() -> None:
    svg = charts.layer_strip([node("a", height=28), node("b", height=28), node("c", height=14)])
    assert re.findall(r">(\d+)²<", svg) == ["28", "14"]


def test_a_network_without_layers_has_no_strip() -> None:
    assert charts.layer_strip([]) == ""


def test_names_cannot_break_out_of_the_markup() -> None:
    svg = charts.layer_strip([node('"><script>x</script>', "<b>\u202e")])
    ET.fromstring(svg)
    assert "<script" not in svg
    assert "\u202e" not in svg


def test_values_that_hardly_differ_have_a_histogram() -> None:
    values = np.full(20, 1000, np.float32)
    values[3] = np.nextafter(np.float32(1000), np.float32(2000))
    assert "<svg" in charts.activation_histogram(values, [("picture", 1000.0)])
