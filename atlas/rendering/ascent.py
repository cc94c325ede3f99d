"""The recipes at one size: plain steps along the gradient of normalised pixels, in one batch.

`render_ascent` follows the notes of cs231n: `ascent` is their formula and nothing else, `class`
their class visualization with its penalty, jitter, clamp and blur. Constants in `recipes.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..images.tensors import seen_at
from ..network.network import Network, Run, spatial_mean
from ..shapes import Shape
from .job import Draft, Job, Log, has_gradient
from .pixels import Places, draw_rolls, opposite, own_channels, places_of, rolled
from .sources import AscentRecipe

BLUR_REACH = 4
"""Standard deviations after which the Gaussian is cut off, as scipy.ndimage does by default."""


def render_ascent(network: Network, job: Job[AscentRecipe]) -> list[Draft]:
    """Climb from noise at the full size.

    Source: Stanford cs231n, assignment «Network Visualization» (class visualization), after
    Simonyan et al. 2013, Deep Inside Convolutional Networks, section 2.
    """
    recipe, generators = job.recipe, job.generators()
    shape = (network.info.channels, *network.picture_shape(job.size))
    pixels = first_pixels(recipe, shape, generators).to(network.device)
    black, white = (network.normalise(torch.full_like(pixels[:1], v)) for v in (0.0, 1.0))
    log = Log(len(job.channels), network.device)
    with network.tap({job.layer: spatial_mean}, job.precision) as run:
        places = places_of(job.channels, network.device)
        slope = Slope(run, network.seen_shape(job.size, job.layer), job, places, log)
        for step in range(recipe.steps):
            rolls = draw_rolls(generators, 0, recipe.jitter)
            pixels = rolled(pixels, rolls)
            pixels = pixels + recipe.learning_rate * job.rate * slope.at(pixels)
            pixels = rolled(pixels, opposite(rolls))
            pixels = pixels.clamp(black, white) if recipe.valid else pixels
            if recipe.blur_every and step % recipe.blur_every == 0:
                pixels = gaussian_blur(pixels, recipe.blur)
    images = network.denormalise(pixels).clamp(0, 1)
    images = images.expand(-1, network.info.planes, -1, -1)  # grey ones in three colours
    log.end_octave(recipe.steps, images)
    return log.drafts(job.size)


def first_pixels(
    recipe: AscentRecipe, shape: Sequence[int], generators: list[torch.Generator]
) -> Tensor:
    """Normalised noise (N, *shape), each image from its own generator."""
    return recipe.start_std * torch.stack(
        [torch.randn(tuple(shape), generator=g) for g in generators]
    )


@dataclass(frozen=True, slots=True)
class Slope:
    """The direction in which the objective of each image grows: score − λ‖x‖².

    Attributes:
        run: the network up to the layer.
        seen_shape: height and width at which it sees the images.
        job: as rendered.
        places: of its units in what the layer puts out.
        log: takes the scores, without the penalty, which would hide them.
    """

    run: Run
    seen_shape: Shape
    job: Job[AscentRecipe]
    places: Places
    log: Log

    def at(self, pixels: Tensor) -> Tensor:
        """d score / dx − 2λx at (N, C, H, W) pixels, of length 1 per image if the recipe asks.

        One of the sources adds the second term: its pictures are driven to extreme colours by what
        was meant to hold them back.
        """
        x = pixels.detach().requires_grad_()
        means = self.run(seen_at(x, self.seen_shape), normalised=True)[self.job.layer]
        scores = own_channels(means, self.places)
        (gradient,) = torch.autograd.grad(scores.sum(), x)
        self.log.add(scores.detach())
        self.log.moved(has_gradient(gradient))
        gradient = gradient - 2 * self.job.recipe.penalty * pixels
        return unit_length(gradient) if self.job.recipe.unit_length else gradient


def unit_length(gradients: Tensor) -> Tensor:
    """Each image's gradient over its Euclidean norm; a zero gradient stays zero."""
    norms: Tensor = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    tiny = torch.finfo(gradients.dtype).tiny
    return gradients / norms.clamp_min(tiny).view(-1, 1, 1, 1)


def gaussian_blur(images: Tensor, std: float) -> Tensor:
    """Smooth (N, C, H, W) by a Gaussian along both axes; borders mirror, their pixels included."""
    reach = int(BLUR_REACH * std + 0.5)
    distances = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (distances / std) ** 2)
    taps: list[float] = (weights / weights.sum()).tolist()
    return smooth_along(smooth_along(images, taps, 2), taps, 3)


def smooth_along(images: Tensor, taps: list[float], axis: int) -> Tensor:
    """Weighted sum of neighbours along an axis, the middle tap on the pixel itself."""
    side, reach = images.shape[axis], len(taps) // 2
    places = torch.arange(-reach, side + reach, device=images.device) % (2 * side)
    mirrored = torch.minimum(places, 2 * side - 1 - places)  # … 1 0 | 0 1 … n−1 | n−1 n−2 …
    wide = images.index_select(axis, mirrored)
    return torch.stack([tap * wide.narrow(axis, i, side) for i, tap in enumerate(taps)]).sum(0)
