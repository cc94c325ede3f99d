"""What pages say of a direction, and of a dictionary."""

from dataclasses import replace

import numpy as np

from atlas.gallery.data.directions import dictionary_data, direction_data
from atlas.gallery.data.encode import plain
from atlas.gallery.direction_sentences import (
    among_sentence,
    explained_sentence,
    method_sentence,
    share_sentence,
)
from atlas.gallery.direction_views import LISTED, DirectionView, direction_view
from atlas.gallery.pages.directions import error_curve
from atlas.records.dictionary import Dictionary
from atlas.records.evidence import LayerEvidence
from tests.store_records import dictionary


def known(**changes: object) -> Dictionary:
    return replace(dictionary(), explained=0.4, shuffled=0.1, **changes)  # type: ignore[arg-type]


def direction(rows: list[list[float]], channel: int = 0) -> DirectionView:
    found = known()
    code = replace(found.code, decoder=np.array(rows, np.float32))
    view = direction_view(replace(found, code=code), channel, lambda layer, channel: None)
    assert view is not None
    return view


def test_a_direction_lists_its_largest_channels_at_length_one() -> None:
    view = direction([[3, 0, -4, 0]])
    assert [(one.channel, one.weight) for one in view.parts] == [(2, -0.8), (0, 0.6)]
    assert view.covered == 1


def test_a_direction_of_many_channels_says_how_much_is_listed() -> None:
    view = direction([[1.0] * 16])
    assert len(view.parts) == LISTED
    assert view.covered == LISTED / 16


def test_a_channel_has_no_direction() -> None:
    assert direction_view(None, 0, lambda layer, channel: None) is None
    assert direction_data(None) is None
    assert dictionary_data(None) is None


def plainly(sentence: str) -> str:
    """A sentence with ordinary blanks."""
    return sentence.replace("\xa0", " ")


def test_sentences_say_what_is_explained_and_left_out() -> None:
    found = known()
    said = plainly(explained_sentence(found))
    assert "explain 40.0 % of the layer’s variance and leave out 60.0 %" in said
    assert "shuffled by itself, they explain 10.0 %" in said
    view = replace(direction([[1, 0, 0, 0]]), share=0.05, explained=0.4)
    assert "5.0 % of the layer’s variance less" in plainly(share_sentence(view))
    assert "found in 5 sample images" in plainly(method_sentence(found))
    assert "no part in them" not in method_sentence(replace(found, fitted=0))
    assert "does not vary" in explained_sentence(replace(found, explained=float("nan")))


def test_place_among_channels_is_said_where_it_is_known() -> None:
    evidence = LayerEvidence(
        observer="seer",
        judges=70,
        live=4,
        pictures={},
        photographs={},
        swapped={},
        among={"octaves": {1: 2}},
        rivals=3,
    )
    said = plainly(among_sentence(evidence, "octaves", 1))
    assert said.startswith("Among 3 channels drawn from its layer")
    assert said.endswith("2nd of 4.")
    assert among_sentence(evidence, "octaves", 0) == ""
    assert among_sentence(None, "octaves", 1) == ""


def test_curve_of_errors_needs_two_sizes() -> None:
    two = known(sizes=np.array([4, 8], np.int32), errors=np.array([0.9, 0.6], np.float32))
    chart = error_curve(two)
    assert chart.startswith("<svg")
    assert "0.9" in chart or "90" in chart
    assert error_curve(known(sizes=two.sizes[:1], errors=two.errors[:1])) == ""


def test_data_are_those_of_the_records() -> None:
    data = plain(dictionary_data(known()))
    assert (data["parent"], data["method"], data["directions"]) == ("conv", "pca", 2)
    assert data["explained"] == 0.4
    assert len(data["shares"]) == 2
    parts = plain(direction_data(direction([[3, 0, -4, 0]])))["parts"]
    assert list(parts) == [{"channel": 2, "weight": -0.8}, {"channel": 0, "weight": 0.6}]
