"""One pass over the sample images: statistics of every channel of every layer at once."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .imagetensors import to_tensor
from .network import Network
from .ranking import channel_statistics
from .records import LayerInfo, LayerStats, Readout

PASS_BATCH = 16
"""Images a batch; larger ones gain nothing on a CPU and cost memory where layers are wide."""


VOTES = 12
"""Channels kept per class: those that raise its score most."""


def summarise(activations: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 3) float64: spatial mean, spatial maximum, flat place of the maximum.

    NaN is the maximum of whatever holds one, so that it cannot hide.
    """
    flat = activations.flatten(2)
    peak, place = flat.max(2)
    return torch.stack([flat.double().mean(2), peak.double(), place.double()], 2)


@torch.no_grad()
def measure_layers(
    network: Network, layers: Sequence[LayerInfo], images: Iterable[NDArray[np.uint8]]
) -> Iterator[LayerStats]:
    """Run all images once and summarise every channel of every layer.

    Args:
        network: any precision; the sums are float64.
        layers: what to capture.
        images: (S, S, 3) uint8 RGB each, in the order of the sample set.

    Yields:
        The statistics of each layer, in the order of `layers`.
    """
    parts: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in layers}
    with network.tap({layer.name: summarise for layer in layers}) as run:
        for batch in batches(images, PASS_BATCH):
            for name, summary in run(to_tensor(batch).to(network.device)).items():
                parts[name].append(summary.cpu().numpy().astype(np.float32))
    for layer in layers:
        table = np.concatenate(parts.pop(layer.name))  # (N, C, 3)
        yield channel_statistics(
            layer,
            network.info.input_size,
            means=table[..., 0],
            peaks=table[..., 1],
            places=table[..., 2].astype(np.int32),
        )


def batches(images: Iterable[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    """Group images into lists of `size`, the last one shorter."""
    batch: list[NDArray[np.uint8]] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def read_readout(network: nn.Module, stats: LayerStats, classes: int) -> Readout | None:
    """What each channel adds to each class: weight of the last linear map × mean activation.

    Args:
        network: the model's own.
        stats: of the layer whose spatial means that map reads, C channels.
        classes: their number.

    Returns:
        None if no linear map of this shape is there.
    """
    shape = (classes, stats.channels)
    maps = [one for one in network.modules() if isinstance(one, nn.Linear)]
    weights = [one.weight.detach().cpu().numpy() for one in maps if one.weight.shape == shape]
    if not weights:
        return None
    table = weights[-1] * np.where(stats.finite, stats.mean, 0)  # (K, C)
    best = np.argsort(-table, axis=1, kind="stable")[:, :VOTES]
    return Readout(
        layer=stats.layer,
        channels=best.astype(np.int32),
        contributions=np.take_along_axis(table, best, 1).astype(np.float32),
    )
