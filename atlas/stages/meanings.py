"""The stage ranking → meanings: do the images that excite a unit most fall into groups?

`find_meanings` is the way in. What the observer makes of the sample images is in the cache by then,
so that nothing is looked at again; a unit whose images fall apart gets a picture for each group.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.digests import fingerprint
from ..models.observers import HOW_TO_GET, ChosenObserver, choose_observer
from ..ranking.meanings import (
    BEST,
    COUNTS,
    LEAST_POOL,
    Null,
    Views,
    best_images,
    deep_views,
    first_of_files,
    others_of,
)
from ..records.meanings import Meanings
from ..records.network import CLASSES, LayerInfo
from ..records.samples import judging_images
from ..records.statistics import LayerStats
from ..rendering.kinds import COMPANY_MINIMUM, Recipe
from ..rendering.recipes import meaning_recipe
from ..workers.schedule import UnitBlock, plan_blocks, shard_blocks, unit_cost
from .attribution import guarded
from .choose import distinct_images, natural_samples
from .observe import loader, look_at_samples
from .rank import has_samples
from .recipes import rendering_fingerprint
from .render import best_images as start_images
from .render import commit, gather_nature, open_workers, usable_images
from .run import Work

MEANINGS_VERSION = 1
"""Raised whenever the same settings would give other meanings."""

RECIPES: tuple[Recipe, ...] = tuple(meaning_recipe(one + 1) for one in range(max(COUNTS)))
"""The recipe of the picture of the first meaning, of the second, and so on."""

SPLIT_SHARE, SPLIT_PICTURES = 0.3, 2.3
"""Share of units with several meanings, and pictures of each: blocks.5.3 of EfficientNet-Lite0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the observer makes of images.

    Attributes:
        samples: (N, D) of the sample images.
        training: (T, D) of the natural images that pictures may be made with.
        usable: (N,) sample images that do not judge.
        files: of each sample image, equal for parts of one file.
    """

    samples: Views
    training: Views
    usable: NDArray[np.bool_]
    files: tuple[str, ...]

    @classmethod
    def of(cls, work: Work, observer: ChosenObserver) -> Self:
        """Read it, or look."""
        seen = look_at_samples(work, observer, loader(work, observer))
        natural = seen if work.reference is None else work.reference.observed
        assert natural is not None, "find_observer has refused such a reference"
        usable = np.zeros(len(seen.features), np.bool_)
        usable[usable_images(work)] = True
        return cls(
            samples=deep_views(seen, natural),
            training=deep_views(natural, natural)[~judging_images(natural_samples(work))],
            usable=usable,
            files=tuple(one.sha256 for one in work.store.read_samples().samples),
        )

    def null(self) -> Null:
        """Sets of random images; the same ones for every unit and layer."""
        pool = first_of_files(np.flatnonzero(self.usable).tolist(), self.files)
        return Null(self.samples[pool], BEST, np.random.default_rng(0))


def meanings_mark(work: Work, observer: ChosenObserver | None) -> str:
    """Identifies what the meanings of this run depend on beside the key; "" with --meanings off.

    Raises:
        InputError: there is no observer, or there are too few images.
    """
    if work.config.meanings == "off":
        return ""
    files = [one.sha256 for one in work.store.read_samples().samples]
    usable, natural = {files[one] for one in usable_images(work)}, distinct_images(work)
    if len(usable) < LEAST_POOL or natural < COMPANY_MINIMUM:
        raise InputError(
            f"--meanings needs {LEAST_POOL} distinct sample images beside those that judge, and "
            f"{COMPANY_MINIMUM} behind the statistics; there are {len(usable)} and {natural}: give "
            "more --images"
        )
    if observer is None:
        none = "--observer is none" if work.config.observer == "none" else "there is none"
        raise InputError(
            f"--meanings needs an observer that compares the images, and {none}; {HOW_TO_GET}, or "
            "name one with --observer"
        )
    reference = "" if work.reference is None else work.reference.sha256
    return fingerprint(["meanings", MEANINGS_VERSION, observer.weights_sha256, reference])


def picture_marks(work: Work, mark: str) -> dict[str, str]:
    """Recipe → what the pictures of meanings by it depend on; {} where there are none."""
    return {
        recipe.name: fingerprint([rendering_fingerprint(work, recipe), mark])
        for recipe in (RECIPES if mark else ())
    }


def find_meanings(
    work: Work,
    observer: ChosenObserver | None,
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> int:
    """Find the meanings of every chosen unit and render them, where the cache does not hold them.

    Returns:
        How many pictures failed; they are tried again next time.

    Raises:
        CacheError: the cache cannot be written.
    """
    mark = meanings_mark(work, observer)
    if not mark or observer is None:
        return 0
    shown = without_classes(layers)

    def find() -> int:
        sight = Sight.of(work, observer)
        null = functools.cache(sight.null)
        for layer in shown:
            split_layer(work, sight, null, stats[layer.name], chosen[layer.name], mark)
        return render_meanings(work, sight, shown, stats, chosen, mark)

    return guarded(work, "meanings", find)


# --- groups ---------------------------------------------------------------------------------------


def split_layer(
    work: Work,
    sight: Sight,
    null: Callable[[], Null],
    stats: LayerStats,
    channels: Sequence[int],
    mark: str,
) -> None:
    """Find the meanings of the units of a layer that the cache does not hold, and count all."""
    known = work.store.meanings(stats.layer, mark)
    todo = [one for one in channels if one not in known and stats.finite[one] and stats.std[one]]
    if todo:
        began = time.perf_counter()
        found = [split_unit(sight, null(), stats, channel) for channel in todo]
        work.store.write_meanings(stats.layer, mark, found)
        known |= {one.channel: one for one in found}
        spent = time.perf_counter() - began
        several = sum(known[one].count > 1 for one in channels if one in known)
        work.progress.say(
            f"{stats.layer}: {several} of {len(channels)} units have several meanings "
            f"({spent:.1f} s)"
        )


def split_unit(sight: Sight, null: Null, stats: LayerStats, channel: int) -> Meanings:
    """The meanings of a unit."""
    images = best_images(stats, channel, sight.usable, sight.files)
    split = null.split(sight.samples[images])
    return Meanings(
        channel=channel,
        images=tuple(images),
        groups=tuple(split.groups.tolist()),
        chance=split.chance,
    )


# --- pictures -------------------------------------------------------------------------------------


def render_meanings(
    work: Work,
    sight: Sight,
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
    mark: str,
) -> int:
    """Render each meaning of the units that have several; returns how many failed."""
    todo = missing_meanings(work, layers, chosen, mark)
    if not todo:
        return 0
    marks = picture_marks(work, mark)
    nature = gather_nature(work, RECIPES, stats)
    prepare = functools.partial(with_aside, work, sight, stats, mark)
    units = sum(len(block.channels) for block in todo)
    failed = 0
    with (
        open_workers(work, layers, nature) as render,
        work.progress.units(units, sum(block.cost for block in todo)),
    ):
        for block, rendered in render(map(prepare, todo)):
            failed += len(commit(work, block, rendered, marks[block.recipe.name]))
    return failed


def missing_meanings(
    work: Work, layers: Sequence[LayerInfo], chosen: Mapping[str, Sequence[int]], mark: str
) -> list[UnitBlock]:
    """The pictures of this shard that the cache does not hold."""
    marks, shown = picture_marks(work, mark), {one.name: chosen[one.name] for one in layers}
    costs = {layer.name: unit_cost(RECIPES[0], layer) for layer in layers}
    ours = shard_blocks(shown, costs, work.config.shard)

    def blocks(recipe: Recipe, number: int) -> Iterator[UnitBlock]:
        finished = work.store.finished_channels(marks[recipe.name])
        for layer in layers:
            known = work.store.meanings(layer.name, mark)
            wanted = {one.channel for one in known.values() if one.count > max(1, number)}
            done = {*finished.get(layer.name, ()), *set(chosen[layer.name]) - wanted}
            yield from plan_blocks(recipe, layer, chosen[layer.name], sorted(done), ours)

    return [block for number, recipe in enumerate(RECIPES) for block in blocks(recipe, number)]


def with_aside(
    work: Work, sight: Sight, stats: Mapping[str, LayerStats], mark: str, block: UnitBlock
) -> UnitBlock:
    """A block with what rendering it takes: where to start from, and the images of other groups."""
    known = work.store.meanings(block.layer.name, mark)
    number, starts = RECIPES.index(block.recipe), np.flatnonzero(sight.usable)

    def others(channel: int) -> NDArray[np.bool_]:
        one = known[channel]
        return others_of(sight.samples[list(one.images)], one.groups, number, sight.training)

    return replace(
        block,
        examples=start_images(work, stats[block.layer.name], block.channels, starts),
        aside={channel: others(channel) for channel in block.channels},
    )


def expected_pictures(
    work: Work, layers: Sequence[LayerInfo], chosen: Mapping[str, Sequence[int]]
) -> dict[LayerInfo, float]:
    """Layer → pictures of meanings that the cache does not hold, as far as that can be known.

    Raises:
        InputError: as of `meanings_mark`.
    """
    if work.config.meanings == "off":
        return {}
    observer, shown = (
        choose_observer(work.config, work.store.read_network()[0]),
        without_classes(layers),
    )
    mark = meanings_mark(work, observer) if has_samples(work) else ""
    missing = missing_meanings(work, shown, chosen, mark) if mark else []
    found: dict[LayerInfo, float] = {}
    for layer in shown:
        known = work.store.meanings(layer.name, mark) if mark else {}
        new = sum(channel not in known for channel in chosen[layer.name])
        blocks = [len(block.channels) for block in missing if block.layer == layer]
        found[layer] = new * SPLIT_SHARE * SPLIT_PICTURES + sum(blocks)
    return {layer: count for layer, count in found.items() if count}


def without_classes(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The layers but for the class scores, which have no meanings."""
    return [layer for layer in layers if layer.name != CLASSES]
