"""The channels that raise a class: weight × mean activation over the images of that class."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..records.network import Outputs
from ..records.statistics import LayerStats, Readout
from .classes import LEAST_EVIDENCE, class_probabilities

VOTES = 12
"""Channels kept per class: those that raise its score most."""


def read_readout(
    network: nn.Module, stats: LayerStats, scores: LayerStats, outputs: Outputs
) -> Readout | None:
    """Return the channels that raise each class most on the images of that class.

    The images of a class are those that the network gives it with some probability; the channels
    that are active on all images alike do not come first there, as on an average image they do.

    Args:
        network: the model's own.
        stats: of the layer whose spatial means its last linear map reads, C channels.
        scores: statistics of the layer of class scores, K channels.
        outputs: what the network puts out.

    Returns:
        None if no linear map of this shape is there.
    """
    weights = last_map(network, (scores.channels, stats.channels))
    if weights is None:
        return None
    means, images = means_of_classes(stats, class_probabilities(scores, outputs))
    table = weights * np.where(stats.finite, means, 0)  # (K, C)
    best = np.argsort(-table, axis=1, kind="stable")[:, :VOTES]
    return Readout(
        layer=stats.layer,
        channels=best.astype(np.int32),
        contributions=np.take_along_axis(table, best, 1).astype(np.float32),
        images=images,
    )


def last_map(network: nn.Module, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """The weights (K, C) of the last linear map of this shape; None where there is none."""
    maps = [one for one in network.modules() if isinstance(one, nn.Linear)]
    found = [one.weight for one in maps if one.weight.shape == shape]
    return found[-1].detach().to("cpu", torch.float32).numpy() if found else None


def means_of_classes(
    stats: LayerStats, probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the mean activations on the images of each class, and how many these are.

    Args:
        stats: C channels over N images.
        probabilities: (N, K) of each class on each image.

    Returns:
        (K, C); where a class has no image, the means over all images. And (K,).
    """
    own = (probabilities >= LEAST_EVIDENCE).T.astype(np.float64)  # (K, N)
    images = own.sum(1)
    activations = stats.activations.astype(np.float64) * stats.scale  # (N, C)
    sums = own @ np.where(np.isfinite(activations), activations, 0)  # (K, C)
    means = np.where(images[:, None] > 0, sums / np.maximum(images, 1)[:, None], stats.mean)
    return means, images.astype(np.int32)
