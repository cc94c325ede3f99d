"""Ranking: statistics, dataset examples, neighbours and order, each against plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking.ranking import (
    best_images,
    channel_statistics,
    correlated_channels,
    patch_boxes,
    patches,
    rank_channels,
)
from atlas.ranking.sampling import Sampling
from atlas.records.statistics import EXAMPLES, NEIGHBOURS, LayerStats
from tests.helpers import layer_info


def table(seed: int, images: int, channels: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(images, channels)).astype(np.float32)


def stats_of(
    means: NDArray[np.float32],
    peaks: NDArray[np.float32] | None = None,
    places: NDArray[np.int32] | None = None,
) -> LayerStats:
    """Statistics of a layer of 4 × 4 maps in a network of 16 px."""
    return channel_statistics(
        layer_info("a", means.shape[1], 4),
        16,
        means,
        means if peaks is None else peaks,
        np.zeros(means.shape, np.int32) if places is None else places,
        np.abs(means) / 2,
    )


def ordered(score: list[float], rank: str = "mean") -> list[int]:
    means = np.array([score], np.float32)
    return rank_channels(stats_of(means), rank).tolist()


# --- order ---------------------------------------------------------------------------------------


def test_ranking_is_descending_and_ties_go_by_channel() -> None:
    assert ordered([1, 3, 2, 3, -1, 2]) == [1, 3, 2, 5, 0, 4]
    assert ordered([0.0, -0.0, 0.0]) == [0, 1, 2]


def test_channel_with_nan_or_infinity_never_ranks() -> None:
    nan, inf = float("nan"), float("inf")
    means = np.array([[1, nan, -9, inf, 2], [1, 5, -9, 0, 2]], np.float32)
    for rank in ("mean", "max", "contrast"):
        assert set(rank_channels(stats_of(means), rank).tolist()) == {0, 2, 4}
    peaks = means.copy()
    peaks[:, 4] = -inf
    clean = np.nan_to_num(means, nan=0, posinf=0)
    assert rank_channels(stats_of(clean, peaks), "mean").tolist() == [0, 2]


def test_each_rank_orders_by_its_own_statistic() -> None:
    means = np.zeros((200, 3), np.float32)
    means[:, 0] = 5 + 0.01 * np.arange(200)  # always on
    means[0, 1] = 50  # one image
    means[:10, 2] = 4  # five per cent of the images
    stats = stats_of(means)
    assert rank_channels(stats, "mean").tolist() == [0, 1, 2]
    assert rank_channels(stats, "max").tolist() == [1, 0, 2]
    contrast = (np.percentile(means, 99, axis=0) - means.mean(0)) / means.std(0)
    assert rank_channels(stats, "contrast").tolist() == np.argsort(-contrast).tolist() == [2, 0, 1]


# --- statistics ----------------------------------------------------------------------------------


def test_statistics_are_those_of_the_columns() -> None:
    means = table(0, 30, 5)
    peaks = means + 1
    stats = stats_of(means, peaks)
    for channel in range(5):
        values = [float(value) for value in means[:, channel]]
        mean = sum(values) / 30
        assert stats.mean[channel] == pytest.approx(mean, rel=1e-6)
        spread = (sum((value - mean) ** 2 for value in values) / 30) ** 0.5
        assert stats.std[channel] == pytest.approx(spread, rel=1e-6)
        assert stats.max[channel] == max(means[:, channel])
        low, high = sorted(values)[28:]  # position .99 · 29 = 28.71 of the sorted values
        assert stats.p99[channel] == pytest.approx(low + 0.71 * (high - low), rel=1e-5)
        assert stats.active[channel] == pytest.approx(np.mean(peaks[:, channel] > 0))
    np.testing.assert_allclose(
        stats.activations.astype(np.float32) * stats.scale, means, atol=2e-3 * abs(means).max()
    )
    assert max(abs(stats.activations).max(), stats.peaks.max(), stats.deviations.max()) == 1


def test_one_image_is_enough() -> None:
    stats = stats_of(np.array([[2.0, -1.0]], np.float32))
    assert stats.mean.tolist() == stats.max.tolist() == stats.p99.tolist() == [2, -1]
    assert stats.std.tolist() == [0, 0]
    assert (stats.neighbours == -1).all()


def test_channel_that_is_not_finite_leaves_the_others_unchanged() -> None:
    means = table(1, 20, 4)
    spoilt = means.copy()
    spoilt[3, 2] = np.nan
    whole, part = stats_of(means), stats_of(spoilt)
    kept = [0, 1, 3]
    for name in ("mean", "std", "max", "p99", "active", "example_image", "example_box"):
        np.testing.assert_array_equal(getattr(part, name)[kept], getattr(whole, name)[kept])
    assert part.finite.tolist() == [True, True, False, True]
    assert not np.isin(part.neighbours[kept], 2).any()
    assert (part.example_image[2] == -1).all()
    assert not part.example_activation[2].any()
    assert not part.example_box[2].any()
    for value in (part.mean, part.std, part.max, part.p99, part.activations, part.correlation):
        assert np.isfinite(value).all()


# --- dataset examples ----------------------------------------------------------------------------


def test_examples_are_the_best_images_and_ties_go_by_image() -> None:
    column = [1, 7, 3, 7, 0, 3, 9, 3, 3, 3, 3, 3]
    peaks = np.array(column, np.float32)[:, None]
    stats = stats_of(np.zeros_like(peaks), peaks)
    assert stats.example_image[0].tolist() == [6, 1, 3, 2, 5, 7, 8, 9, 10]
    assert stats.example_activation[0].tolist() == [9, 7, 7, 3, 3, 3, 3, 3, 3]


def test_channel_that_is_negative_everywhere_has_examples_too() -> None:
    peaks = -np.arange(1, 13, dtype=np.float32)[:, None]
    stats = stats_of(peaks)
    assert stats.example_image[0].tolist() == list(range(EXAMPLES))
    assert stats.example_activation[0, 0] == -1


def test_with_fewer_images_the_rest_is_marked_missing() -> None:
    peaks = np.array([[1.0], [4.0], [2.0]], np.float32)
    places = np.array([[0], [5], [15]], np.int32)
    stats = stats_of(peaks, peaks, places)
    assert stats.example_image[0].tolist() == [1, 2, 0] + [-1] * (EXAMPLES - 3)
    assert not stats.example_activation[0, 3:].any()
    assert not stats.example_box[0, 3:].any()


def test_box_is_centred_on_the_maximum() -> None:
    info = layer_info("a", 1, 8, receptive_field=32)
    # 8 × 8 map of a 128 px input: position (2, 5) has its centre at 2.5 · 16 = 40, 5.5 · 16 = 88
    box = patch_boxes(info, 128, np.array([2 * 8 + 5]))[0]
    assert box.tolist() == [40 - 16, 88 - 16, 40 + 16, 88 + 16]


def test_box_uses_the_height_and_the_width_of_the_map() -> None:
    info = replace(layer_info("a", 1, 4, receptive_field=32), width=8)
    box = patch_boxes(info, 128, np.array([1 * 8 + 5]))[0]
    assert box.tolist() == [48 - 16, 88 - 16, 48 + 16, 88 + 16]


def test_box_is_moved_inside_the_image() -> None:
    info = layer_info("a", 1, 8, receptive_field=32)
    corners = patch_boxes(info, 128, np.array([0, 7, 56, 63]))
    assert corners.tolist() == [
        [0, 0, 32, 32],
        [0, 96, 32, 128],
        [96, 0, 128, 32],
        [96, 96, 128, 128],
    ]


@pytest.mark.parametrize(
    ("field", "side"), [(1, 32), (32, 32), (50, 50), (112, 112), (500, 112), (0, 112)]
)
def test_side_of_a_box_is_the_receptive_field_within_limits(field: int, side: int) -> None:
    boxes = patch_boxes(layer_info("a", 1, 7, receptive_field=field), 224, np.arange(49))
    assert (boxes[:, 2:] - boxes[:, :2] == side).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 224


def test_examples_carry_the_box_of_their_own_image() -> None:
    peaks = np.array([[1, 5], [2, 4]], np.float32)
    places = np.array([[0, 3], [12, 15]], np.int32)
    info = layer_info("a", 2, 4, receptive_field=4)
    image = best_images(peaks, peaks, np.array([True, True]), np.arange(2))
    activation, box = patches(info, 16, peaks, places, image)
    assert image[:, :2].tolist() == [[1, 0], [0, 1]]
    assert activation[:, :2].tolist() == [[2, 1], [5, 4]]
    assert box[0, 0].tolist() == [12, 0, 16, 4], "place 12 is the lower left"
    assert box[1, 0].tolist() == [0, 12, 4, 16], "place 3 is the upper right"
    assert not activation[:, 2:].any()
    assert not box[:, 2:].any()


def test_a_file_gives_one_patch_however_many_crops_of_it_are_images() -> None:
    peaks = np.array([[9], [8], [7], [1], [2]], np.float32)
    files = np.array([0, 0, 0, 3, 3])  # five crops of two photographs
    image = best_images(peaks, peaks, np.array([True]), files)
    assert image[0].tolist() == [0, 4, *[-1] * 7]


def test_where_a_channel_saturates_the_mean_decides_and_then_the_image() -> None:
    peaks = np.array([[6], [6], [5], [6]], np.float32)
    means = np.array([[0.1], [0.3], [9], [0.3]], np.float32)
    image = best_images(means, peaks, np.array([True]), np.arange(4))
    assert image[0, :4].tolist() == [1, 3, 0, 2]


def test_peaks_are_kept_of_the_rows_and_statistics_are_over_all() -> None:
    means, peaks = table(5, 6, 3), table(6, 6, 3)
    places = np.random.default_rng(1).integers(0, 16, (6, 3), np.int32)
    rows = np.array([1, 4], np.int32)
    info = layer_info("a", 3, 4)
    stats = channel_statistics(info, 16, means, peaks, places, means, Sampling(np.arange(6), rows))
    np.testing.assert_allclose(stats.peaks_over_rows(2), peaks[rows, 2], rtol=1e-3)
    np.testing.assert_array_equal(stats.places, places[rows])
    assert stats.places.dtype == np.uint8
    assert stats.activations.shape == (6, 3)
    np.testing.assert_allclose(stats.mean, means.mean(0), rtol=1e-5)


# --- neighbours ----------------------------------------------------------------------------------


def test_neighbours_are_those_of_the_correlation_matrix() -> None:
    means = table(2, 25, 9)
    means[:, 4] = means[:, 1] * 3 + 7  # correlated perfectly
    neighbours, correlation = correlated_channels(means, np.ones(9, bool))
    expected = np.corrcoef(means.T.astype(np.float64))
    for channel in range(9):
        others = [c for c in np.argsort(-expected[channel]) if c != channel][:NEIGHBOURS]
        np.testing.assert_allclose(correlation[channel], expected[channel, others], atol=1e-6)
        assert neighbours[channel].tolist() == others
    assert neighbours[1, 0] == 4
    assert neighbours[4, 0] == 1


def test_constant_and_spoilt_channels_are_nobodys_neighbours() -> None:
    means = table(3, 10, 4)
    means[:, 0] = 0.1
    finite = np.array([True, True, False, True])
    neighbours, correlation = correlated_channels(means, finite)
    assert neighbours[1].tolist() == [3, -1, -1, -1, -1]
    assert neighbours[3].tolist() == [1, -1, -1, -1, -1]
    assert (neighbours[[0, 2]] == -1).all()
    assert not correlation[[0, 2]].any()
