"""Circuits, as an export holds them: `circuit_columns` and `link_columns`."""

from collections.abc import Sequence

import numpy as np

from ..records.atlas import LayerAtlas
from ..records.circuits import KINDS, Circuit
from .codec_circuits import NUMBERS
from .export_hdf5 import encode_visible
from .hdf5 import Array


def shown_circuits(layer: LayerAtlas) -> list[Circuit]:
    """The circuits of the chosen units of a layer, in the order of the atlas."""
    return [layer.circuits[channel] for channel in layer.chosen if channel in layer.circuits]


def circuit_columns(circuits: Sequence[Circuit]) -> dict[str, Array]:
    """One row a unit."""
    return {
        "channel": np.array([one.channel for one in circuits], np.int32),
        "activation": np.array([one.activation for one in circuits], np.float32),
        "error": np.array([one.error for one in circuits], np.float32),
    }


def link_columns(circuits: Sequence[Circuit]) -> dict[str, Array]:
    """One row a link: the channel of its `unit`, its `kind`, the other end, and its numbers."""
    rows = [
        (one.channel, kind, link) for one in circuits for kind in KINDS for link in one.of(kind)
    ]
    columns: dict[str, Array] = {
        "unit": np.array([channel for channel, *_ in rows], np.int32),
        "kind": encode_visible([kind for _, kind, _ in rows]),
        "layer": encode_visible([link.layer for *_, link in rows]),
        "channel": np.array([link.channel for *_, link in rows], np.int32),
    }
    for name in NUMBERS:
        columns[name] = np.array([getattr(link, name) for *_, link in rows], np.float32)
    return columns
