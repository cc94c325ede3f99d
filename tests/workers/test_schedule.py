"""Blocks and shards: how the work of a run is cut up."""

import pickle
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from atlas.rendering.recipes import RECIPES
from atlas.workers.schedule import (
    BLOCK_UNITS,
    UnitBlock,
    group_blocks,
    merge_blocks,
    plan_blocks,
    shard_blocks,
)
from tests.helpers import layer_info


def cut(
    chosen: Sequence[int], finished: Sequence[int], ours: set[tuple[str, int]] | None = None
) -> list[UnitBlock]:
    return list(plan_blocks(RECIPES["octaves"], layer_info("a", 200, 16), chosen, finished, ours))


def blocks(chosen: Sequence[int], finished: Sequence[int] = ()) -> list[tuple[int, int, int]]:
    return [(one.first, one.last, len(one.channels)) for one in cut(chosen, finished)]


def test_borders_of_blocks_are_multiples_of_their_size() -> None:
    assert BLOCK_UNITS == 32
    assert blocks(range(70)) == [(0, 31, 32), (32, 63, 32), (64, 69, 6)]
    assert blocks([]) == []


def test_blocks_leave_out_what_is_finished_and_keep_their_borders() -> None:
    chosen = list(range(100, 170))
    finished = [*chosen[:32], chosen[33], chosen[63]]
    assert blocks(chosen, finished) == [(32, 62, 30), (64, 69, 6)]
    (first, _) = cut(chosen, finished)
    assert first.channels == (132, *range(134, 163))
    assert first.layer.name == "a"
    assert blocks(chosen, chosen) == []


def test_channels_come_in_order_of_rank() -> None:
    (block,) = cut([7, 3, 9], [3])
    assert (block.first, block.last, block.channels) == (0, 2, (7, 9))


def test_more_units_later_leave_earlier_blocks_as_they_are() -> None:
    assert blocks(range(40), range(10)) == [(10, 31, 22), (32, 39, 8)]


CHOSEN = {"early": range(70), "late": range(100), "classes": range(10)}
COSTS = {"early": 1.0, "late": 3.0, "classes": 4.0}


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 20])
def test_every_block_is_in_exactly_one_shard(shards: int) -> None:
    parts = [shard_blocks(CHOSEN, COSTS, (number, shards)) for number in range(1, shards + 1)]
    assert sorted(place for part in parts for place in part) == [
        *(("classes", 0), ("early", 0), ("early", 32), ("early", 64)),
        *(("late", 0), ("late", 32), ("late", 64), ("late", 96)),
    ]


def test_shards_have_equally_much_to_do() -> None:
    # 96, 96, 96 of late; 40 of classes; 32, 32 of early; 12 of late; 6 of early: 410 in all
    one, two = (shard_blocks(CHOSEN, COSTS, (number, 2)) for number in (1, 2))
    assert one == {("late", 0), ("late", 64), ("late", 96)}  # 96 + 96 + 12 = 204
    assert two == shard_blocks(CHOSEN, COSTS, (1, 1)) - one  # 206


def test_a_finished_block_moves_no_other_to_another_shard() -> None:
    ours = shard_blocks({"a": range(96)}, {"a": 1.0}, (2, 2))
    assert ours == {("a", 32)}
    firsts = [
        [block.first for block in cut(range(96), finished, ours)]
        for finished in ([], range(40), range(96))
    ]
    assert firsts == [[32], [40], []]


def test_a_block_survives_being_sent() -> None:
    block = UnitBlock(
        recipe=RECIPES["octaves"],
        layer=layer_info("relu1", 4, 16),
        first=0,
        last=1,
        channels=(3, 1),
        examples={3: b"three", 1: b"one"},
        earlier={3: [np.zeros((16, 16, 3), np.uint8)]},
    )
    got = pickle.loads(pickle.dumps(block))
    assert (got.recipe, got.layer, got.channels) == (block.recipe, block.layer, block.channels)
    assert got.examples == block.examples
    assert got.earlier.keys() == {3}
    assert [str(unit) for unit in got.units] == ["relu1:3", "relu1:1"]


# --- groups --------------------------------------------------------------------------------------


def test_neighbouring_blocks_of_a_layer_and_recipe_make_a_group() -> None:
    octaves, company = RECIPES["octaves"], RECIPES["company"]
    a, b = layer_info("a", 200, 16), layer_info("b", 200, 16)
    todo = [
        block
        for recipe, layer, units in ((octaves, a, 100), (octaves, b, 40), (company, b, 10))
        for block in plan_blocks(recipe, layer, range(units), [])
    ]
    groups = list(group_blocks(todo, 64))
    assert [[len(block.channels) for block in group.blocks] for group in groups] == [
        [32, 32],
        [32, 4],
        [32, 8],
        [10],
    ]
    assert [block for group in groups for block in group.blocks] == todo
    assert all(len(group.blocks) == 1 for group in group_blocks(todo, 1))


def test_blocks_are_made_only_when_a_group_is_asked_for() -> None:
    made = []
    layer = layer_info("a", 200, 16)
    blocks_ = plan_blocks(RECIPES["octaves"], layer, range(200), [])
    groups = group_blocks((made.append(one) or one for one in blocks_), 64)  # type: ignore
    assert not made
    next(groups)
    assert len(made) <= 3


def test_the_units_of_a_group_are_those_of_its_blocks_in_order() -> None:
    one, other = cut(range(64), [])
    merged = merge_blocks(
        [replace(one, examples={3: b"3"}), replace(other, examples={40: b"40"}, earlier={41: []})]
    )
    assert merged.channels == tuple(range(64))
    assert (merged.first, merged.last) == (0, 63)
    assert merged.examples == {3: b"3", 40: b"40"}
    assert merged.earlier == {41: []}
