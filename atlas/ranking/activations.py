"""One pass over the sample images: statistics of every channel of every layer at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import AtlasError, InputError, one_line
from ..images.tensors import batches, to_tensor
from ..network.network import Network, Run
from ..records.network import LayerInfo
from ..records.statistics import LayerStats
from ..shapes import Picture
from .ranking import channel_statistics
from .sampling import Sampling, each_by_itself

PASS_BATCH = 16
"""Images a batch; larger ones gain nothing on a CPU and cost memory where layers are wide."""


SUMMARY = ("mean", "peak", "place", "deviation")
"""Values that are kept of the map of a channel on an image."""


def summarise(activations: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 4) float64: mean, maximum, its flat place and standard deviation.

    NaN is the maximum of whatever holds one, so that it cannot hide.
    """
    flat = activations.flatten(2)
    wide = flat.double()
    peak, place = flat.max(2)
    deviation = wide.std(2, correction=0)
    return torch.stack([wide.mean(2), peak.double(), place.double(), deviation], 2)


Tables = Mapping[str, NDArray[np.float32]]
"""Layer → (N, C, 4): the `SUMMARY` of every channel on every image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Results of one pass over N images.

    Attributes:
        tables: of every layer.
        unusable: images that have no answer → why; their rows hold NaN.
    """

    tables: Tables
    unusable: Mapping[int, str]


def measure_layers(
    network: Network, layers: Sequence[LayerInfo], images: Iterable[Picture]
) -> Iterator[LayerStats]:
    """Run all images once and summarise every channel of every layer.

    Args:
        network: any precision; the sums are float64.
        layers: what to capture.
        images: (H, W, C) each, in the order of the sample set.

    Yields:
        The statistics of each layer, in the order of `layers`.
    """
    tables = observe(network, layers, images).tables
    count = len(next(iter(tables.values()), ()))
    yield from statistics(network, layers, tables, each_by_itself(count))


def statistics(
    network: Network, layers: Sequence[LayerInfo], tables: Tables, sampling: Sampling
) -> Iterator[LayerStats]:
    """The statistics of each layer, in the order of `layers`, from the tables of a pass."""
    for layer in layers:
        table = tables[layer.name]  # (N, C, 4)
        yield channel_statistics(
            layer,
            network.info.shape,
            means=table[..., 0],
            peaks=table[..., 1],
            places=np.nan_to_num(table[..., 2]).astype(np.int32),
            deviations=table[..., 3],
            sampling=sampling,
        )


@torch.no_grad()
def observe(network: Network, layers: Sequence[LayerInfo], images: Iterable[Picture]) -> Observed:
    """Run all images once.

    An image on which the network fails, or on which channels are not finite that are so on most
    images, is unusable. Where most images are, it is the channels' fault and no image's.

    Raises:
        InputError: the rows of a layer are not the images, or the network fails on every image.
    """
    parts: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in layers}
    failed: dict[int, str] = {}
    count = 0
    with network.tap({layer.name: summarise for layer in layers}) as run:
        for batch in batches(images, PASS_BATCH):
            answers, reasons = answered(run, layers, to_tensor(batch).to(network.device))
            for name, summary in answers.items():
                parts[name].append(summary.cpu().numpy().astype(np.float32))
            failed |= {count + place: reason for place, reason in reasons.items()}
            count += len(batch)
    if count and len(failed) == count:
        raise InputError(f"the network fails on every image; on the first: {failed[0]}")
    tables = {layer.name: np.concatenate(parts.pop(layer.name)) for layer in layers}
    return Observed(tables=tables, unusable=failed | not_finite(tables, failed))


def answered(
    run: Run, layers: Sequence[LayerInfo], images: Tensor
) -> tuple[Mapping[str, Tensor], dict[int, str]]:
    """Return the reductions of a batch; where the network fails on it, those of each image alone.

    Returns:
        Layer → (N, C, 4), NaN for images on which the network fails; which these are, and why.
    """
    try:
        return run(images), {}
    except (AtlasError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # anything may happen in somebody's network
        if len(images) == 1:
            kept = len(SUMMARY)
            nothing = {one.name: torch.full((1, one.channels, kept), torch.nan) for one in layers}
            return nothing, {0: f"the network fails on it with {one_line(error)}"}
    found = [answered(run, layers, images[one : one + 1]) for one in range(len(images))]
    reasons = {place: reason for place, (_, why) in enumerate(found) for reason in why.values()}
    joined = {one.name: torch.cat([part[one.name].cpu() for part, _ in found]) for one in layers}
    return joined, reasons


def not_finite(tables: Tables, failed: Mapping[int, str]) -> dict[int, str]:
    """Images that make channels not finite which are finite on most of them → why."""
    found: dict[int, str] = {}
    for name, table in tables.items():
        finite = np.asarray(np.isfinite(table[..., :2]).all(2))  # (N, C)
        usual = finite.mean(0) > 0.5
        for image in np.flatnonzero(~finite[:, usual].all(1)).tolist():
            found.setdefault(image, f"gives values that are not finite in layer {name}")
    most = len(found) > len(next(iter(tables.values()), [])) / 2
    return {} if most else {one: why for one, why in found.items() if one not in failed}
