"""The index of a key folder: what it answers, and that more layers make no answer slower."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from atlas.cache.audit import CacheBlock, Kind
from atlas.cache.index import Index
from atlas.records.units import Unit

MARK = "f" * 64


def block(kind: Kind, layer: str, first: int = 0, name: str = "", mark: str = MARK) -> CacheBlock:
    """A block of two channels; its file has the name of its first rank unless one is given."""
    return CacheBlock(
        path=Path(kind, layer, name or f"{first}-{first + 1}.h5"),
        kind=kind,
        layer=layer,
        fingerprint=mark,
        first=first,
        last=first + 1,
        channels=(first, first + 1),
    )


def filled(layers: int) -> Index:
    """Sample images, and a ranking and two blocks of renderings for each of so many layers."""
    index = Index([block("images", "", first) for first in (0, 2, 4)])
    for number in range(layers):
        index.add(block("ranking", f"layer{number}"))
        for first in (0, 2):
            index.add(block("renderings", f"layer{number}", first))
    return index


def count_calls(ask: Callable[[], object]) -> int:
    """How many functions are called while something is asked."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        ask()
    finally:
        sys.setprofile(None)
    return calls


QUESTIONS: dict[str, Callable[[Index], object]] = {
    "square": lambda index: index.find("images", lambda one: one.first <= 3 <= one.last),
    "ranking": lambda index: index.last_of("ranking", "layer1"),
    "place": lambda index: index.outdated(block("ranking", "layer1", name="new.h5")),
    "merge": lambda index: index.holds(block("renderings", "layer1", 2)),
    "layer": lambda index: index.of_layer("renderings", "layer1"),
    "new": lambda index: index.add(block("renderings", "layer1", 4)),
    "gone": lambda index: index.forget(block("renderings", "layer1", 2)),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_takes_no_longer_where_there_are_more_layers(name: str) -> None:
    few, many = (filled(layers) for layers in (4, 60))
    ask = QUESTIONS[name]
    assert count_calls(lambda: ask(few)) == count_calls(lambda: ask(many))


def test_blocks_come_by_name_however_they_were_added() -> None:
    late, early = block("masks", "b", name="2.h5"), block("masks", "b", name="1.h5")
    between = block("masks", "a", name="15.h5")
    index = Index([late, between, early])
    assert index.select("masks") == [early, between, late]
    assert index.of_layer("masks", "b") == [early, late]
    assert index.last_of("masks", "b") == late
    assert index.find("masks") == late
    assert index.select("masks", "0" * 64) == []
    assert index.last_of("masks", "c") is None


def test_a_block_that_is_added_again_counts_once() -> None:
    one = block("renderings", "a")
    index = Index([one, one])
    assert index.select("renderings") == [one]
    assert index.units == {
        (MARK, Unit(layer="a", channel=channel)): (one.path, row)
        for row, channel in ((0, 0), (1, 1))
    }


def test_what_is_forgotten_answers_no_more_and_the_rest_does() -> None:
    gone, kept = block("renderings", "a"), block("renderings", "a", 2)
    index = Index([gone, kept])
    index.forget(gone)
    assert [*index.blocks] == [kept.path]
    assert index.select("renderings") == [kept]
    assert {unit.channel for _, unit in index.units} == {2, 3}
    assert not index.holds(gone)
    assert index.holds(kept)


def test_forgetting_one_of_two_blocks_leaves_the_units_of_the_other() -> None:
    lesser, greater = (block("renderings", "a", name=name) for name in ("1.h5", "2.h5"))
    index = Index([greater, lesser])
    index.forget(lesser)
    assert {path for path, _ in index.units.values()} == {greater.path}


def test_all_channels_have_to_be_held_under_the_same_fingerprint() -> None:
    index = Index([block("masks", "a"), block("masks", "a", 2, mark="0" * 64)])
    assert not index.holds(block("masks", "a", 1))
    index.add(block("masks", "a", 2))
    assert index.holds(block("masks", "a", 1))
    assert not index.holds(block("masks", "b", 0))


def test_squares_are_held_by_one_block_of_all_of_them() -> None:
    index = Index([block("images", "", 0), block("images", "", 2)])
    assert index.holds(block("images", "", 2))
    assert not index.holds(block("images", "", 1))
