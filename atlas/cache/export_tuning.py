"""Tuning in an export: the synthetic stimuli, what every channel answers to them, and prefers."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from ..records.atlas import LayerAtlas
from ..records.tuning import PREFERENCES, Stimulus
from .export_hdf5 import encode_visible
from .hdf5 import Array


def tuning_bytes(layer: LayerAtlas, stimuli: int) -> int:
    """About how many bytes the tuning of a layer takes, rather more than less."""
    return layer.stats.channels * (4 * stimuli + 40) if layer.tuning else 0


def stimuli_columns(stimuli: Sequence[Stimulus]) -> dict[str, Array]:
    """What each of the S stimuli shows."""
    numbers = [field.name for field in fields(Stimulus) if field.name not in ("kind", "seed")]
    return {
        "kind": encode_visible([one.kind for one in stimuli]),
        "seed": np.array([one.seed for one in stimuli], np.int32),
        **{name: np.array([getattr(one, name) for one in stimuli], "f4") for name in numbers},
    }


def tuning_columns(layer: LayerAtlas) -> dict[str, Array]:
    """Responses (S, C) of all channels of a layer, and what each prefers (C,); {} where unknown."""
    if layer.tuning is None:
        return {}
    responses, prefers = layer.tuning.responses, layer.tuning.prefers
    return {
        "scale": responses.scale,
        "means": responses.means,
        "deviations": responses.deviations,
        **{f"{name}": getattr(prefers, name) for name in PREFERENCES},
    }
