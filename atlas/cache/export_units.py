"""Columns of units, as an export holds them: `unit_columns` and `evidence_columns`."""

import math
from collections.abc import Sequence

import numpy as np

from ..records.atlas import LayerAtlas
from ..records.evidence import NOWHERE
from ..records.units import CHANGES, Rendering
from .export_hdf5 import encode_visible
from .hdf5 import Array

SCORES = ("activation", "reach", "select", "robust", "hf", "confidence")


def unit_columns(rows: Sequence[Rendering | None]) -> dict[str, Array]:
    """Status, scores, seconds and seed of units, (U,) each; None means one not rendered."""
    columns: dict[str, Array] = {
        "status": encode_visible(["unrendered" if row is None else row.status for row in rows])
    }
    for name in SCORES:
        values = [math.nan if row is None else getattr(row.scores, name) for row in rows]
        columns[name] = np.array(values, np.float32)
    ranks = [(0,) * CHANGES if row is None else row.scores.ranks for row in rows]
    columns["ranks"] = np.array(ranks, np.int32).reshape(-1, CHANGES)
    columns["seconds"] = np.array([math.nan if row is None else row.seconds for row in rows], "f4")
    columns["seed"] = np.array([-1 if row is None else row.seed for row in rows], np.int64)
    return columns


def evidence_columns(layer: LayerAtlas, recipe: str) -> dict[str, Array]:
    """Return the observer's results for the chosen units, (U,) each; without one, NaN, 0, False."""
    evidence = layer.evidence
    places = evidence.pictures.get(recipe, {}) if evidence else {}
    photographs = evidence.photographs if evidence else {}
    own = [places.get(channel, NOWHERE) for channel in layer.chosen]
    nine = [photographs.get(channel, NOWHERE) for channel in layer.chosen]
    lost = [evidence is not None and evidence.unidentified(place) for place in own]
    return {
        "predict": np.array([place.predict for place in own], np.float32),
        "ident": np.array([place.ident for place in own], np.int32),
        "ident_photographs": np.array([place.ident for place in nine], np.int32),
        "unidentified": np.array(lost, np.bool_),
    }
