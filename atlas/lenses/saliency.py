"""Saliency: which pixels of an image the score of a class depends on.

`saliency` takes the gradient as it is, `smoothgrad` its mean over noisy copies of the image. Both
are gradients of the score itself, not of its probability, with respect to the image in [0, 1], and
ordinary ones: no redirected ReLU.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.network import Run
from ..records.network import CLASSES

COPIES = 24
NOISE = 0.15
"""SmoothGrad's noisy copies, and their noise as a share of the image's range: Smilkov et al. 2017,
section 3, find 10 to 20 % good and little gain beyond 50 copies. Measured on EfficientNet-Lite0
against 96 copies, both blurred by 3 px: correlation .95 to .96 with 16 copies, .97 with 24, .98
with 48."""

COPIES_BATCH = 8
"""Copies that run together; more gain nothing on a CPU and cost memory."""


def saliency(run: Run, image: Tensor, class_: int) -> NDArray[np.float16]:
    """Largest absolute derivative of a class's score over the colours, for every pixel.

    Args:
        run: with the class scores tapped by `spatial_mean`.
        image: (C, H, W) in [0, 1].
        class_: whose score is differentiated.

    Returns:
        (H, W), over its maximum; zeros where the gradient is zero or not finite.

    Source: Simonyan, Vedaldi and Zisserman 2014, section 3.1.
    """
    return strongest_colour(class_gradients(run, image[None], class_)[0])


def smoothgrad(
    run: Run, image: Tensor, class_: int, generator: torch.Generator
) -> NDArray[np.float16]:
    """The saliency of one image by the mean gradient of `COPIES` noisy copies of it.

    The copies are not clipped to [0, 1].

    Args:
        run: with the class scores tapped by `spatial_mean`.
        image: (C, H, W) in [0, 1].
        class_: whose score is differentiated, also on copies that are taken for another.
        generator: of the noise, on the CPU, so that every device sees the same.

    Returns:
        (H, W), as of `saliency`.

    Source: Smilkov et al. 2017, SmoothGrad.
    """
    spread = NOISE * (image.max() - image.min())
    total = torch.zeros_like(image)
    for first in range(0, COPIES, COPIES_BATCH):
        count = min(COPIES_BATCH, COPIES - first)
        noise = torch.randn(count, *image.shape, generator=generator).to(image.device)
        total += class_gradients(run, image + spread * noise, class_).sum(0)
    return strongest_colour(total / COPIES)


def class_gradients(run: Run, images: Tensor, class_: int) -> Tensor:
    """(N, C, H, W) gradient of a class's score on each image with respect to that image.

    Args:
        run: with the class scores tapped by `spatial_mean`.
        images: (N, C, H, W) in [0, 1].
    """
    leaf = images.detach().requires_grad_()
    scores = run(leaf)[CLASSES][:, class_]
    (gradients,) = torch.autograd.grad(scores.sum(), leaf)
    return gradients


def strongest_colour(gradient: Tensor) -> NDArray[np.float16]:
    """(C, H, W) → (H, W): largest absolute value over the colours, over its own maximum."""
    strongest = gradient.abs().amax(0)
    peak = float(strongest.max())
    if not 0 < peak < math.inf:
        return np.zeros(strongest.shape, np.float16)
    return np.asarray((strongest / peak).cpu().numpy(), np.float16)
