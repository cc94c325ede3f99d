"""What a build would do and cost, before it starts: `forecast`, then `as_text`.

A few gradient steps of the real network are timed at a few depths; the time of the layers between
follows from their multiply-adds. Nothing is written but into a folder that is removed again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..gallery.tree import BUDGET
from ..images.load import Loaded, load
from ..network import tuning
from ..network.network import Network, spatial_mean
from ..ranking.activations import PASS_BATCH, measure_layers
from ..ranking.ranking import channel_statistics
from ..records import CLASSES, LayerInfo, LayerStats
from ..rendering.engine import render
from ..rendering.job import Job, Nature
from ..rendering.kinds import FourierRecipe, Octave, Recipe
from ..rendering.parameterization import half_spectrum
from ..rendering.scoring import score_images
from ..shapes import Picture, Shape
from ..workers.schedule import Block
from .look import lens_fingerprint, lens_images
from .rank import choose_units, has_samples, unranked_layers, view_shape, wanted_layers
from .recipes import recipes_for
from .render import missing_blocks, picture_numbers
from .run import Work

DEPTHS = 4
"""Layers at which steps are timed, spread over the multiply-adds."""

ATTEMPTS = 1.2
"""Time of a unit over that of its steps: further attempts of some units, and what steps timed by
themselves leave out (measured on the embedded default)."""

LENS_PASSES = 26
"""Passes of the whole network, forward and back, for one image: noisy copies, saliency, and the
checked steps of a fooling image (measured)."""

START_SECONDS = 8.0
"""From the command to the first unit: imports, network, images found."""

DECODED = 12
"""Images decoded for timing."""

TIMED_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one layer asks for.

    Attributes:
        layer: its name.
        units: to be shown.
        renderings: pictures of them that are missing, over all recipes.
        cached: pictures of them that the cache holds.
        flops: floating-point operations of the missing ones.
        seconds: time of the missing ones.
    """

    layer: str
    units: int
    renderings: int
    cached: int
    flops: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a build would do.

    Attributes:
        rows: a layer each, in forward order.
        images: sample images.
        ranking, lenses, site: seconds of the passes beside the renderings.
        lens_images: image pages that are missing.
        cache_bytes, site_bytes: sizes in the end.
    """

    rows: tuple[Row, ...]
    images: int
    ranking: float
    lenses: float
    lens_images: int
    site: float
    cache_bytes: float
    site_bytes: float

    @property
    def seconds(self) -> float:
        """Of the whole build."""
        work = self.ranking + self.lenses + sum(row.seconds for row in self.rows)
        return START_SECONDS + work + self.site


def forecast(work: Work, recipes: Sequence[Recipe], layers: Sequence[LayerInfo]) -> Forecast:
    """Time a few steps and extrapolate.

    Args:
        work: opened by `work.peek_work`.
        recipes: of the build.
        layers: of the build, the class scores among them.
    """
    chosen = expected_units(work, layers)
    blocks = missing_blocks(work, recipes, layers, chosen)
    pairs = {(one.recipe.name, one.layer.name): (one.recipe, one.layer) for one in blocks}
    images, unranked = len(work.images.items), unranked_layers(work, layers)
    lenses, unread = missing_lenses(work, layers), not has_samples(work)
    seconds: dict[tuple[str, str], float] = {}
    ranking = looking = 0.0
    if pairs or unranked or unread or lenses:
        clock = Stopwatch(work, layers)
        seconds = clock.unit_seconds(list(pairs.values()))
        ranking = clock.ranking_seconds(unranked, images) if unranked or unread else 0.0
        looking = clock.lens_seconds() * lenses
    rows = [row(layer, chosen[layer.name], blocks, recipes, seconds) for layer in layers]
    units = sum(one.units for one in rows)
    pictures = sum(one.renderings + one.cached for one in rows)
    numbers = sum(
        len(chosen[layer.name]) * picture_numbers(work, recipe)
        for layer in layers
        for recipe in recipes_for(layer, recipes)
    )
    return Forecast(
        rows=tuple(rows),
        images=images,
        ranking=ranking,
        lenses=looking,
        lens_images=lenses,
        site=0.5 + 0.012 * pictures + 0.25 * work.config.lenses,
        cache_bytes=cache_bytes(work, layers, numbers),
        site_bytes=site_bytes(work, units, pictures, numbers // work.images.bands.channels),
    )


def row(
    layer: LayerInfo,
    channels: Sequence[int],
    blocks: Sequence[Block],
    recipes: Sequence[Recipe],
    seconds: Mapping[tuple[str, str], float],
) -> Row:
    """What one layer asks for."""
    counts: Counter[Recipe] = Counter()
    for block in blocks:
        if block.layer.name == layer.name:
            counts[block.recipe] += len(block.channels)
    steps = sum(count * recipe.steps_at_full_size() for recipe, count in counts.items())
    total = len(recipes_for(layer, recipes)) * len(channels)
    return Row(
        layer=layer.name,
        units=len(channels),
        renderings=counts.total(),
        cached=total - counts.total(),
        flops=ATTEMPTS * steps * 4 * layer.multiply_adds,  # forward and back, 2 per multiply-add
        seconds=sum(count * seconds[recipe.name, layer.name] for recipe, count in counts.items()),
    )


# --- how much -------------------------------------------------------------------------------------


def expected_units(work: Work, layers: Sequence[LayerInfo]) -> dict[str, tuple[int, ...]]:
    """Layer → channels: those chosen where all is ranked, else as many as there will be."""
    if not unranked_layers(work, layers):
        return choose_units(work, {one.name: work.store.read_stats(one.name) for one in layers})
    return {one.name: tuple(range(expected_count(work, one))) for one in layers}


def expected_count(work: Work, layer: LayerInfo) -> int:
    """How many units of a layer will be chosen."""
    classes = work.config.classes
    named = len(classes) if isinstance(classes, tuple) else classes
    shown_classes = layer.channels if named == "all" else named
    if layer.name == CLASSES:
        return min(shown_classes, layer.channels)
    if work.config.units == "all":
        return layer.channels
    voters = shown_classes if "readout" in layer.groups else 0  # about one of three is new
    return min(work.config.units + voters, layer.channels)


def missing_lenses(work: Work, layers: Sequence[LayerInfo]) -> int:
    """Image pages that the cache does not hold."""
    if not has_samples(work):
        return min(work.config.lenses, len(work.images.items))
    done = work.store.finished_lenses(lens_fingerprint(work, layers))
    return len({*lens_images(work)} - done)


VIEW, LENS, UNIT_PAGE = 30_000, 1_000_000, 80_000
"""Bytes of a sample image's view, of its lenses, and of a unit's page, data, patches and whole
images (measured on the embedded default)."""


def cache_bytes(work: Work, layers: Sequence[LayerInfo], numbers: int) -> float:
    """Size of the cache in the end."""
    images = len(work.images.items)
    channels = sum(layer.channels for layer in wanted_layers(work, layers))
    pictures = 2.0 * numbers  # float16
    return pictures + images * (2 * channels + VIEW) + LENS * work.config.lenses


def site_bytes(work: Work, units: int, pictures: int, pixels: int) -> float:
    """Size of the model's pages in the end."""
    shown = 0.75 * pixels + 12_000 * pictures  # JPEG; thumbnail, sheet
    return units * UNIT_PAGE + shown + LENS * work.config.lenses


# --- how fast -------------------------------------------------------------------------------------


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

    def unit_seconds(
        self, pairs: Sequence[tuple[Recipe, LayerInfo]]
    ) -> dict[tuple[str, str], float]:
        """(recipe, layer) → seconds of a unit, timed at a few depths, between them by cost."""
        found: dict[tuple[str, str], float] = {}
        for recipe in dict.fromkeys(recipe for recipe, _ in pairs):
            layers = sorted(
                (layer for one, layer in pairs if one == recipe), key=lambda one: one.multiply_adds
            )
            places = np.unique(np.linspace(0, len(layers) - 1, DEPTHS).round().astype(int))
            costs = [layers[place].multiply_adds for place in places]
            times = [self.unit(recipe, layers[place]) for place in places]
            for layer in layers:
                seconds = float(np.interp(layer.multiply_adds, costs, times))
                found[recipe.name, layer.name] = ATTEMPTS * seconds
        return found

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
            nature=Nature(stats=self.stats, hf=1.0, magnitude=magnitude),
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

    def lens_seconds(self) -> float:
        """Seconds of all lenses of one image."""
        layer = self.wanted[-1].name
        size = self.network.info.input_size
        return LENS_PASSES * time_step(self.network, layer, size, "fp32", 8) / 8


def first_images(work: Work, size: Shape) -> Iterator[Picture]:
    """The first few sample images that can be decoded."""
    few = replace(work.images, items=work.images.items[:DECODED])
    for item in load(few, size, view_shape(size)):
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
    return channel_statistics(layer, 224, means=means, peaks=means, places=places)


# --- in words -------------------------------------------------------------------------------------


def as_text(plan: Forecast) -> str:
    """The forecast as a table and a few lines."""
    head = ("layer", "units", "renderings", "cached", "TFLOP", "minutes")
    body = [
        (
            one.layer,
            f"{one.units}",
            f"{one.renderings}",
            f"{one.cached}",
            f"{one.flops / 1e12:.1f}",
            f"{one.seconds / 60:.1f}",
        )
        for one in plan.rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = []
    for cells in (head, *body):
        right = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append("  ".join([cells[0].ljust(widths[0]), *right]))
    renderings = sum(one.seconds for one in plan.rows)
    parts = (
        ("start", START_SECONDS),
        (f"ranking over {plan.images} images", plan.ranking),
        (f"{sum(one.renderings for one in plan.rows)} renderings", renderings),
        (f"{plan.lens_images} image pages", plan.lenses),
        ("site", plan.site),
    )
    lines += [f"{name}: {seconds / 60:.1f} minutes" for name, seconds in parts]
    lines.append(f"in all about {plan.seconds / 60:.1f} minutes on this machine")
    lines.append(
        f"cache about {plan.cache_bytes / 1e6:,.0f} MB, site about {plan.site_bytes / 1e6:,.0f} MB "
        f"({plan.site_bytes / BUDGET:.0%} of the {BUDGET / 1e6:,.0f} MB that may be published)"
    )
    return "\n".join(lines)
