"""The recipes that optimise pixels size by size, small to large, in one batch.

`render_pixels` is the deep-dream article's loop for GoogLeNet: Adam on normalised pixels, a root
mean square of the channel against those of pixels and of their Scharr derivatives.
`render_upscaled` is the one of fastai's FilterVisualizer for VGG16: Adam with weight decay on the
mean of the channel, without penalties. Their constants stand in `recipes.py`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..images.tensors import seen_at
from ..network.network import Network, keep, spatial_mean
from ..shapes import Size, pair, resize
from .adam import Adam
from .job import Draft, Job, Log, has_gradient
from .pixels import Places, draw_rolls, own_channels, places_of, rolled
from .sources import PixelRecipe, UpscaleRecipe

SCHARR = torch.tensor([[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]])
"""Scharr's derivative, not normalised, as the article applies it."""


def render_pixels(network: Network, job: Job[PixelRecipe]) -> list[Draft]:
    """Optimise normalised pixels size by size against penalties, as the deep-dream article does."""
    recipe, generators = job.recipe, job.generators()
    shape = (network.info.planes, *network.picture_shape(recipe.first_size))
    images = torch.stack([torch.rand(shape, generator=g) for g in generators])
    log, places = Log(len(job.channels), network.device), places_of(job.channels, network.device)
    with network.tap({job.layer: keep}, job.precision) as run:

        def loss(pixels: Tensor) -> Tensor:
            shown = jittered(pixels, recipe, generators)
            seen = seen_at(shown, network.seen_shape(longer_side(shown), job.layer))
            return pyramid_loss(run(seen, normalised=True)[job.layer], shown, places, recipe)

        for side in recipe.sides(job.size):
            larger = resize_bilinear(images, network.picture_shape(side))
            pixels = network.normalise(larger.to(network.device))
            pixels = descend(pixels, loss, recipe.steps, recipe.learning_rate * job.rate, log)
            images = network.denormalise(pixels).clamp(0, 1).cpu()
            images = in_planes(images, network)
            log.end_octave(recipe.steps, images)
    return log.drafts(job.size)


def render_upscaled(network: Network, job: Job[UpscaleRecipe]) -> list[Draft]:
    """Optimise normalised pixels size by size, as fastai's FilterVisualizer does.

    Colours may leave the range from black to white on the way and are cut off only in what is
    shown.

    Source: F. M. Graetz 2019, How to visualize convolutional features in 40 lines of code.
    """
    recipe, generators = job.recipe, job.generators()
    shape = (network.info.planes, *network.picture_shape(recipe.first_size))
    images = torch.stack([grey_noise(recipe, shape, one) for one in generators])
    log, places = Log(len(job.channels), network.device), places_of(job.channels, network.device)
    with network.tap({job.layer: spatial_mean}, job.precision) as run:

        def loss(pixels: Tensor) -> Tensor:
            seen = seen_at(pixels, network.seen_shape(longer_side(pixels), job.layer))
            return -own_channels(run(seen, normalised=True)[job.layer], places)

        for side in recipe.sides(job.size):
            larger = scale_up(images, network.picture_shape(side), recipe.blur)
            pixels = network.normalise(larger.to(network.device))
            rate, decay = recipe.learning_rate * job.rate, recipe.weight_decay
            pixels = descend(pixels, loss, recipe.steps, rate, log, decay)
            images = in_planes(network.denormalise(pixels).cpu(), network)
            log.end_octave(recipe.steps, images.clamp(0, 1))
    return log.drafts(job.size)


def longer_side(images: Tensor) -> int:
    """The longer side of images (N, C, H, W)."""
    return max(images.shape[2:])


def in_planes(images: Tensor, network: Network) -> Tensor:
    """Images as they are kept: those of a network of one channel are grey in three colours."""
    return images.expand(-1, network.info.planes, -1, -1)


def descend(
    start: Tensor,
    loss: Callable[[Tensor], Tensor],
    steps: int,
    rate: float,
    log: Log,
    decay: float = 0.0,
) -> Tensor:
    """Take the steps of one size with a fresh Adam.

    Args:
        start: (N, C, H, W) pixels; they stay as they are.
        loss: pixels → (N,) values to minimise.
        steps, rate: of Adam.
        log: takes the negative of each loss.
        decay: coefficient of the pixels that are added to the gradient.

    Returns:
        The pixels after the last step.
    """
    pixels = start.clone().requires_grad_()
    adam = Adam(pixels, rate, steps)
    for _ in range(steps):
        value = loss(pixels)
        (gradient,) = torch.autograd.grad(value.sum(), pixels)
        log.add(-value.detach())
        log.moved(has_gradient(gradient))
        pixels.grad = gradient.add(pixels.detach(), alpha=decay) if decay else gradient
        adam.step()
    return pixels.detach()


def jittered(pixels: Tensor, recipe: PixelRecipe, generators: list[torch.Generator]) -> Tensor:
    """The pixels as one step of the recipe sees them."""
    if not recipe.jitter:
        return pixels
    return rolled(pixels, draw_rolls(generators, -recipe.jitter, recipe.jitter))


def pyramid_loss(
    activations: Tensor, pixels: Tensor, places: Places, recipe: PixelRecipe
) -> Tensor:
    """(N,) −w·RMS(channel) + RMS(pixels) + mean over the levels of RMS(Scharr), per image."""
    channel = own_channels(activations, places)  # (N, H, W)
    return (
        -recipe.unit_weight * root_mean_square(channel)
        + root_mean_square(pixels)
        + edges(pixels, recipe.levels)
    )


def edges(pixels: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(N,) mean over the levels of the RMS of the Scharr derivatives x and y of each colour.

    A mean rather than a sum: the article's weight of the unit against its penalties then keeps its
    meaning with any number of levels.

    Args:
        levels: sides in px of the squares that are averaged first; pixels that do not fill a
            square at the right and lower border are left out.
    """
    coarser = [pixels if level == 1 else F.avg_pool2d(pixels, level) for level in levels]
    return torch.stack([root_mean_square(scharr(one)) for one in coarser]).mean(0)


def root_mean_square(values: Tensor) -> Tensor:
    """(N, …) → (N,)."""
    return values.flatten(1).square().mean(1).sqrt()


def scharr(pixels: Tensor) -> Tensor:
    """Horizontal and vertical Scharr derivatives of each colour, zero padding: (N, 6, H, W)."""
    planes = pixels.shape[1]
    return F.conv2d(pixels, scharr_kernels(planes, pixels.device), padding=1, groups=planes)


@functools.cache
def scharr_kernels(planes: int, device: torch.device) -> Tensor:
    """(2 · planes, 1, 3, 3) on a device, where they stay: no step waits for a copy of them."""
    kernels = torch.stack([SCHARR, SCHARR.T]).unsqueeze(1)  # (2, 1, 3, 3)
    return kernels.repeat(planes, 1, 1, 1).to(device)


def grey_noise(recipe: UpscaleRecipe, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """The first image (C, H, W) of FilterVisualizer: 8-bit noise, light grey and nearly flat."""
    values = torch.randint(recipe.darkest, recipe.brightest, tuple(shape), generator=generator)
    return values / 255


def resize_bilinear(images: Tensor, size: Size) -> Tensor:
    """Resize (N, C, H, W) as cv2.resize does by default (bilinear, no antialiasing)."""
    if images.shape[2:] == pair(size):
        return images
    return by_opencv(images, lambda image: resize(image, size, cv2.INTER_LINEAR))


def scale_up(images: Tensor, size: Size, blur: int) -> Tensor:
    """Resize (N, C, H, W) by OpenCV's cubic interpolation, then average boxes of side `blur`."""
    if images.shape[2:] == pair(size):
        return images

    def change(image: NDArray[np.float32]) -> NDArray[Any]:
        larger = resize(image, size, cv2.INTER_CUBIC)
        return cv2.blur(larger, (blur, blur)) if blur else larger

    return by_opencv(images, change)


def by_opencv(images: Tensor, change: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Tensor:
    """Change each image of (N, C, H, W) by an OpenCV function on (H, W, C)."""
    changed = [change(image.permute(1, 2, 0).numpy()) for image in images]
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)
