"""What the peaks of a unit depend on."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .statistics import EXAMPLES

NO_MASKS = np.zeros((0, 0, 0), np.uint8)
"""The masks of a unit that has none, or whose pixels are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMasks:
    """The pixels that the peaks of a unit depend on, of its dataset examples, best first.

    Attributes:
        channel: of the unit.
        patch: (EXAMPLES,) float32, peak with only the masked pixels kept ÷ peak in place; NaN where
            there is no example, no gradient, or no peak above 0.
        keep: (EXAMPLES,) float32, the same with the top tenth of the receptive field kept.
        masks: (K, h, w) uint8 at the size of the patches that pages show, 255 at the largest
            derivative; `NO_MASKS` where the layer has no gradient or no places.
    """

    channel: int
    patch: NDArray[np.float32]
    keep: NDArray[np.float32]
    masks: NDArray[np.uint8]


def no_masks(channel: int) -> UnitMasks:
    """The record of a unit that has no masks."""
    nothing = np.full(EXAMPLES, math.nan, np.float32)
    return UnitMasks(channel=channel, patch=nothing, keep=nothing, masks=NO_MASKS)


def median(values: NDArray[np.float32]) -> float:
    """Median of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan
