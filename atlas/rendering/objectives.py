"""Objectives that a rendering maximises: one value per image of the batch, each for its own unit.

An objective is a function (channel means of the captured layers) → (N,) values. Values are
standardised by the unit's own mean and spread over the sample images, so that one learning rate
fits every layer of every model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..images.tensors import CPU
from ..records.maps import Directions
from ..records.statistics import LayerStats
from .pixels import places_of

Objective = Callable[[Mapping[str, Tensor]], Tensor]


def standardise(means: Tensor, stats: LayerStats) -> Tensor:
    """(…, C) channel means as distances from the natural mean in natural spreads."""
    return natural_scale(stats, means.device).standardise(means.float())


def unit_objective(
    layer: str,
    channels: Sequence[int],
    stats: LayerStats,
    sign: int = 1,
    device: torch.device = CPU,
) -> Objective:
    """Maximise channel `channels[i]` in image i, in units of its natural spread.

    Args:
        sign: −1 to minimise it instead.
        device: of the activations.
    """
    scale, places = natural_scale(stats, device), places_of(channels, device)

    def value(means: Mapping[str, Tensor]) -> Tensor:
        return sign * scale.standardise(means[layer].float())[places]

    return value


def company_objective(
    layer: str,
    channels: Sequence[int],
    natural: Mapping[str, LayerStats],
    training: NDArray[np.bool_],
    weight: float,
    device: torch.device = CPU,
    apart: str = "",
    aside: Mapping[int, NDArray[np.bool_]] = MappingProxyType({}),
) -> Objective:
    """Maximise a unit together with everything that goes with it in nature.

    z_u + weight · mean over the layers, and over their spatial means and deviations, of cos(S, t):
    S are the standardised statistics of a layer on the picture, t how they correlate with the unit
    over the natural images. Reads (N, C, 2) of every layer, see `mean_and_deviation`.

    Args:
        layer: of the units.
        channels: one an image.
        natural: statistics of the layer and of those before it that count.
        training: (N,) which of the natural images may be used; the others judge the picture.
        weight: of the company.
        device: of the activations.
        apart: a layer whose channels keep the unit no company: a dictionary repeats its layer.
        aside: channel → (T,) which of the images that may be used count as if they did not excite
            the unit more than the average one does.
    """
    seen = {name: statistics_of(stats, training).to(device) for name, stats in natural.items()}
    scales = {name: scale_of(statistics) for name, statistics in seen.items()}
    distances = {name: scales[name].standardise(seen[name]) for name in seen}
    rows, columns = places_of(channels, device)
    answers = distances[layer][:, columns, 0]
    if aside:
        others = torch.from_numpy(np.stack([aside[one] for one in channels], 1)).to(device)
        answers = torch.where(others, answers.clamp(max=0), answers)
    targets = {name: company_of(answers, distances[name]) for name in distances}

    def value(statistics: Mapping[str, Tensor]) -> Tensor:
        agreement = []
        for name, scale in scales.items():
            distance = scale.standardise(statistics[name])
            if name != apart:
                direction = F.normalize(distance, dim=1)
                agreement.append((direction * targets[name]).sum(1))  # (N, 2)
            if name == layer:
                unit = distance[rows, columns, 0]
        return unit + weight * torch.stack(agreement).mean((0, 2))

    return value


def mean_and_deviation(activations: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 2) float32: spatial mean and standard deviation.

    The deviation of a map of one position, or of a flat one, is 0 and has the gradient 0.
    """
    both: Tensor = _MeanAndDeviation.apply(activations)
    return both


class _MeanAndDeviation(torch.autograd.Function):
    """Reads the maps once on the way there and once on the way back, and keeps no copy of them.

    By single operations a layer keeps its maps in float32, and its gradient is put together from
    several tensors of that size, which takes twice as long (docs/rendering.md).
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        variance, mean = torch.var_mean(maps.float(), (2, 3), correction=0)
        deviation = variance.sqrt()
        ctx.save_for_backward(maps, mean, deviation)
        return torch.stack([mean, deviation], 2)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        maps, mean, deviation = ctx.saved_tensors
        by_mean, by_deviation = slopes[0].unbind(2)
        flat = deviation <= 0
        steep = torch.where(flat, 0.0, by_deviation / torch.where(flat, 1.0, deviation))
        level, positions = by_mean - steep * mean, maps[0, 0].numel()
        steep, level = ((one / positions)[..., None, None] for one in (steep, level))
        return torch.addcmul(level, maps.float(), steep).to(maps.dtype)


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and spread of a layer's statistics over images, (C,) or (C, 2); a spread of 0 is 1."""

    mean: Tensor
    spread: Tensor

    def standardise(self, statistics: Tensor) -> Tensor:
        """Statistics (N, …), on the same device, as distances from the mean in spreads."""
        return (statistics - self.mean) / self.spread


def natural_scale(stats: LayerStats, device: torch.device) -> Scale:
    """The scale (C,) of every channel's means over the natural images."""
    spread = np.where(stats.std > 0, stats.std, 1.0).astype(np.float32)
    return Scale(torch.from_numpy(stats.mean).to(device), torch.from_numpy(spread).to(device))


def statistics_of(stats: LayerStats, chosen: NDArray[np.bool_]) -> Tensor:
    """(N, C, 2): mean and deviation of every channel on the chosen natural images."""
    both = np.stack([stats.activations[chosen], stats.deviations[chosen]], 2).astype(np.float32)
    return torch.from_numpy(both * np.where(stats.finite, stats.scale, 0)[:, None])


def scale_of(statistics: Tensor) -> Scale:
    """The scale of a layer's statistics (N, C, 2) over images."""
    spread = statistics.std(0, correction=0)
    return Scale(statistics.mean(0), torch.where(spread > 0, spread, 1.0))


def company_of(answers: Tensor, statistics: Tensor) -> Tensor:
    """(U, C, 2) of length 1 over the channels: how statistics go with units over the images.

    Args:
        answers: (N, U) standardised activations of the units.
        statistics: (N, C, 2) standardised statistics of a layer.
    """
    flat = statistics.flatten(1)
    sums = [answers[:, unit] @ flat for unit in range(answers.shape[1])]  # alone as in a crowd
    return F.normalize(torch.stack(sums).reshape(-1, *statistics.shape[1:]), dim=1)


def facet_objective(
    layer: str,
    channels: Sequence[int],
    stats: LayerStats,
    others: Sequence[Tensor],
    weight: float,
) -> Objective:
    """Maximise a unit by an image unlike those that already show it.

    z_u − weight · mean over the other images of cos(G, G'), with G the Gram matrix of the layer's
    activations. Reads the whole activations of the layer, not their means.

    Args:
        others: (N, C, C) Gram matrices of an earlier image of each unit.
        weight: of the likeness.

    Source: Olah et al. 2017, Feature Visualization, appendix (diversity term).
    """
    unit = unit_objective(layer, channels, stats, device=others[0].device)
    known = [F.normalize(other.flatten(1), dim=1) for other in others]

    def value(activations: Mapping[str, Tensor]) -> Tensor:
        maps = activations[layer].float()
        gram = F.normalize(gram_matrix(maps).flatten(1), dim=1)
        likeness = torch.stack([(gram * other).sum(1) for other in known]).mean(0)
        return unit({layer: maps.mean((2, 3))}) - weight * likeness

    return value


def gram_matrix(activations: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, C): mean product of every two channels over the positions."""
    flat = activations.float().flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


LEAST_COSINE = 0.1
COSINE_POWER = 4
"""So that directions that are far off still have a gradient; and how much the angle counts."""


def direction_objective(
    layer: str, cells: Sequence[int], directions: Directions, device: torch.device = CPU
) -> Objective:
    """Maximise a direction of a layer in each image, and nothing beside it: a · d · cos(a, d)^4.

    a are the spatial means of all channels, standardised over positions.

    Args:
        layer: which.
        cells: one an image.
        directions: of the cells.
        device: of the activations.

    Source: Carter et al. 2019, Activation Atlas (dot product and a power of the cosine).
    """
    rows = torch.from_numpy(np.stack([directions.rows[cell] for cell in cells])).to(device)
    mean, spread = (
        torch.from_numpy(one).to(device) for one in (directions.mean, directions.spread)
    )
    scale = Scale(mean, spread)

    def value(means: Mapping[str, Tensor]) -> Tensor:
        along = scale.standardise(means[layer].float())
        product = (along * rows).sum(1)
        cosine = product / along.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        found: Tensor = product * cosine.clamp(min=LEAST_COSINE) ** COSINE_POWER
        return found

    return value
