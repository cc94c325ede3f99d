"""Meanings, as an export holds them: `meaning_columns` and `meaning_pictures`."""

from collections.abc import Sequence

import numpy as np

from ..records.atlas import LayerAtlas
from ..records.meanings import Meanings
from ..records.units import Rendering
from .codec_meanings import meanings_to_datasets
from .hdf5 import Array


def meaning_columns(found: Sequence[Meanings]) -> dict[str, Array]:
    """One row a unit: its images and the group of each, best first, -1 behind the last."""
    columns = meanings_to_datasets(found)
    counts = columns.pop("images_shape")[:, 0]
    beyond = np.arange(columns["images"].shape[1]) >= counts[:, None]
    names = ("images", "groups")
    kept = {name: np.where(beyond, -1, columns[name]).astype(np.int32) for name in names}
    return {**columns, "chance": columns["chance"].astype(np.float32), **kept}


def picture_columns(made: Sequence[Rendering]) -> dict[str, Array]:
    """One row a picture: the unit, the number of its meaning from 0, and REACH."""
    return {
        "channel": np.array([one.unit.channel for one in made], np.int32),
        "meaning": np.array([int(one.recipe.rpartition("-")[2]) - 1 for one in made], np.int32),
        "reach": np.array([one.scores.reach for one in made], np.float32),
    }


def shown_meanings(layer: LayerAtlas) -> list[Meanings]:
    """The meanings of the chosen units of a layer, in the order of the atlas."""
    return [layer.meanings[channel] for channel in layer.chosen if channel in layer.meanings]
