"""The stage ranking → renderings: every chosen unit that is not in the cache, block by block.

`render_units` finds what is to be done, a `Stage` prepares and commits it, and a `Renderer` does
the work: one in this process, or one in each process of a cluster.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..config import Config, fingerprint
from ..errors import InputError, one_line
from ..files.files import require_free
from ..images.tensors import fit, to_pixels, to_tensor
from ..network import tuning
from ..network.network import Network
from ..records import CLASSES, LayerInfo, LayerStats, Rendering, Unit
from ..rendering.attempts import failed_rendering, plan_blocks, shard_blocks
from ..rendering.octaves import octave_sides
from ..rendering.parameterization import mean_magnitude
from ..rendering.recipes import (
    COMPANY_MINIMUM,
    FourierRecipe,
    Recipe,
    digest,
    facet,
    find_recipes,
    negative,
    picture_side,
)
from ..shapes import Picture, Shape, in_proportion
from ..workers.ray import LostError, open_pool, require_cluster
from ..workers.tasks import (
    Alone,
    Item,
    Nature,
    Rendered,
    Renderer,
    Task,
    Workers,
    load_renderer,
    unit_cost,
    wave_of,
)
from .rank import (
    companions,
    distinct_images,
    natural_samples,
    natural_stats,
    read_again,
    seen_pictures,
)
from .run import Work, run_info

RENDERING_VERSION = 2
"""Raised whenever the same settings would give other pictures or scores."""

LEAST_NATURAL_HF = 1e-4
MAGNITUDE_IMAGES = 256
"""Sample images whose mean magnitude `phase` uses, evenly spread over the set."""


def check_workers(config: Config) -> None:
    """Refuse an --engine that is not there; at the start of a build.

    Raises:
        InputError: Ray is not installed, or its cluster does not answer.
    """
    if config.engine == "ray":
        require_cluster()


def choose_recipes(work: Work) -> tuple[Recipe, ...]:
    """The recipes of --recipe, --negative and --facets; the first is the default picture.

    Raises:
        InputError: `company` was asked for and too few images stand behind the statistics.
    """
    distinct = distinct_images(work)
    enough = distinct >= COMPANY_MINIMUM
    names: list[str] = []
    for name in work.config.recipe:
        names += (["octaves", "company"] if enough else ["octaves"]) if name == "auto" else [name]
    if "company" in names and not enough:
        raise InputError(
            f"recipe company needs {COMPANY_MINIMUM} distinct images behind the statistics, "
            f"there are {distinct}; give more --images, or a --reference"
        )
    recipes = list(find_recipes(tuple(dict.fromkeys(names))))
    base = next((one for one in recipes if isinstance(one, FourierRecipe)), None)
    if base is not None and work.config.negative:
        recipes.append(negative(base))
    if base is not None:
        recipes += [facet(base, number) for number in range(1, work.config.facets + 1)]
    return tuple(recipes)


def recipes_for(layer: LayerInfo, recipes: Sequence[Recipe]) -> tuple[Recipe, ...]:
    """The recipes of a layer's units: all, but for classes those that mean something.

    A class has no company in its own layer, and what it dislikes or how else it looks is not asked
    of it; where nothing is left, `octaves`.
    """
    if layer.name != CLASSES:
        return tuple(recipes)
    suited = [
        one
        for one in recipes
        if not isinstance(one, FourierRecipe) or (one.objective == "unit" and one.sign > 0)
    ]
    return tuple(suited) or find_recipes(("octaves",))


def rendering_fingerprint(work: Work, recipe: Recipe) -> str:
    """Identifies what decides a rendering beside the key."""
    company = isinstance(recipe, FourierRecipe) and recipe.objective == "company"
    return fingerprint(
        {
            "rendering": RENDERING_VERSION,
            "recipe": digest(recipe),
            "size": work.config.size,
            "seed": work.config.seed,
            "snapshots": work.config.snapshots,
            "reference": "" if work.reference is None else work.reference.sha256,
            "company": [layer.name for layer in companions(work)] if company else [],
        }
    )


def render_units(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> list[Rendering]:
    """Render every chosen unit of this shard that the cache does not hold.

    Returns:
        The renderings that failed, each of which says why; they are tried again next time.
    """
    todo = missing_blocks(work, recipes, layers, chosen)
    if not todo:
        return []
    units = sum(len(item.block.channels) for item in todo)
    if work.config.units == "all":
        work.progress.say(f"--units all: {units} renderings; `build_atlas.py plan` says how long")
    numbers = sum(len(item.block.channels) * picture_numbers(work, item.recipe) for item in todo)
    require_free(work.store.folder, 2 * numbers)
    nature = gather_nature(work, recipes, stats)
    failures: list[Rendering] = []
    with (
        open_workers(work, layers, nature) as workers,
        work.progress.units(units, sum(item.cost for item in todo)),
    ):
        stage = Stage(work, recipes, stats, workers, nature)
        for _, wave in itertools.groupby(todo, key=lambda item: item.wave):
            failures += stage.render(wave)
    return failures


def picture_numbers(work: Work, recipe: Recipe) -> int:
    """How many numbers the cache keeps of a picture by a recipe: of every pixel and channel."""
    info = work.store.read_network()[0]
    height, width = in_proportion(picture_side(recipe, work.config.size), info.shape)
    return info.planes * height * width


def missing_blocks(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    chosen: Mapping[str, Sequence[int]],
) -> list[Item]:
    """What this shard is to render and the cache does not hold, wave by wave."""
    costs = {layer.name: unit_cost(recipes[0], layer) for layer in layers}
    ours = shard_blocks(chosen, costs, work.config.shard)
    pairs = [(recipe, layer) for layer in layers for recipe in recipes_for(layer, recipes)]
    items: list[Item] = []
    for recipe in dict.fromkeys(recipe for recipe, _ in pairs):
        finished = work.store.finished(rendering_fingerprint(work, recipe))
        for layer in (layer for one, layer in pairs if one == recipe):
            done = list(finished.get(layer.name, {}))
            blocks = plan_blocks(layer.name, chosen[layer.name], done, ours)
            items += [Item(recipe=recipe, layer=layer, block=block) for block in blocks]
    return sorted(items, key=lambda item: item.wave)


# --- who works ------------------------------------------------------------------------------------


@contextmanager
def open_workers(work: Work, layers: Sequence[LayerInfo], nature: Nature) -> Iterator[Workers]:
    """The workers of --engine."""
    config = work.config
    taps = list(dict.fromkeys([*(layer.name for layer in layers), *nature.stats]))
    if config.engine == "local":
        device = tuning.choose_device(config.device)
        network = Network(work.model(), taps, device, config.compile)
        yield Alone(Renderer(config, network, nature))
        return
    weights = str(Path(config.weights).absolute()) if config.weights else ""
    sent, expected = replace(config, weights=weights), work.store.read_network()[0].weights_sha256

    def build(device: str) -> Callable[[], Renderer]:
        return functools.partial(load_renderer, sent, device, taps, nature, expected)

    with open_pool(build, config.device, work.progress.warn) as pool:
        yield pool


# --- what the driver does -------------------------------------------------------------------------


class Stage:
    """Prepares tasks from the cache, and commits what workers make of them: the only writer."""

    def __init__(
        self,
        work: Work,
        recipes: Sequence[Recipe],
        stats: Mapping[str, LayerStats],
        workers: Workers,
        nature: Nature,
    ) -> None:
        self.work = work
        self.recipes = recipes
        self.stats = stats
        self.workers = workers
        self.nature = nature

    def render(self, items: Iterable[Item]) -> list[Rendering]:
        """Render and commit blocks that need nothing of one another; returns what failed."""
        failures: list[Rendering] = []
        for task, rendered in self.workers.map(map(self.task, items)):
            if isinstance(rendered, LostError):
                rendered = self.lost(task, rendered)
            failures += self.commit(task.item, rendered)
        return failures

    def task(self, item: Item) -> Task:
        """All that rendering a block takes."""
        units = [Unit(layer=item.layer.name, channel=channel) for channel in item.block.channels]
        return Task(
            item=item,
            best=self.best_images(units),
            earlier=self.earlier_pictures(item.recipe, units) if item.wave else {},
        )

    def commit(self, item: Item, rendered: Rendered) -> list[Rendering]:
        """Keep the renderings of a block; returns its failures."""
        work, renderings = self.work, rendered.renderings
        failed = [one for one in renderings if one.status == "failed"]
        finished = [one for one in renderings if one.status != "failed"]
        if finished:
            mark = rendering_fingerprint(work, item.recipe)
            run = replace(run_info(work.config), device=rendered.device)
            work.store.write_renderings(item.block.first, item.block.last, mark, finished, run)
        counts = Counter(one.status for one in renderings)
        work.progress.finished(
            f"{item.layer.name} {item.recipe.name}",
            len(renderings),
            item.cost,
            ", ".join(f"{count} {status}" for status, count in sorted(counts.items())),
            rendered.seconds,
        )
        for one in failed:
            work.progress.warn(f"{one.unit} failed: {one.reason}")
        return failed

    def lost(self, task: Task, error: LostError) -> Rendered:
        """The failures of a block that no worker survived.

        Raises:
            LostError: with --strict.
        """
        if self.work.config.strict:
            raise error
        block, name = task.item.block, task.item.recipe.name
        units = [Unit(layer=block.layer, channel=channel) for channel in block.channels]
        failed = tuple(failed_rendering(unit, name, one_line(error)) for unit in units)
        return Rendered(renderings=failed, device=self.workers.device, seconds=0.0)

    def best_images(self, units: Sequence[Unit]) -> dict[int, bytes | Picture]:
        """Channel → the sample image that excites it most."""
        best = {
            unit.channel: int(np.argmax(self.stats[unit.layer].over_images(unit.channel)))
            for unit in units
        }
        if not self.work.images.bands.many:
            return {channel: self.work.store.sample(image) for channel, image in best.items()}
        pictures = read_again(self.work, list(best.values()), rendered_shape(self.work))
        return {channel: pictures[image] for channel, image in best.items()}

    def earlier_pictures(
        self, recipe: Recipe, units: Sequence[Unit]
    ) -> dict[int, list[NDArray[np.uint8]]]:
        """Channel → its base picture and its facets before `recipe`, at one size, if all exist."""
        base = next(one for one in self.recipes if isinstance(one, FourierRecipe))
        facets = [one for one in self.recipes if 0 < wave_of(one) < wave_of(recipe)]
        marks = [rendering_fingerprint(self.work, one) for one in (base, *facets)]
        store, shape = self.work.store, rendered_shape(self.work)
        return {
            unit.channel: [
                fit(to_pixels(store.rendering(unit, mark).image), shape) for mark in marks
            ]
            for unit in units
            if all(store.has_rendering(unit, mark) for mark in marks)
        }


def gather_nature(
    work: Work,
    recipes: Sequence[Recipe],
    stats: Mapping[str, LayerStats],
) -> Nature:
    """What all blocks of a run take from real images."""
    return Nature(
        stats=natural_stats(work, stats),
        hf=max(natural_samples(work).hf_median, LEAST_NATURAL_HF),
        magnitude=measure_magnitude(work, recipes),
    )


def measure_magnitude(work: Work, recipes: Sequence[Recipe]) -> NDArray[np.float32]:
    """Mean magnitude of the sample images' spectra, where a recipe needs it."""
    phase = [
        one for one in recipes if isinstance(one, FourierRecipe) and one.parameterization == "phase"
    ]
    if not phase:
        return np.zeros((3, 0, 0), np.float32)
    count = len(work.store.read_samples().samples)
    picks = np.linspace(0, count - 1, min(count, MAGNITUDE_IMAGES)).astype(int).tolist()
    shape = rendered_shape(work, octave_sides(phase[0], work.config.size)[-1])
    pictures = seen_pictures(work, sorted(set(picks)), shape)
    magnitude = mean_magnitude(to_tensor(pictures), phase[0].contrast)
    return np.asarray(magnitude.to(torch.float32).numpy())


def rendered_shape(work: Work, side: int = 0) -> Shape:
    """Height and width of a picture whose longer side is --size or, where given, `side`."""
    return in_proportion(side or work.config.size, work.store.read_network()[0].shape)
