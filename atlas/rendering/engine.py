"""From a network and a job to drafts: `render_finite` is the engine's one entrance.

All units of a job are optimised in one batch, each with its own generator, geometry, objective and
penalties, so that a picture depends on (weights, layer, channel, recipe, seed) and on nothing else
in the batch. Scores, further attempts and statuses come later.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..images.tensors import luminance
from ..network.memory import is_out_of_memory
from ..network.network import Network
from .ascent import render_ascent
from .job import Draft, Job
from .kinds import FourierRecipe, Recipe
from .octaves import render_octaves
from .pyramid import render_pixels, render_upscaled
from .sources import AscentRecipe, PixelRecipe, UpscaleRecipe

ENGINES: dict[type[Recipe], Callable[[Network, Job[Any]], list[Draft]]] = {
    FourierRecipe: render_octaves,
    PixelRecipe: render_pixels,
    UpscaleRecipe: render_upscaled,
    AscentRecipe: render_ascent,
}


def render_finite(network: Network, job: Job[Recipe]) -> list[Draft]:
    """Render; units that met values that are not finite once more at half the learning rate."""
    drafts = render_in_memory(network, job)
    broken = [i for i, draft in enumerate(drafts) if not draft.finite]
    if broken:
        channels = tuple(job.channels[i] for i in broken)
        again = replace(job, channels=channels, rate=job.rate / 2)
        for i, draft in zip(broken, render_in_memory(network, again), strict=True):
            drafts[i] = draft
    return drafts


def render_in_memory(network: Network, job: Job[Recipe]) -> list[Draft]:
    """Render; where the batch does not fit in memory, in halves.

    Raises:
        torch.OutOfMemoryError: even one unit does not fit.
    """
    try:
        return render(network, job)
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if len(job.channels) == 1 or not is_out_of_memory(error):
            raise
    if network.device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(job.channels) // 2
    return [
        *render_in_memory(network, replace(job, channels=job.channels[:half])),
        *render_in_memory(network, replace(job, channels=job.channels[half:])),
    ]


def render(network: Network, job: Job[Recipe]) -> list[Draft]:
    """Render the units of a job in one batch, one draft a unit; grey ones for a grey network."""
    drafts = ENGINES[type(job.recipe)](network, job)
    return [grey(draft) for draft in drafts] if len(network.info.mean) == 1 else drafts


def grey(draft: Draft) -> Draft:
    """The draft as a network of one channel sees it: all it knows is the luminance."""
    image, *snapshots = map(in_grey, (draft.image, *draft.snapshots))
    return replace(draft, image=image, snapshots=tuple(snapshots))


def in_grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The luminance of (3, H, W) in all three colours."""
    flat: NDArray[np.float32] = luminance(torch.from_numpy(image)[None])[0].numpy()
    return np.repeat(flat, 3, axis=0)
