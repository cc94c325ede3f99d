"""Times pieces of the work on the real network, for `forecast.py`.

A few gradient steps are timed at a few depths; the time of the layers between follows from their
multiply-adds.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from ..attribution.circuits import IMAGES, tracing
from ..attribution.masks import mask_unit
from ..errors import InputError
from ..images.load import Loaded, load
from ..images.tensors import to_tensor
from ..network import tuning
from ..network.network import Network, spatial_mean
from ..ranking.activations import PASS_BATCH, measure_layers
from ..ranking.ranking import channel_statistics, patch_boxes
from ..ranking.stimuli import draw
from ..records.network import LayerInfo
from ..records.statistics import EXAMPLES, LayerStats
from ..rendering.engine import render
from ..rendering.job import Job, Nature
from ..rendering.kinds import FourierRecipe, Octave, Recipe
from ..rendering.parameterization import half_spectrum
from ..rendering.scoring import score_images
from ..shapes import Picture, Shape
from ..workers.forks import spread
from ..workers.local import how_many_work
from .choose import wanted_layers
from .rank import square_shape
from .run import Work
from .tune import Tuner

K = TypeVar("K")

DEPTHS = 4
"""Layers at which steps are timed, spread over the multiply-adds."""

ATTEMPTS = 1.2
"""Time of a unit over that of its steps: further attempts of some units, and what steps timed by
themselves leave out (measured on the embedded default)."""

LENS_PASSES = 26
"""Passes of the whole network, forward and back, for one image: noisy copies, saliency, and the
checked steps of a fooling image (measured)."""

DECODED = 12
"""Images decoded for timing."""

TIMED_STEPS = 2


class Stopwatch:
    """Times pieces of the work on the real network.

    Args:
        work: opened by `work.peek_work`.
        layers: of the build.
    """

    def __init__(self, work: Work, layers: Sequence[LayerInfo]) -> None:
        self.work = work
        self.wanted = wanted_layers(work, layers)
        self.stats = {layer.name: made_up(layer) for layer in self.wanted}
        device = tuning.choose_device(work.config.device)
        names = [layer.name for layer in self.wanted]
        self.network = Network(work.model(), names, device, work.config.compile)
        self.processes = how_many_work(work.config, device)

    def side_by_side(self, measure: Callable[[], dict[K, float]]) -> dict[K, float]:
        """What a process of this machine measures while the others do too, over their number."""
        count = self.processes
        every = spread(lambda _: measure(), range(count), count, self.work.progress.warn)
        found = [one for _, one in every]
        return {key: sum(one[key] for one in found) / count**2 for key in found[0]}

    def unit_seconds(
        self, pairs: Sequence[tuple[Recipe, LayerInfo]]
    ) -> dict[tuple[str, str], float]:
        """(recipe, layer) → seconds of a unit, timed at a few depths, between them by cost."""
        return self.side_by_side(lambda: self.recipe_seconds(pairs))

    def recipe_seconds(
        self, pairs: Sequence[tuple[Recipe, LayerInfo]]
    ) -> dict[tuple[str, str], float]:
        """The same in one process."""
        found: dict[tuple[str, str], float] = {}
        for recipe in dict.fromkeys(recipe for recipe, _ in pairs):
            layers = [layer for one, layer in pairs if one == recipe]
            times = at_a_few_depths(layers, functools.partial(self.unit, recipe))
            found |= {(recipe.name, name): ATTEMPTS * spent for name, spent in times.items()}
        return found

    def mask_seconds(self, layers: Sequence[LayerInfo]) -> dict[str, float]:
        """Layer → seconds of the masks of a unit."""
        return self.side_by_side(lambda: at_a_few_depths(layers, self.masks))

    def masks(self, layer: LayerInfo) -> float:
        """Seconds of the masks of one unit."""
        shape = self.network.info.shape
        picture = np.full((*shape, self.network.info.planes), 128, np.uint8)
        boxes = np.tile(patch_boxes(layer, shape, np.zeros(1, np.int32)), (EXAMPLES, 1))
        return timed(lambda: mask_unit(self.network, layer, 0, [picture] * EXAMPLES, boxes))

    def circuit_seconds(self, layers: Sequence[LayerInfo]) -> dict[str, float]:
        """Layer → seconds of the circuit of a unit; 0 where the network cannot be run in parts.

        A direction takes as long as a channel of the layer that its dictionary stands in for.
        """
        picture = np.full((*self.network.info.shape, self.network.info.planes), 128, np.uint8)
        plain = {one.name: one for one in self.wanted if not one.parent}
        timed_layers = [
            plain[name] for name in dict.fromkeys(one.parent or one.name for one in layers)
        ]
        try:
            with tracing(self.network, {name: self.stats[name] for name in plain}) as circuits:

                def trace(layer: LayerInfo) -> None:
                    scene = circuits.scene(to_tensor([picture]))
                    circuits.of_unit(layer.name, 0, {0: scene})

                spent = self.side_by_side(
                    lambda: at_a_few_depths(timed_layers, lambda one: timed(lambda: trace(one)))
                )
                return {one.name: IMAGES * spent[one.parent or one.name] for one in layers}
        except InputError:
            return dict.fromkeys([layer.name for layer in layers], 0.0)

    def unit(self, recipe: Recipe, layer: LayerInfo) -> float:
        """Seconds of one unit: all steps and the scores."""
        config = self.work.config
        batch = tuning.choose_batch(config.batch, self.network, layer.name, config.size)
        channels = tuple(range(min(batch, layer.channels)))
        steps = self.steps(recipe, layer, channels)
        shape = (*self.network.info.shape, self.network.info.planes)
        pictures = [np.full(shape, 128, np.uint8)] * len(channels)
        began = time.perf_counter()
        score_images(self.network, layer.name, channels, pictures, self.stats[layer.name], 1.0)
        return (steps + time.perf_counter() - began) / len(channels)

    def steps(self, recipe: Recipe, layer: LayerInfo, channels: tuple[int, ...]) -> float:
        """Seconds of all steps of a batch: a few are timed, at each side for Fourier recipes."""
        config = self.work.config
        recipe = recipe.suited_to(layer)
        passes = recipe.single_passes()
        if not passes:
            step = time_step(self.network, layer.name, config.size, "fp32", len(channels))
            return step * recipe.steps_at_full_size()
        return sum(
            one.octaves[0].steps * self.step(self.job(one, recipe, layer, channels))
            for one in passes
        )

    def job(
        self, one: FourierRecipe, whole: Recipe, layer: LayerInfo, channels: tuple[int, ...]
    ) -> Job[FourierRecipe]:
        """A request for one pass of a recipe."""
        config, network = self.work.config, self.network
        shape = network.picture_shape(whole.sides(config.size)[-1])
        magnitude = np.ones((network.info.planes, *half_spectrum(shape)), np.float32)
        return Job(
            recipe=one,
            layer=layer.name,
            channels=channels,
            size=config.size,
            seed=config.seed,
            weights=network.weights_sha256,
            batch=len(channels),
            precision=tuning.choose_precision(config.precision, network.device),
            nature=Nature(
                stats=self.stats,
                companions=tuple(self.stats),
                training=np.ones(len(self.stats[layer.name].activations), np.bool_),
                hf=1.0,
                magnitude=magnitude,
            ),
            examples={},
            earlier={},
        )

    def step(self, job: Job[FourierRecipe]) -> float:
        """Seconds of one step of a batch in the one octave of a recipe."""
        (octave,) = job.recipe.octaves

        def seconds(steps: int) -> float:
            octaves = (Octave(share=octave.share, steps=steps),)
            short = replace(job, recipe=replace(job.recipe, octaves=octaves))
            return timed(lambda: render(self.network, short))

        return max(seconds(4) - seconds(1), 1e-6) / 3

    def ranking_seconds(self, layers: Sequence[LayerInfo], images: int) -> float:
        """Seconds of the pass over all images: decoding, and the network."""
        size = self.network.info.shape
        began = time.perf_counter()
        pixels = list(first_images(self.work, size))
        decode = (time.perf_counter() - began) / len(pixels)
        batch = (pixels * PASS_BATCH)[:PASS_BATCH]
        run = timed(lambda: list(measure_layers(self.network, layers, batch))) / PASS_BATCH
        return images * (decode + run)

    def tuning_seconds(self, layers: Sequence[LayerInfo]) -> float:
        """Seconds of the pass over the synthetic stimuli."""
        info = self.network.info
        stimuli = Tuner(info).stimuli
        batch = [draw(one, info.shape, info.planes) for one in stimuli[:PASS_BATCH]]
        run = timed(lambda: list(measure_layers(self.network, layers, batch))) / len(batch)
        return len(stimuli) * run

    def lens_seconds(self) -> float:
        """Seconds of all lenses of one image."""
        layer = self.wanted[-1].name
        size = self.network.info.input_size

        def lens() -> dict[str, float]:
            return {layer: LENS_PASSES * time_step(self.network, layer, size, "fp32", 8) / 8}

        return self.side_by_side(lens)[layer]


def at_a_few_depths(
    layers: Sequence[LayerInfo], seconds: Callable[[LayerInfo], float]
) -> dict[str, float]:
    """Layer → seconds, timed at a few depths, between them by multiply-adds."""
    rising = sorted(layers, key=lambda one: one.multiply_adds)
    places = np.unique(np.linspace(0, len(rising) - 1, DEPTHS).round().astype(int))
    costs = [rising[place].multiply_adds for place in places]
    times = [seconds(rising[place]) for place in places]
    return {one.name: float(np.interp(one.multiply_adds, costs, times)) for one in rising}


def first_images(work: Work, size: Shape) -> Iterator[Picture]:
    """The first few sample images that can be decoded."""
    few = replace(work.images, items=work.images.items[:DECODED])
    for item in load(few, size, square_shape(size)):
        if isinstance(item, Loaded):
            yield item.pixels


def timed(action: Callable[[], object]) -> float:
    """The lesser time of two runs."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def time_step(network: Network, layer: str, side: int, precision: str, batch: int) -> float:
    """Seconds of one forward and backward pass, the best of a few after a first one."""
    images = torch.full((batch, 3, side, side), 0.5, device=network.device, requires_grad=True)
    seconds = []
    with network.tap({layer: spatial_mean}, precision) as run:
        for _ in range(TIMED_STEPS + 1):
            began = time.perf_counter()
            torch.autograd.grad(run(images)[layer].sum(), images)
            if network.device.type == "cuda":
                torch.cuda.synchronize(network.device)
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def made_up(layer: LayerInfo) -> LayerStats:
    """Statistics of a layer without a pass: only their shapes matter for the time."""
    random = np.random.default_rng(0)
    means = random.normal(size=(10, layer.channels)).astype(np.float32)
    places = np.zeros(means.shape, np.int32)
    return channel_statistics(layer, 224, means=means, peaks=means, places=places, deviations=means)
