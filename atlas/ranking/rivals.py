"""Places of directions among channels: so that IDENT of the two can be compared.

Among K directions a place is easier to take than among ten times as many channels, and directions
of one dictionary are less alike than channels. So a direction is also judged among K − 1 channels
of its layer, drawn once for all of its directions. Start at `place_among_channels`.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..records.evidence import LayerEvidence
from .evidence import Judge, looks

SEED = 0


def place_among_channels(evidence: LayerEvidence, own: Judge, layer: Judge) -> LayerEvidence:
    """What is recognised of directions, with their places among channels.

    Args:
        evidence: of the dictionary.
        own, layer: judges of the dictionary and of the layer that it reads.
    """
    rivals = layer.answers[drawn(layer, own.stats.channels - 1)]
    among = {
        recipe: places(own, rivals, seen) for recipe, seen in evidence.features.items() if seen
    }
    return replace(evidence, among=among, rivals=len(rivals))


def drawn(layer: Judge, count: int) -> NDArray[np.int64]:
    """At most so many of a layer's channels that vary, ascending."""
    live = np.flatnonzero(layer.live)
    return np.sort(np.random.default_rng(SEED).permutation(live)[:count])


def places(
    own: Judge, rivals: NDArray[np.float64], seen: Mapping[int, NDArray[np.float32]]
) -> dict[int, int]:
    """Direction → 1 + the rivals that the prediction from its picture fits better."""
    channels = list(seen)
    views = looks(np.stack(list(seen.values())), own.natural)
    fits = own.fits(views, own.answers)
    mine = np.array([fits[row, channel] for row, channel in enumerate(channels)])
    ahead = (own.fits(views, rivals) > mine[:, None]).sum(1)
    return {
        channel: 1 + int(before)
        for channel, before in zip(channels, ahead, strict=True)
        if own.live[channel]
    }
