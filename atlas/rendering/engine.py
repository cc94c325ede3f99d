"""From (network, units of one layer, recipe) to drafts: `render` is the engine's one entrance.

All units of a job are optimised in one batch, each with its own generator, geometry, objective and
penalties, so that a picture depends on (weights, layer, channel, recipe, seed) and on nothing else
in the batch. Scores, retries and statuses come later.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..images.tensors import luminance
from ..network.network import Network
from .ascent import render_ascent
from .job import Draft, Job
from .octaves import render_octaves
from .pyramid import render_pixels, render_upscaled
from .recipes import AscentRecipe, FourierRecipe, PixelRecipe, Recipe


def render(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
    """Render the units of a job by a recipe, one draft a unit; grey ones for a grey network."""
    drafts = render_colours(network, recipe, job)
    return [grey(draft) for draft in drafts] if len(network.info.mean) == 1 else drafts


def grey(draft: Draft) -> Draft:
    """The draft as a network of one channel sees it: all it knows is the luminance."""
    image, *snapshots = map(in_grey, (draft.image, *draft.snapshots))
    return replace(draft, image=image, snapshots=tuple(snapshots))


def in_grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The luminance of (3, H, W) in all three colours."""
    flat: NDArray[np.float32] = luminance(torch.from_numpy(image)[None])[0].numpy()
    return np.repeat(flat, 3, axis=0)


def render_colours(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
    """The drafts as their engine makes them."""
    if isinstance(recipe, FourierRecipe):
        return render_octaves(network, recipe, job)
    if isinstance(recipe, PixelRecipe):
        return render_pixels(network, recipe, job)
    if isinstance(recipe, AscentRecipe):
        return render_ascent(network, recipe, job)
    return render_upscaled(network, recipe, job)
