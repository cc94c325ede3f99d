"""Activations: one pass equals a plain forward pass in float64."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atlas.images.tensors import batches
from atlas.ranking import activations
from atlas.ranking.activations import measure_layers, summarise
from atlas.records.statistics import LayerStats
from tests.helpers import layer_info, natural_stats, network_of, smooth_images, tiny_network

LAYERS = [layer_info("relu1", 4, 16), layer_info("relu2", 3, 8)]


def measured(count: int = 20, order: list[int] | None = None) -> list[LayerStats]:
    images = smooth_images(count)
    network = network_of(tiny_network(), ["relu1", "relu2"], mean=(0.4, 0.5, 0.6))
    return list(measure_layers(network, LAYERS, [images[i] for i in order or range(count)]))


def direct(count: int) -> dict[str, Tensor]:
    """The maps of both layers in float64, image by image, in the plain network."""
    plain = tiny_network().double()
    maps: dict[str, list[Tensor]] = {"relu1": [], "relu2": []}
    for image in smooth_images(count):
        x = torch.from_numpy(image / 255.0).permute(2, 0, 1)[None]
        x = x - torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64).view(3, 1, 1)
        for name, module in plain.named_children():
            x = module(x)
            if name in maps:
                maps[name].append(x)
    return {name: torch.cat(values) for name, values in maps.items()}


def test_statistics_equal_a_plain_pass_in_float64() -> None:
    expected = direct(20)
    for stats in measured(20):
        maps = expected[stats.layer]
        means = maps.mean((2, 3)).numpy()
        near = {"rtol": 1e-4, "atol": 1e-6}
        np.testing.assert_allclose(stats.mean, means.mean(0), **near)
        np.testing.assert_allclose(stats.std, means.std(0), **near)
        np.testing.assert_allclose(stats.max, means.max(0), **near)
        peaks = maps.flatten(2).max(2)
        for channel in range(2):  # channel 2 of relu2 is silent, all its images tie
            best = np.argsort(-peaks.values[:, channel].numpy(), kind="stable")[:9]
            assert stats.example_image[channel].tolist() == best.tolist()
            np.testing.assert_allclose(
                stats.example_activation[channel], peaks.values[best, channel], **near
            )
        places = torch.from_numpy(stats.places.astype(np.int64))[..., None]
        there = maps.flatten(2).gather(2, places)[..., 0]  # of two equal maxima either will do
        np.testing.assert_allclose(there, peaks.values, **near)
        for channel in range(3):
            kept = stats.peaks_over_rows(channel)
            np.testing.assert_allclose(kept, peaks.values[:, channel], rtol=2e-3, atol=1e-6)


def test_layers_come_in_the_order_asked_for() -> None:
    network = network_of(tiny_network(), ["relu1", "relu2"])
    stats = measure_layers(network, LAYERS[::-1], smooth_images(3))
    assert [one.layer for one in stats] == ["relu2", "relu1"]


def test_channel_that_is_never_active_is_silent_in_every_statistic() -> None:
    stats = measured()[1]
    assert stats.active[2] == stats.mean[2] == stats.max[2] == stats.std[2] == 0
    assert stats.finite.all()


def test_order_of_the_images_changes_indices_only() -> None:
    order = np.random.default_rng(0).permutation(20).tolist()
    for plain, mixed in zip(measured(), measured(order=order), strict=True):
        np.testing.assert_allclose(mixed.mean, plain.mean, rtol=1e-6)
        np.testing.assert_allclose(mixed.std, plain.std, rtol=1e-5)
        assert np.array_equal(mixed.max, plain.max)
        assert np.array_equal(mixed.activations, plain.activations[order])
        renamed = np.array(order)[mixed.example_image[:2]]
        np.testing.assert_array_equal(renamed, plain.example_image[:2])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batch_size_does_not_matter(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = measured()
    monkeypatch.setattr(activations, "PASS_BATCH", size)
    for one, other in zip(expected, measured(), strict=True):
        for name in ("mean", "std", "max", "p99", "activations", "example_activation"):
            np.testing.assert_allclose(
                getattr(other, name).astype(float), getattr(one, name).astype(float), atol=1e-6
            )
        assert np.array_equal(other.example_image, one.example_image)
        assert np.array_equal(other.example_box, one.example_box)


def test_nan_in_one_channel_leaves_the_others_right() -> None:
    class Spoil(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            spoilt = maps.clone()
            spoilt[:, 1, 0, 0] = torch.where(spoilt[:, 1, 0, 0] > 0.1, torch.nan, 0.0)
            return spoilt

    children = OrderedDict(tiny_network().named_children())
    broken = nn.Sequential(OrderedDict(relu1=nn.Sequential(*children.values())[:2], spoil=Spoil()))
    network = network_of(broken, ["spoil"])
    clean = network_of(tiny_network(), ["relu1"])
    images = smooth_images(20, seed=2)
    got = natural_stats(network, layer_info("spoil", 4, 16), images)
    wanted = natural_stats(clean, layer_info("relu1", 4, 16), images)
    assert got.finite.tolist() == [True, False, True, True]
    for channel in (0, 2, 3):
        assert got.mean[channel] == wanted.mean[channel]
        assert np.array_equal(got.example_image[channel], wanted.example_image[channel])


def test_summary_is_mean_maximum_its_place_and_deviation() -> None:
    maps = torch.tensor([[[[1.0, 4.0], [3.0, 0.0]], [[-1.0, -5.0], [-1.0, -5.0]]]])
    assert summarise(maps).tolist() == [[[2.0, 4.0, 1.0, 2.5**0.5], [-3.0, -1.0, 0.0, 2.0]]]
    assert summarise(torch.ones(1, 1, 1, 1)).tolist() == [[[1.0, 1.0, 0.0, 0.0]]]
    maps[0, 0, 1, 1] = torch.nan
    assert summarise(maps)[0, 0, :2].isnan().all(), "NaN cannot hide behind a maximum"


def test_images_are_grouped_in_order_with_a_shorter_rest() -> None:
    images = [np.full((1, 1, 3), i, np.uint8) for i in range(5)]
    groups = [[int(image[0, 0, 0]) for image in batch] for batch in batches(images, 2)]
    assert groups == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
