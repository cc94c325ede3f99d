"""Cells of maps as named arrays and back: what `hdf5` writes and reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..records.maps import MapCell
from .codec import pad, unpad
from .hdf5 import Array

PICTURE = "image"
RAGGED: dict[str, type] = {
    "direction": np.float32,
    "images": np.int32,
    "boxes": np.int32,
    "classes": np.int32,
    "contributions": np.float64,
    "agreement": np.float32,
    PICTURE: np.float16,
}
"""Fields that are arrays; a second dataset `<name>_shape` holds their shapes."""


def cells_to_datasets(cells: Sequence[MapCell]) -> dict[str, Array]:
    """The columns of a block, one row per cell."""
    columns: dict[str, Array] = {
        "cell": np.array([one.cell for one in cells], np.int32),
        "count": np.array([one.count for one in cells], np.int64),
    }
    for name, dtype in RAGGED.items():
        arrays: list[Array] = [np.asarray(getattr(one, name), dtype) for one in cells]
        columns[name], columns[f"{name}_shape"] = pad(arrays, dtype)
    return columns


def read_cells(file: Any) -> list[MapCell]:
    """All cells of a block, without pixels."""
    columns = {name: file[name][...] for name in file if name != PICTURE}
    found = []
    for row, cell in enumerate(columns["cell"].tolist()):
        arrays: dict[str, Any] = {
            name: unpad(columns[name][row], columns[f"{name}_shape"][row])
            for name in RAGGED
            if name != PICTURE
        }
        lists: dict[str, Any] = {name: tuple(arrays.pop(name).tolist()) for name in TUPLES}
        count, nothing = int(columns["count"][row]), np.zeros((3, 0, 0), np.float16)
        found.append(MapCell(cell=cell, count=count, image=nothing, **lists, **arrays))
    return found


TUPLES = ("images", "classes", "contributions")


def read_picture(file: Any, row: int) -> Array:
    """(3, H, W) the picture of a row."""
    return unpad(file[PICTURE][row], file[f"{PICTURE}_shape"][row])
