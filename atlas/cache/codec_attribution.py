"""What peaks of units depend on, as named arrays and back: what `hdf5` writes and reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..records.attribution import NO_MASKS, UnitMasks
from .codec import pad, unpad
from .hdf5 import Array

SHARES = ("patch", "keep")
"""Fields of a UnitMasks that are numbers, one an example."""


def masks_to_datasets(found: Sequence[UnitMasks]) -> dict[str, Array]:
    """The columns of a block of masks, one row per unit."""
    masks, shapes = pad([one.masks for one in found], np.uint8)
    columns: dict[str, Array] = {"channel": np.array([one.channel for one in found], np.int32)}
    columns |= {name: np.stack([getattr(one, name) for one in found]) for name in SHARES}
    return {**columns, "masks": masks, "masks_shape": shapes}


def read_numbers(file: Any) -> dict[int, UnitMasks]:
    """Channel → its record without pixels, of all rows of a block."""
    columns = {name: file[name][...] for name in ("channel", *SHARES)}
    return {
        channel: UnitMasks(
            channel=channel, masks=NO_MASKS, **{name: columns[name][row] for name in SHARES}
        )
        for row, channel in enumerate(columns["channel"].tolist())
    }


def read_masks(file: Any, row: int) -> UnitMasks:
    """One row of a block, with pixels."""
    return UnitMasks(
        channel=int(file["channel"][row]),
        masks=unpad(file["masks"][row], file["masks_shape"][row]),
        **{name: file[name][row] for name in SHARES},
    )
