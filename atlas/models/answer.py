"""The answer of one output of a network to a picture of which a third, a band, is changed.

Start at `Answer`; `orders` says which way its axes run.
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[Array, Array]
"""Answers of an axis to the bands down the picture, and to those across."""

BANDS = 3
"""Thirds of a picture."""

CLEAR = 0.3
"""Share of the answer that must move with the band before an output decides its own layout.
Measured with random weights: places reach .3 to .95 up to a stride of 16, and channels .28 by
chance at the end of a ResNet-50 (2 × 2)."""


class Answer:
    """Strength with which each index of each axis of one output answered to each band.

    Attributes:
        shape: of the output, without the images.
        bands: for each axis the (length,) answers to the bands, downwards and then across.
    """

    def __init__(self, shape: tuple[int, ...], bands: list[list[Array]]) -> None:
        self.shape, self.bands = shape, bands

    @property
    def complete(self) -> bool:
        """True if it was there in all runs, and enough of it answered to identify the axes.

        Enough is half of the length of two axes, or of one of tokens.
        """
        if any(len(bands) != 2 * BANDS for bands in self.bands):
            return False
        alive = sorted(float(np.any(bands, axis=0).mean()) for bands in self.bands)
        return alive[1 - len(self.shape)] >= 1 / 2

    def axis(self, axis: int) -> tuple[Array, Array]:
        """(BANDS, length): its answers to the bands down the picture, and to those across."""
        bands = np.stack(self.bands[axis])
        return bands[:BANDS], bands[BANDS:]


def shares(bands: Array) -> Array:
    """(BANDS, length): of what each index answers, the share of each band, all equally strong."""
    equal = bands / np.maximum(bands.sum(1, keepdims=True), np.finfo(float).tiny)
    total = equal.sum(0)
    found: Array = np.divide(equal, total, out=np.full_like(equal, 1 / BANDS), where=total > 0)
    return found


@functools.cache
def ideal(length: int) -> Array:
    """(BANDS, length): the shares where every place answers to what is in the same place."""
    edges = np.linspace(0, BANDS, length + 1)
    band = np.arange(BANDS)[:, None]
    inside = np.minimum(edges[1:], band + 1) - np.maximum(edges[:-1], band)
    found: Array = np.maximum(inside, 0) * length / BANDS - 1 / BANDS
    return found


def moved(bands: Array, back: bool = False) -> float:
    """The share of an answer that moves with the band, or against it if `back`: 1 all, 0 none.

    An axis of length 1 says neither.
    """
    if bands.shape[1] == 1:
        return 0.0 if back else CLEAR
    wanted = ideal(bands.shape[1])
    return float((shares(bands)[:, :: -1 if back else 1] * wanted).sum() / (wanted**2).sum())


def spread(bands: Array, places: int = 0) -> float:
    """The share that tells the bands apart, in whatever order: at least that which is moved.

    Args:
        bands: (BANDS, length) answers.
        places: of the axis that could tell them apart, where `bands` are of each place of a grid.
    """
    if bands.shape[1] == 1:
        return 0.0
    apart = ((shares(bands) - 1 / BANDS) ** 2).mean()
    return float(np.sqrt(apart / (ideal(places or bands.shape[1]) ** 2).mean()))


def orders(first: Pair, second: Pair) -> dict[str, float]:
    """Return how two axes of places may run against the picture → the smaller share that moves so.

    Args:
        first, second: of each axis the answers to the bands down the picture, and to those across.
    """
    down = {"H": moved(first[0]), "h": moved(first[0], True)}
    across = {"W": moved(second[1]), "w": moved(second[1], True)}
    right = {"W": moved(first[1]), "w": moved(first[1], True)}
    below = {"H": moved(second[0]), "h": moved(second[0], True)}
    return {
        one + other: min(first_moved[one], second_moved[other])
        for first_moved, second_moved in ((down, across), (right, below))
        for one, other in itertools.product(first_moved, second_moved)
    }
