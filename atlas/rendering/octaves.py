"""The Fourier recipes: images optimised octave by octave, coarse to fine."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..images.tensors import fit, to_tensor
from ..network.network import Network, keep, spatial_mean
from ..network.tapping import Reduce
from ..shapes import Shape
from .climb import Climb, ask_every
from .job import Draft, Job, Log
from .kinds import FourierRecipe
from .objectives import (
    Objective,
    company_objective,
    direction_objective,
    facet_objective,
    gram_matrix,
    mean_and_deviation,
    unit_objective,
)
from .parameterization import (
    Parameterization,
    Phase,
    Spectrum,
    from_image,
    random_phases,
    random_spectrum,
    spectrum_scale,
)
from .transforms import draw_geometry, maps_of_grid


def render_octaves(network: Network, job: Job[FourierRecipe]) -> list[Draft]:
    """Optimise all units of a job, one octave after the other."""
    recipe, generators = job.recipe, job.generators()
    sides = recipe.sides(job.size)
    shapes = [network.picture_shape(side) for side in sides]
    images = first_images(job, shapes[0], generators, network)
    objective = make_objective(job, network)
    log = Log(len(job.channels), network.device)
    with network.tap(taps(job), job.precision) as run:
        for octave, side, shape in zip(recipe.octaves, sides, shapes, strict=True):
            images = images.finer(shape)
            maps = draw_geometry(
                octave.steps, recipe.shift, recipe.zoom, recipe.rotation, generators
            )
            climb = Climb(
                images=images,
                run=run,
                objective=objective,
                seen_shape=network.seen_shape(side, job.layer),
                maps=maps_of_grid(maps, shape).to(network.device),
                rate=recipe.learning_rate * job.rate,
                adaptivity=recipe.adaptivity,
                log=log,
                recorder=network.recorder,
            )
            climb.go(ask_every(network.device))
            log.end_octave(octave.steps, images.images().detach())
    return log.drafts(job.size)


def taps(job: Job[FourierRecipe]) -> dict[str, Reduce]:
    """Layers that the objective reads → the reduction of their activations."""
    if job.recipe.objective == "facet":
        return {job.layer: keep}
    reduce = mean_and_deviation if job.recipe.needs_company else spatial_mean
    return dict.fromkeys(job.natural, reduce)


def make_objective(job: Job[FourierRecipe], network: Network) -> Objective:
    """The objective of every unit of the job."""
    recipe = job.recipe
    if recipe.needs_company:
        weight = recipe.company_weight * recipe.loosening**job.loosened
        training = job.nature.training
        natural, device = job.natural, network.device
        apart = job.layer if job.parent else ""
        return company_objective(
            job.layer, job.channels, natural, training, weight, device, apart, job.aside
        )
    if recipe.objective == "direction":
        assert job.directions is not None
        return direction_objective(job.layer, job.channels, job.directions, network.device)
    if recipe.objective == "facet":
        weight = recipe.diversity * 0.5**job.attempt
        return facet_objective(job.layer, job.channels, job.stats, grams(network, job), weight)
    return unit_objective(job.layer, job.channels, job.stats, recipe.sign, network.device)


@torch.no_grad()
def grams(network: Network, job: Job[FourierRecipe]) -> list[Tensor]:
    """(N, C, C) Gram matrices of each earlier image of the units, seen at the input's size."""
    shape = network.info.shape
    with network.tap({job.layer: gram_matrix}) as run:
        return [
            run(to_tensor([fit(image, shape) for image in images]).to(network.device))[job.layer]
            for images in job.earlier_rounds()
        ]


def first_images(
    job: Job[FourierRecipe],
    shape: Shape,
    generators: Sequence[torch.Generator],
    network: Network,
) -> Parameterization:
    """Noise, or the images to start from, as parameters of the first octave."""
    recipe, device, planes = job.recipe, network.device, network.info.planes
    if recipe.parameterization == "phase":
        return Phase(
            parameters=random_phases(shape, generators, planes).to(device),
            magnitude=torch.from_numpy(job.nature.magnitude * recipe.contrast).to(device),
            contrast=recipe.contrast,
            generators=generators,
        )
    spectrum = random_spectrum(shape, recipe.start_std, generators, planes)
    if job.start == "example":
        spectrum = spectrum + start_spectrum(job, shape, network.picture_shape(job.size))
    return Spectrum(
        parameters=torch.view_as_real(spectrum).to(device),
        exponent=steepness(job),
        contrast=recipe.contrast,
        tint_rate=recipe.tint_rate,
    )


def steepness(job: Job[FourierRecipe]) -> float:
    """Exponent of the spectrum scale at this attempt."""
    steeper = job.attempt - (job.loosened if job.recipe.needs_company else 0)
    return job.recipe.exponent + job.recipe.exponent_step * steeper


def start_spectrum(job: Job[FourierRecipe], shape: Shape, full_shape: Shape) -> Tensor:
    """The spectra of the examples at the shape of the first octave.

    They are fitted to the shape of the finished pictures first, so that a picture starts from what
    can be seen at its size.
    """
    examples = [fit(job.example(channel), full_shape) for channel in job.channels]
    images = to_tensor([fit(image, shape) for image in examples])
    return from_image(images, spectrum_scale(shape, steepness(job)), job.recipe.contrast)
