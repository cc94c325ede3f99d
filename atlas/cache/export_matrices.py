"""Matrices in an export: what every channel answers to every image, and what the observer sees.

With these alone others can label units, judge the labels, and work IDENT out anew.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..files.names import escape_name
from ..records.atlas import LayerAtlas, ModelAtlas
from ..records.samples import SampleSet, judging_images
from ..records.statistics import LayerStats
from .export_hdf5 import encode_visible
from .hdf5 import Array

Columns = Mapping[str, Array]
"""Name of a dataset → what it holds."""


def matrices(stats: LayerStats) -> Columns:
    """(M, C) of the images in `rows`, over `scale`; no places where they are not known."""
    known = {"places": stats.places} if len(stats.places) else {}
    return {
        "scale": stats.scale,
        "activations": stats.activations[stats.rows],
        "peaks": stats.peaks,
        **known,
    }


def matrix_rows(atlas: ModelAtlas) -> NDArray[np.int32]:
    """(M,) the sample images of the matrices' rows: the same for every layer."""
    layers = atlas.layers or tuple(filter(None, [atlas.classes]))
    return layers[0].stats.rows if layers else np.zeros(0, np.int32)


def image_columns(samples: SampleSet) -> Columns:
    """Names and digests of images, and which of them judge."""
    return {
        "path": encode_visible([sample.name for sample in samples.samples]),
        "sha256": encode_visible([sample.sha256 for sample in samples.samples]),
        "judging": judging_images(samples),
    }


def natural_columns(atlas: ModelAtlas, layer: LayerAtlas) -> Columns:
    """(N', C) means of a layer on the images that scores are measured against."""
    natural = layer.natural
    if len(natural.activations) != len(atlas.natural.samples):
        return {}  # the reference does not know this layer
    return {"scale": natural.scale, "activations": natural.activations}


def feature_rows(layer: LayerAtlas, recipe: str, width: int) -> NDArray[np.float32]:
    """(U, D) what the observer makes of the chosen units' pictures; NaN where there is none."""
    seen = layer.evidence.features.get(recipe, {}) if layer.evidence else {}
    nothing = np.full(width, np.nan, np.float32)
    rows = [seen.get(channel, nothing) for channel in layer.chosen]
    return np.array(rows, np.float32).reshape(-1, width)


def layer_path(layer: LayerAtlas) -> str:
    """The group of a layer, whatever it is called."""
    return f"layers/{escape_name(layer.info.name)}"
