"""The map of a layer, as an export holds it: `map_columns`."""

import numpy as np

from ..records.maps import LayerMap
from ..records.statistics import EXAMPLES
from .codec_maps import cells_to_datasets
from .hdf5 import Array

NAMES = ("cell", "count", "direction", "agreement")
LISTS = {"images": EXAMPLES, "classes": 3, "contributions": 3}
"""Columns of lists that may be shorter than so much."""


def map_columns(found: LayerMap) -> dict[str, Array]:
    """One row a cell; −1 and NaN behind the end of a list."""
    columns = cells_to_datasets(found.cells)
    return {name: columns[name] for name in NAMES} | {
        name: filled(columns[name], columns[f"{name}_shape"][:, 0], most)
        for name, most in LISTS.items()
    }


def filled(rows: Array, counts: Array, most: int) -> Array:
    """Rows (K, n) as (K, most), with −1 or NaN behind the end of each."""
    nothing = np.nan if rows.dtype.kind == "f" else -1
    full = np.full((len(rows), most), nothing, rows.dtype)
    full[:, : rows.shape[1]] = np.where(np.arange(rows.shape[1]) < counts[:, None], rows, nothing)
    return full


def map_bytes(found: LayerMap | None, picture: int) -> int:
    """About how much room they take, with pictures of so many bytes."""
    if found is None:
        return 0
    columns = sum(array.nbytes for array in map_columns(found).values())
    return columns + len(found.cells) * picture + 60_000
