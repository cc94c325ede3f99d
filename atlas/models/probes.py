"""Three photographs to ask a network questions with, before any image of its user is read.

Noise would do for shapes. But some networks check the range of their input, and what a network
does with noise says little of what it does with pictures.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.tensors import luminance, to_tensor

PHOTOGRAPHS = Path(__file__).parents[1] / "data" / "probe.png"
"""Side by side, 128 px each: Eileen Collins (NASA, public domain), a cup of coffee (Rachel
Michetti, CC0) and Chelsea the cat (Stéfan van der Walt, CC0); as in the wheel of scikit-image."""


@functools.cache
def read_photographs() -> Tensor:
    """(3, 3, 128, 128) RGB in [0, 1]."""
    strip = np.asarray(cv2.imread(str(PHOTOGRAPHS)), np.uint8)[..., ::-1]  # (128, 3 · 128, 3)
    return to_tensor(np.split(strip, 3, axis=1))


def probe_images(
    height: int, width: int, mean: Sequence[float] = (0.0,) * 3, std: Sequence[float] = (1.0,) * 3
) -> Tensor:
    """The photographs as a network expects them.

    Args:
        height, width: of its input.
        mean, std: its normalisation, one number for each channel; by default none.

    Returns:
        (3, C, height, width), normalised. One channel is luminance; more than three repeat red,
        green and blue.
    """
    channels = len(mean)
    images = F.interpolate(read_photographs(), (height, width), mode="bilinear", antialias=True)
    if channels == 1:
        images = luminance(images)
    else:
        images = images[:, [channel % 3 for channel in range(channels)]]
    return (images - as_planes(mean)) / as_planes(std)


def as_planes(values: Sequence[float]) -> Tensor:
    """(C, 1, 1): one number for each channel."""
    return torch.tensor(values).view(-1, 1, 1)
