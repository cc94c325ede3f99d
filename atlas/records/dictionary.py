"""A dictionary: directions of a layer, the encoder that reads them, and how well it does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_SIZES = np.zeros(0, np.int32)
NO_SHARES = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What makes answers of activations, and activations of answers: K directions, C channels.

    An answer at a position is what is left of z = encoder · x + bias above its threshold, else 0.
    The activations that answers a stand for are a · decoder + offset.

    Attributes:
        encoder, decoder: (K, C) float32.
        bias, threshold: (K,) float32; a threshold of −∞ lets every answer through.
        offset: (C,) float32.
    """

    encoder: NDArray[np.float32]
    decoder: NDArray[np.float32]
    bias: NDArray[np.float32]
    threshold: NDArray[np.float32]
    offset: NDArray[np.float32]

    @property
    def directions(self) -> int:
        """Their number, K."""
        return len(self.encoder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """A dictionary of one layer, which is looked at as a layer itself.

    Attributes:
        name: of the layer that it is, e.g. `blocks.4.2@nmf32`.
        parent: the layer whose activations it reads.
        method: that found it; "file" where it was given.
        code: the directions.
        fitted, judged: images on which it was found, and other ones on which it was measured.
        positions: of the latter.
        explained: share of the variance at these positions that it explains; NaN where there is no
            variance.
        shuffled: the same where the activations of every channel are shuffled over the positions.
        shares: (K,) share of the variance that is explained less where a direction is left out.
        active: (K,) share of the positions where a direction answers above 0.
        sizes, errors: (n,) numbers of directions, and the share of the variance that the same
            method leaves out with so many; one pair for a file.
    """

    name: str
    parent: str
    method: str
    code: Code
    fitted: int
    judged: int
    positions: int
    explained: float
    shuffled: float
    shares: NDArray[np.float32]
    active: NDArray[np.float32]
    sizes: NDArray[np.int32]
    errors: NDArray[np.float32]
