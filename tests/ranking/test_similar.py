"""Units that fire on the same images, against numpy's own correlations."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking import similar
from atlas.ranking.similar import neighbours_across, order_alike
from atlas.records.atlas import LayerAtlas
from atlas.records.statistics import LayerStats
from tests.synthetic import layer_info, layer_stats


def stats_of(name: str, activations: NDArray[np.floating]) -> LayerStats:
    """Statistics of a layer with these activations (N, C), all of them kept."""
    images, channels = activations.shape
    made = layer_stats(layer_info(name, "Conv2d", 0, 1, channels), 2)
    rows = np.arange(images, dtype=np.int32)
    return replace(made, activations=activations.astype(np.float16), rows=rows)


def layer_of(stats: LayerStats, chosen: tuple[int, ...] | None = None) -> LayerAtlas:
    info = layer_info(stats.layer, "Conv2d", 0, 1, stats.channels)
    channels = tuple(range(stats.channels))
    return LayerAtlas(
        info=info,
        stats=stats,
        natural=stats,
        ranking=np.array(channels, np.int32),
        chosen=channels if chosen is None else chosen,
        renderings=(),
    )


def random_layers(images: int = 40) -> list[LayerAtlas]:
    random = np.random.default_rng(0)
    widths = {"a": 5, "b": 7, "c": 4}
    return [
        layer_of(stats_of(name, random.normal(size=(images, width))))
        for name, width in widths.items()
    ]


@pytest.mark.parametrize("block", [2, 1024])
def test_neighbours_are_the_largest_correlations_of_numpy(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(similar, "BLOCK", block)
    layers = random_layers()
    names = [(one.info.name, channel) for one in layers for channel in range(one.stats.channels)]
    everything = np.concatenate([one.stats.activations for one in layers], 1).astype(np.float64)
    table = np.corrcoef(everything.T)
    found = neighbours_across(layers)
    assert [(unit.layer, unit.channel) for unit in found] == names
    for unit, others in found.items():
        row = table[names.index((unit.layer, unit.channel))]
        elsewhere = [at for at, name in enumerate(names) if name[0] != unit.layer]
        best = sorted(elsewhere, key=lambda at: -row[at])[:5]
        assert [(one.unit.layer, one.unit.channel) for one in others] == [names[at] for at in best]
        assert [one.correlation for one in others] == pytest.approx(row[best], abs=6e-5)


def test_only_chosen_units_have_neighbours_and_any_channel_may_be_one() -> None:
    first, second, _ = random_layers()
    found = neighbours_across([replace(first, chosen=(3,)), replace(second, chosen=())])
    ((unit, others),) = found.items()
    assert (unit.layer, unit.channel) == ("a", 3)
    assert {one.unit.layer for one in others} == {"b"}


def test_equal_correlations_go_by_layer_and_channel() -> None:
    column = np.arange(6.0)[:, None]
    layers = [layer_of(stats_of(name, np.repeat(column, 4, 1))) for name in "abc"]
    found = neighbours_across(layers)
    others = [(one.unit.layer, one.unit.channel) for one in found[next(iter(found))]]
    assert others == [("b", 0), ("b", 1), ("b", 2), ("b", 3), ("c", 0)]


def test_channels_that_never_vary_or_are_not_finite_are_nobodys_neighbours() -> None:
    values = np.random.default_rng(1).normal(size=(9, 3))
    values[:, 1] = 0.1
    odd = stats_of("a", values)
    odd = replace(odd, finite=np.array([True, True, False]))
    found = neighbours_across([layer_of(odd), random_layers(9)[1]])
    assert [len(others) for others in found.values()] == [5, 0, 0, *[1] * 7]
    assert {one.unit.channel for others in [*found.values()][3:] for one in others} == {0}


@pytest.mark.parametrize("images", [1, 2])
def test_two_images_say_nothing_about_likeness(images: int) -> None:
    assert set(neighbours_across(random_layers(images)).values()) == {()}


def test_one_layer_has_no_neighbours_in_others() -> None:
    assert set(neighbours_across(random_layers()[:1]).values()) == {()}


def test_the_rows_of_very_many_images_are_compared() -> None:
    values = np.random.default_rng(2).normal(size=(30, 4))
    few = replace(stats_of("a", values), rows=np.arange(5, 25, dtype=np.int32))
    other = replace(stats_of("b", values[:, :1]), rows=few.rows)
    found = neighbours_across([layer_of(few), layer_of(other)])
    table = np.corrcoef(values.astype(np.float16)[5:25].T.astype(float))
    got = [others[0].correlation for others in found.values()][:4]
    assert got == pytest.approx(table[:, 0], abs=6e-5)


# --- the order of a layer ------------------------------------------------------------------------


def planted(groups: int, members: int, seed: int) -> tuple[NDArray[np.floating], list[int]]:
    """Activations of groups whose members share a signal, shuffled; the group of each channel."""
    random = np.random.default_rng(seed)
    signals = random.normal(size=(80, groups))
    of = random.permutation(np.repeat(np.arange(groups), members)).tolist()
    return signals[:, of] + 0.5 * random.normal(size=(80, len(of))), of


@pytest.mark.parametrize(("groups", "members"), [(2, 2), (3, 5), (7, 6), (20, 3)])
def test_like_units_stand_together(groups: int, members: int) -> None:
    values, group_of = planted(groups, members, groups)
    order = order_alike(stats_of("a", values), range(len(group_of)))
    assert sorted(order) == list(range(len(group_of)))
    found = [group_of[channel] for channel in order]
    assert sum(a != b for a, b in pairwise(found)) == groups - 1


def test_only_the_chosen_channels_are_ordered_and_those_that_never_vary_come_last() -> None:
    values, _ = planted(2, 4, 0)
    values[:, 3] = 0
    order = order_alike(stats_of("a", values), (5, 3, 0, 7))
    assert sorted(order) == [0, 3, 5, 7]
    assert order[-1] == 3


def test_the_end_with_the_unit_of_the_better_rank_comes_first() -> None:
    line = np.linspace(0, 3, 6)  # neighbours on a line are alike
    wave = np.sin(np.arange(50)[:, None] / 9 + line)
    assert order_alike(stats_of("a", wave), [2, 0, 1, 5, 4, 3]) in (
        [0, 1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1, 0],
    )
    assert order_alike(stats_of("a", wave), [5, 4, 3, 2, 1, 0])[0] == 5
    assert order_alike(stats_of("a", wave), [0, 1, 2, 3, 4, 5])[0] == 0


@pytest.mark.parametrize("channels", [(), (1,), (1, 0)])
def test_few_units_have_an_order_too(channels: tuple[int, ...]) -> None:
    values, _ = planted(2, 2, 1)
    assert sorted(order_alike(stats_of("a", values), channels)) == sorted(channels)


def test_units_of_one_image_keep_their_order() -> None:
    assert order_alike(stats_of("a", np.ones((1, 4))), (2, 0, 3)) == [2, 0, 3]
