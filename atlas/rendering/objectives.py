"""What a rendering maximises: one value per image of the batch, each for its own unit.

An objective is a function (channel means of the captured layers) → (N,) values. Values are
standardised by the unit's own mean and spread over the sample images, so that one learning rate
fits every layer of every model.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..records.statistics import LayerStats

Objective = Callable[[Mapping[str, Tensor]], Tensor]

COMPANIONS = 9
"""Best natural images whose mean standardised activations are a unit's natural company."""


def standardise(means: Tensor, stats: LayerStats) -> Tensor:
    """(N, C) channel means as distances from the natural mean in natural spreads."""
    mean, spread = natural_scale(stats)
    return (means.float() - mean.to(means.device)) / spread.to(means.device)


def natural_scale(stats: LayerStats) -> tuple[Tensor, Tensor]:
    """Mean and spread (C,) of every channel; a spread of zero counts as one."""
    spread = np.where(stats.std > 0, stats.std, 1.0).astype(np.float32)
    return torch.from_numpy(stats.mean), torch.from_numpy(spread)


def unit_objective(
    layer: str, channels: Sequence[int], stats: LayerStats, sign: int = 1
) -> Objective:
    """Maximise channel `channels[i]` in image i, in units of its natural spread.

    Args:
        sign: −1 to minimise it instead.
    """
    rows, columns = torch.arange(len(channels)), torch.tensor(channels)

    def value(means: Mapping[str, Tensor]) -> Tensor:
        return sign * standardise(means[layer], stats)[rows, columns]

    return value


def company_objective(
    layer: str, channels: Sequence[int], natural: Mapping[str, LayerStats], weight: float
) -> Objective:
    """Maximise a unit while the other channels keep the company they keep in nature.

    z_u + weight · mean over the layers of cos(z, t), with z the standardised channel means of a
    layer and t the mean of z over the unit's best natural images. `natural` holds the layer itself
    and those before it.
    """
    unit = unit_objective(layer, channels, natural[layer])
    company = {name: natural_company(natural[layer], channels, natural[name]) for name in natural}

    def value(means: Mapping[str, Tensor]) -> Tensor:
        agreement = []
        for name, stats in natural.items():
            direction = F.normalize(standardise(means[name], stats), dim=1)
            agreement.append((direction * company[name].to(direction.device)).sum(1))  # (N,)
        return unit(means) + weight * torch.stack(agreement).mean(0)

    return value


def natural_company(unit_stats: LayerStats, channels: Sequence[int], stats: LayerStats) -> Tensor:
    """(len(channels), C) unit vectors: mean standardised activations of `stats`' layer over the
    natural images on which each unit of `unit_stats`' layer is most active."""
    mean, spread = (value.numpy() for value in natural_scale(stats))
    rows = []
    for channel in channels:
        best = np.argsort(-unit_stats.over_images(channel), kind="stable")[:COMPANIONS]
        activations = stats.activations[best].astype(np.float32) * stats.scale
        rows.append(((activations - mean) / spread).mean(0))
    return F.normalize(torch.from_numpy(np.stack(rows).astype(np.float32)), dim=1)


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
    unit = unit_objective(layer, channels, stats)
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
