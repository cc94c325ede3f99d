"""The pixel recipes: the deep-dream article's multi-scale optimisation, in one batch.

Source: the article's loop for GoogLeNet, with its constants in `recipes.py`: Adam on normalised
pixels, a root mean square of the channel against those of pixels and of their Scharr derivatives.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .adam import Adam
from .drafts import Draft, Job, Log
from .imagetensors import seen_at
from .network import Network, keep
from .recipes import PixelRecipe, pyramid_sizes

SCHARR = torch.tensor([[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]])
"""Scharr's derivative, not normalised, as the article applies it."""


def render_pixels(network: Network, recipe: PixelRecipe, job: Job) -> list[Draft]:
    """Optimise normalised pixels size by size, as the deep-dream article does, in one batch."""
    generators = [torch.Generator().manual_seed(seed) for seed in job.seeds]
    side = recipe.first_size
    images = torch.stack([torch.rand(3, side, side, generator=g) for g in generators])
    log = Log(len(job.channels), network.device)
    with network.tap({job.layer: keep}, job.precisions) as run:
        for side in pyramid_sizes(recipe, job.size):
            images = resize_bilinear(images, side)
            pixels = network.normalise(images.to(network.device)).clone().requires_grad_()
            adam = Adam(pixels, recipe.learning_rate * job.rate)
            seen_side = network.seen_side(side, job.layer)
            for _ in range(recipe.steps):
                activations = run(seen_at(pixels, seen_side), normalised=True)[job.layer]
                loss = pyramid_loss(activations, pixels, recipe, job)
                (pixels.grad,) = torch.autograd.grad(loss.sum(), pixels)
                log.add(-loss.detach())
                log.moved(pixels.grad.flatten(1).abs().amax(1) > 0)
                adam.step()
            images = network.denormalise(pixels.detach()).clamp(0, 1).cpu()
            images = images.expand(-1, 3, -1, -1)  # a one-channel network has grey pictures
            log.end_octave(recipe.steps, images)
    return log.drafts(job.size)


def pyramid_loss(activations: Tensor, pixels: Tensor, recipe: PixelRecipe, job: Job) -> Tensor:
    """(N,) −w·RMS(channel) + RMS(pixels) + RMS(Scharr x and y of each colour), per image."""
    rows = torch.arange(len(job.channels), device=activations.device)
    columns = torch.tensor(job.channels, device=activations.device)
    channel = activations[rows, columns].float()  # (N, H, W)
    return (
        -recipe.unit_weight * root_mean_square(channel)
        + root_mean_square(pixels)
        + root_mean_square(scharr(pixels))
    )


def root_mean_square(values: Tensor) -> Tensor:
    """(N, …) → (N,)."""
    return values.flatten(1).square().mean(1).sqrt()


def scharr(pixels: Tensor) -> Tensor:
    """Horizontal and vertical Scharr derivatives of each colour, zero padding: (N, 6, H, W)."""
    kernels = torch.stack([SCHARR, SCHARR.T]).unsqueeze(1)  # (2, 1, 3, 3)
    weight = kernels.repeat(pixels.shape[1], 1, 1, 1).to(pixels.device)
    return F.conv2d(pixels, weight, padding=1, groups=pixels.shape[1])


def resize_bilinear(images: Tensor, side: int) -> Tensor:
    """Resize (N, 3, S, S) as cv2.resize does by default (bilinear, no antialiasing)."""
    if images.shape[-1] == side:
        return images
    resized = [
        cv2.resize(image.permute(1, 2, 0).numpy(), (side, side), interpolation=cv2.INTER_LINEAR)
        for image in images
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)
