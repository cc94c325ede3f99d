"""From (network, units of one layer, recipe) to drafts: `render` is the engine's one entrance.

All units of a job are optimised in one batch, each with its own generator, geometry, objective and
penalties, so that a picture depends on (weights, layer, channel, recipe, seed) and on nothing else
in the batch. Scores, retries and statuses come later.
"""

from .drafts import Draft, Job
from .network import Network
from .octaves import render_octaves
from .pyramid import render_pixels
from .recipes import FourierRecipe, Recipe


def render(network: Network, recipe: Recipe, job: Job) -> list[Draft]:
    """Render the units of a job by a recipe, one draft a unit."""
    if isinstance(recipe, FourierRecipe):
        return render_octaves(network, recipe, job)
    return render_pixels(network, recipe, job)
