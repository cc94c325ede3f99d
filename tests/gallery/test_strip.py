"""The network as a strip: lanes, lines, arcs."""

import re
import xml.etree.ElementTree as ET

from atlas.gallery import strip


def node(name: str, kind: str = "Conv2d", height: int = 14) -> strip.Node:
    return strip.Node(
        name=name,
        type=kind,
        height=height,
        width=height,
        channels=8,
        href=f"{name}/index.html",
        picture="a/img/1.t.jpg",
        patch="a/img/1.p1.jpg",
    )


GOOGLENET = [
    *("conv1", "inception3a.branch1", "inception3a.branch2.0", "inception3a.branch2.1"),
    *("inception3a.branch3.0", "inception3a", "inception3b"),
]


def test_branches_of_one_block_stand_in_lanes_of_their_own() -> None:
    places = strip.arrange([node(name) for name in GOOGLENET])
    assert [(place.column, place.lane, place.lanes) for place in places] == [
        *((0, 0, 1), (1, 0, 3), (1, 1, 3), (2, 1, 3), (1, 2, 3), (3, 0, 1), (4, 0, 1)),
    ]


def test_a_block_is_fed_by_what_comes_before_and_feeds_what_comes_after() -> None:
    places = strip.arrange([node(name) for name in GOOGLENET])
    pairs = {(a.node.name, b.node.name) for a, b in strip.connections(places)}
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
    places = strip.arrange([node(name) for name in names])
    pairs = {(a.node.name, b.node.name) for a, b in strip.connections(places)}
    assert pairs == {(a, b) for a in names[:2] for b in names[2:]}


def test_residual_stages_have_an_arc() -> None:
    svg = strip.layer_strip([node("a", "BasicBlock"), node("b")])
    assert svg.count('class="skip"') == 1


def test_a_new_resolution_is_announced_once() -> None:
    svg = strip.layer_strip([node("a", height=28), node("b", height=28), node("c", height=14)])
    assert re.findall(r">(\d+)²<", svg) == ["28", "14"]


def test_a_network_without_layers_has_no_strip() -> None:
    assert strip.layer_strip([]) == ""


def test_names_cannot_break_out_of_the_markup() -> None:
    svg = strip.layer_strip([node('"><script>x</script>', "<b>\u202e")])
    ET.fromstring(svg)
    assert "<script" not in svg
    assert "\u202e" not in svg
