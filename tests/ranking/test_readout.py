"""Which channels raise a class, and on which images."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from atlas.ranking.readout import read_readout
from tests.store_records import stats

ALWAYS, DOG, CAT = 0, 1, 2


def network(weights: list[list[float]]) -> nn.Module:
    linear = nn.Linear(len(weights[0]), len(weights), bias=False)
    linear.weight.data = torch.tensor(weights)
    return nn.Sequential(nn.Conv2d(3, 3, 1), linear)


def layer(name: str, activations: list[list[float]]):
    table = np.array(activations, np.float16)
    made = stats(name, channels=table.shape[1], images=len(table))
    return replace(
        made,
        activations=table,
        scale=np.ones(table.shape[1], np.float32),
        mean=table.mean(0).astype(np.float32),
        finite=np.ones(table.shape[1], bool),
    )


MEANS = layer("last", [[2, 6, 0], [2, 0, 8], [2, 0, 4]])
"""One channel is active on all images, one on the dog only, one on the two cats only."""

SCORES = layer("classes", [[9, 0, 0], [0, 9, 0], [0, 9, 0]])
WEIGHTS = [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]


def test_channels_are_counted_on_the_images_of_their_class() -> None:
    found = read_readout(network(WEIGHTS), MEANS, SCORES, "scores")
    assert found
    assert found.images.tolist() == [1, 2, 0]
    assert found.channels[:2, :2].tolist() == [[DOG, ALWAYS], [CAT, ALWAYS]]
    assert found.contributions[:2, :2].tolist() == [[6, 2], [6, 2]]


def test_a_class_without_images_is_counted_over_all_of_them() -> None:
    found = read_readout(network(WEIGHTS), MEANS, SCORES, "scores")
    assert found
    assert found.channels[2, 0] == DOG
    assert found.contributions[2, 0] == 2


def test_a_channel_that_is_not_finite_raises_nothing() -> None:
    broken = replace(MEANS, finite=np.array([True, False, True]))
    found = read_readout(network(WEIGHTS), broken, SCORES, "scores")
    assert found
    assert found.channels[0, 0] == ALWAYS


def test_a_network_whose_last_map_has_another_shape_has_no_readout() -> None:
    assert read_readout(network([[1.0, 2.0]]), MEANS, SCORES, "scores") is None
