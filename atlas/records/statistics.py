"""Statistics of the channels of a layer, and what the classifier reads of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXAMPLES = 9
"""Dataset examples kept per unit (a 3 × 3 sheet, as in most published atlases)."""

NEIGHBOURS = 5
"""Most correlated channels of the same layer kept per unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStats:
    """Statistics of every channel of one layer over the sample images (N images, C channels).

    Attributes:
        layer: its name.
        activations: (N, C) float16, activation of each channel on each image, over `scale`.
        deviations: (N, C) float16, spatial standard deviation of its map there, over `scale`.
        peaks: (M, C) float16, spatial maximum of its map on the images of `rows`, over `scale`.
        places: (M, C) unsigned, flat index of that maximum in the H × W map; (0, C) where a cache
            or reference does not know it.
        rows: (M,) int32, the images whose peaks are kept: all, or a fixed sample of very many.
        scale: (C,) float32, so that float16 neither overflows nor loses precision.
        mean, std, max, p99: (C,) float32, of the activation over the images (population std).
        active: (C,) float32, share of images where the channel is above zero anywhere.
        finite: (C,) bool, False where any activation was NaN or infinite; never ranked.
        example_image: (C, K) int32, sample indices of the K best dataset examples, best first; -1
            where there are fewer than K files: no two are parts of one file.
        example_activation: (C, K) float32, the channel's spatial maximum on that image.
        example_box: (C, K, 4) int32, y0, x0, y1, x1 in pixels of the network's input.
        neighbours: (C, 5) int32, the channels whose activations correlate most; -1 where none.
        correlation: (C, 5) float32, their correlation coefficients.
    """

    layer: str
    activations: NDArray[np.float16]
    deviations: NDArray[np.float16]
    peaks: NDArray[np.float16]
    places: NDArray[np.unsignedinteger]
    rows: NDArray[np.int32]
    scale: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    max: NDArray[np.float32]
    p99: NDArray[np.float32]
    active: NDArray[np.float32]
    finite: NDArray[np.bool_]
    example_image: NDArray[np.int32]
    example_activation: NDArray[np.float32]
    example_box: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    correlation: NDArray[np.float32]

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def contrast(self) -> NDArray[np.float32]:
        """(C,) (p99 − mean) / std: high for units that are selective, 0 where std is 0."""
        spread = np.where(self.std > 0, self.std, 1).astype(np.float32)
        return np.where(self.std > 0, (self.p99 - self.mean) / spread, 0).astype(np.float32)

    def over_images(self, channel: int) -> NDArray[np.float32]:
        """The (N,) activations of one channel in the network's own units."""
        values: NDArray[np.float32] = self.activations[:, channel].astype(np.float32)
        values *= self.scale[channel]
        return values

    def peaks_over_rows(self, channel: int) -> NDArray[np.float32]:
        """The (M,) spatial maxima of one channel on the images of `rows`, in its own units."""
        values: NDArray[np.float32] = self.peaks[:, channel].astype(np.float32)
        values *= self.scale[channel]
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """Share of each channel of the classifier's input layer in the score of each class.

    Attributes:
        layer: its spatial means are the input of the last linear map.
        channels: (K, V) int32, for each class the V channels that raise its score most.
        contributions: (K, V) float32, weight × mean activation over the images of the class.
        images: (K,) int32, sample images of each class; where there is none, the contributions
            are over all sample images.
    """

    layer: str
    channels: NDArray[np.int32]
    contributions: NDArray[np.float32]
    images: NDArray[np.int32]
