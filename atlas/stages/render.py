"""The stage ranking → renderings: every chosen unit that is not in the cache, block by block.

`render_units` finds what is to be done, prepares each block and commits what a `Renderer` made of
it: one in this process, or one in each process of a cluster.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..config import Config
from ..errors import one_line
from ..files.files import require_free
from ..images.pixels import to_pixels
from ..images.tensors import fit, to_tensor
from ..network import tuning
from ..network.network import Network
from ..records.network import LayerInfo
from ..records.samples import judging_images
from ..records.statistics import LayerStats
from ..records.units import Rendering
from ..rendering.job import Nature
from ..rendering.kinds import Recipe
from ..rendering.parameterization import mean_magnitude
from ..shapes import Picture, Shape, in_proportion
from ..workers.local import how_many_work, render_here
from ..workers.pool import LostError
from ..workers.ray import open_pool, require_cluster
from ..workers.renderer import Rendered, Renderer, load_renderer
from ..workers.schedule import (
    BlockGroup,
    UnitBlock,
    group_blocks,
    plan_blocks,
    shard_blocks,
    unit_cost,
)
from .choose import companions, natural_samples, natural_stats
from .rank import read_again, seen_pictures
from .recipes import find_base, recipes_for, rendering_fingerprint
from .run import Work
from .run_info import run_info

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


def render_units(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
    done: Callable[[], None] = lambda: None,
) -> list[Rendering]:
    """Render every chosen unit of this shard that the cache does not hold.

    Args:
        work, recipes, layers, stats, chosen: of the run.
        done: called whenever more is in the cache.

    Returns:
        The renderings that failed, each of which says why; they are tried again next time.
    """
    todo = missing_blocks(work, recipes, layers, chosen)
    if not todo:
        return []
    units = sum(len(block.channels) for block in todo)
    if work.config.units == "all":
        work.progress.say(f"--units all: {units} renderings; `build_atlas.py plan` says how long")
    # What all blocks share is found out once: there may be tens of thousands of them.
    used = dict.fromkeys(block.recipe for block in todo)
    numbers = {recipe: picture_numbers(work, recipe) for recipe in used}
    require_free(
        work.store.folder, 2 * sum(len(block.channels) * numbers[block.recipe] for block in todo)
    )
    marks = {recipe: rendering_fingerprint(work, recipe) for recipe in used}
    nature = gather_nature(work, recipes, stats)
    prepare = functools.partial(with_pictures, work, recipes, stats, usable_images(work))
    failures: list[Rendering] = []
    told: set[str] = set()
    with (
        open_workers(work, layers, nature) as render,
        work.progress.units(units, sum(block.cost for block in todo)),
    ):
        for _, wave in itertools.groupby(todo, key=lambda block: block.recipe.wave):
            for block, rendered in render(map(prepare, wave)):
                failures += commit(work, block, rendered, marks[block.recipe])
                told |= tell(work, rendered, told)
                done()
    return failures


def picture_numbers(work: Work, recipe: Recipe) -> int:
    """Return how many numbers the cache keeps of a recipe's picture: all pixels and channels."""
    info = work.store.read_network()[0]
    height, width = in_proportion(recipe.sides(work.config.size)[-1], info.shape)
    return info.planes * height * width


def missing_blocks(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    chosen: Mapping[str, Sequence[int]],
) -> list[UnitBlock]:
    """Return the blocks of this shard that the cache does not hold, wave by wave."""
    costs = {layer.name: unit_cost(recipes[0], layer) for layer in layers}
    ours = shard_blocks(chosen, costs, work.config.shard)
    pairs = [(recipe, layer) for layer in layers for recipe in recipes_for(layer, recipes)]
    missing: list[UnitBlock] = []
    for recipe in dict.fromkeys(recipe for recipe, _ in pairs):
        finished = work.store.finished_channels(rendering_fingerprint(work, recipe))
        for layer in (layer for one, layer in pairs if one == recipe):
            done = finished.get(layer.name, set())
            missing += plan_blocks(recipe, layer, chosen[layer.name], done, ours)
    return sorted(missing, key=lambda block: block.recipe.wave)


# --- who works ------------------------------------------------------------------------------------


RenderBlocks = Callable[[Iterable[UnitBlock]], Iterator[tuple[UnitBlock, Any]]]
"""Renders blocks; yields (block, `Rendered` or `LostError`) as they are done, in any order."""


@contextmanager
def open_workers(work: Work, layers: Sequence[LayerInfo], nature: Nature) -> Iterator[RenderBlocks]:
    """The workers of --engine."""
    config = work.config
    taps = list(dict.fromkeys([*(layer.name for layer in layers), *nature.stats]))
    if config.engine == "local":
        device = tuning.choose_device(config.device)
        renderer = Renderer(config, Network(work.model(), taps, device, config.compile), nature)
        together = tuning.most_together(config.batch, device)
        count = how_many_work(config, device)
        render = functools.partial(render_here, renderer, count, work.progress.warn)
        yield in_groups(render, together)
        return
    weights = str(Path(config.weights).absolute()) if config.weights else ""
    sent, expected = replace(config, weights=weights), work.store.read_network()[0].weights_sha256

    def build(device: str) -> Callable[[], Renderer]:
        return functools.partial(
            load_renderer, sent, device, taps, nature, expected, work.dictionaries
        )

    with open_pool(build, config.device, work.progress.warn) as pool:
        together = tuning.most_together(config.batch, torch.device(pool.device))
        yield in_groups(pool.map, together)


def in_groups(
    render: Callable[[Iterator[BlockGroup]], Iterable[tuple[BlockGroup, Any]]], units: int
) -> RenderBlocks:
    """Let blocks be rendered in groups of so many units, and give them back one by one."""

    def render_blocks(blocks: Iterable[UnitBlock]) -> Iterator[tuple[UnitBlock, Any]]:
        for group, made in render(group_blocks(blocks, units)):
            each = [made] * len(group.blocks) if isinstance(made, LostError) else made
            yield from zip(group.blocks, each, strict=True)

    return render_blocks


# --- what the driver does -------------------------------------------------------------------------


def with_pictures(
    work: Work,
    recipes: Sequence[Recipe],
    stats: Mapping[str, LayerStats],
    usable: NDArray[np.int64],
    block: UnitBlock,
) -> UnitBlock:
    """A block with the pictures of the cache that rendering it takes."""
    earlier = earlier_pictures(work, recipes, block) if block.recipe.wave else {}
    examples = best_images(work, stats[block.layer.name], block.channels, usable)
    return replace(block, examples=examples, earlier=earlier)


def best_images(
    work: Work, stats: LayerStats, channels: Sequence[int], usable: NDArray[np.int64]
) -> dict[int, bytes | Picture]:
    """Channel → the sample image that excites it most, of those of `usable_images`."""
    best = {
        channel: int(usable[np.argmax(stats.over_images(channel)[usable])]) for channel in channels
    }
    if not work.images.bands.many:
        return {channel: work.store.sample(image) for channel, image in best.items()}
    pictures = read_again(work, list(best.values()), rendered_shape(work))
    return {channel: pictures[image] for channel, image in best.items()}


def usable_images(work: Work) -> NDArray[np.int64]:
    """Indices of the sample images that do not judge, not as part of the reference either.

    Of all where every one of them does.
    """
    natural, own = natural_samples(work), work.store.read_samples().samples
    judging = zip(natural.samples, judging_images(natural), strict=True)
    judges = {sample.sha256 for sample, judges in judging if judges}
    usable = [place for place, sample in enumerate(own) if sample.sha256 not in judges]
    return np.array(usable or range(len(own)))


def earlier_pictures(
    work: Work, recipes: Sequence[Recipe], block: UnitBlock
) -> dict[int, list[NDArray[np.uint8]]]:
    """Channel → its base picture and its facets before this, at one size, if all exist."""
    base = find_base(recipes)
    assert base is not None
    facets = [one for one in recipes if 0 < one.wave < block.recipe.wave]
    marks = [rendering_fingerprint(work, one) for one in (base, *facets)]
    store, shape = work.store, rendered_shape(work)
    return {
        unit.channel: [fit(to_pixels(store.rendering(unit, mark).image), shape) for mark in marks]
        for unit in block.units
        if all(store.has_rendering(unit, mark) for mark in marks)
    }


def commit(
    work: Work, block: UnitBlock, rendered: Rendered | LostError, mark: str
) -> list[Rendering]:
    """Keep the renderings of a block under a fingerprint; returns those that failed.

    Raises:
        LostError: no worker survived the block; with --strict.
    """
    if isinstance(rendered, LostError):
        if work.config.strict:
            raise rendered
        failed = block.failed(one_line(rendered))
        rendered = Rendered(renderings=failed, device="", seconds=0.0)
    renderings = rendered.renderings
    failures = [one for one in renderings if one.status == "failed"]
    finished = [one for one in renderings if one.status != "failed"]
    if finished:
        run = replace(run_info(work.config), device=rendered.device)
        work.store.write_renderings(block.first, block.last, mark, finished, run)
    counts = Counter(one.status for one in renderings)
    work.progress.finished(
        f"{block.layer.name} {block.recipe.name}",
        len(renderings),
        block.cost,
        ", ".join(f"{count} {status}" for status, count in sorted(counts.items())),
        rendered.seconds,
    )
    for one in failures:
        work.progress.warn(f"{one.unit} failed: {one.reason}")
    return failures


def tell(work: Work, rendered: Rendered | LostError, told: Set[str]) -> set[str]:
    """Print the notes of a worker that were not printed before, and return them."""
    notes = set() if isinstance(rendered, LostError) else {*rendered.notes} - told
    for note in sorted(notes):
        work.progress.warn(note)
    return notes


def gather_nature(
    work: Work,
    recipes: Sequence[Recipe],
    stats: Mapping[str, LayerStats],
) -> Nature:
    """Gather the facts about real images that all blocks of a run share."""
    return Nature(
        stats=natural_stats(work, stats),
        companions=tuple(layer.name for layer in companions(work)),
        training=~judging_images(natural_samples(work)),
        hf=max(natural_samples(work).hf_median, LEAST_NATURAL_HF),
        magnitude=measure_magnitude(work, recipes),
    )


def measure_magnitude(work: Work, recipes: Sequence[Recipe]) -> NDArray[np.float32]:
    """Mean magnitude of the sample images' spectra, where a recipe needs it."""
    recipe = next((one for one in recipes if one.needs_magnitude), None)
    if recipe is None:
        return np.zeros((3, 0, 0), np.float32)
    usable = usable_images(work)
    places = np.linspace(0, len(usable) - 1, min(len(usable), MAGNITUDE_IMAGES)).astype(int)
    picks = usable[places].tolist()
    shape = rendered_shape(work, recipe.sides(work.config.size)[-1])
    pictures = seen_pictures(work, sorted(set(picks)), shape)
    return np.asarray(mean_magnitude(to_tensor(pictures)).to(torch.float32).numpy())


def rendered_shape(work: Work, side: int = 0) -> Shape:
    """Height and width of a picture whose longer side is --size or, where given, `side`."""
    return in_proportion(side or work.config.size, work.store.read_network()[0].shape)
