"""Results of all lenses on one image."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..shapes import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A class that a classifier gives an image: its index and its probability."""

    index: int
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoolingImage:
    """A sample image changed a little until the network takes it for another class.

    Attributes:
        image: (H, W, C) uint8, or uint16 for networks of 2 or more than 3 channels: the changed
            image as it is saved.
        target: class that it was pushed to.
        fooled: whether the saved image is given that class.
        steps: gradient steps taken.
        l2, linf: Euclidean and largest size of the saved difference, pixels in [0, 1].
        predictions: of the saved image, most likely first.
        original: what it was changed from, as the network sees it; empty in older caches.
    """

    image: Picture
    target: int
    fooled: bool
    steps: int
    l2: float
    linf: float
    predictions: tuple[Prediction, ...]
    original: Picture = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMaps:
    """The most active channels of one layer on one image.

    Attributes:
        layer: its name.
        channels: (M,) int32, most active first.
        means: (M,) float32, spatial mean of each.
        peaks: (M,) float32, largest absolute value of each.
        maps: (M, h, w) float16, activations over `peaks`.
    """

    layer: str
    channels: NDArray[np.int32]
    means: NDArray[np.float32]
    peaks: NDArray[np.float32]
    maps: NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """Results of all lenses on one sample image.

    Attributes:
        image: index of the sample image.
        predictions: most likely first; () where the network has no classifier.
        saliency, smoothgrad: (H, W) float16, largest absolute derivative of the predicted class's
            score over the colours, over its maximum; (0, 0) without a classifier.
        fooling: None without a classifier.
        maps: of each layer of the atlas, in forward order.
    """

    image: int
    predictions: tuple[Prediction, ...]
    saliency: NDArray[np.float16]
    smoothgrad: NDArray[np.float16]
    fooling: FoolingImage | None
    maps: tuple[FeatureMaps, ...]
