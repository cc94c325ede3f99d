"""Meanings as named arrays and back: what `hdf5` writes and reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..records.meanings import Meanings
from .codec import pad, unpad
from .hdf5 import Array


def meanings_to_datasets(found: Sequence[Meanings]) -> dict[str, Array]:
    """The columns of a block, one row per unit."""
    images, counts = pad([np.array(one.images, np.int32) for one in found], np.int32)
    return {
        "channel": np.array([one.channel for one in found], np.int32),
        "chance": np.array([one.chance for one in found], np.float64),
        "images": images,
        "groups": pad([np.array(one.groups, np.int32) for one in found], np.int32)[0],
        "images_shape": counts,
    }


def read_meanings(file: Any) -> list[Meanings]:
    """All meanings of a block."""
    columns = {name: file[name][...] for name in file}
    return [
        Meanings(
            channel=channel,
            images=tuple(unpad(columns["images"][row], shape).tolist()),
            groups=tuple(unpad(columns["groups"][row], shape).tolist()),
            chance=float(columns["chance"][row]),
        )
        for row, (channel, shape) in enumerate(
            zip(columns["channel"].tolist(), columns["images_shape"], strict=True)
        )
    ]
