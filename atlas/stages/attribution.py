"""The stage ranking → attribution: what the peaks of the chosen units depend on.

`attribute_units` is the way in: layer by layer, a few units at a time, each from its own dataset
examples alone, so that nothing of a unit depends on which others share its block.
"""

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ..attribution.masks import mask_unit
from ..errors import CacheError, InputError, one_line
from ..files.digests import fingerprint
from ..files.files import require_free
from ..network import tuning
from ..network.network import Network
from ..records.attribution import UnitMasks
from ..records.network import CLASSES, LayerInfo
from ..records.statistics import EXAMPLES, LayerStats
from ..records.units import Unit
from ..shapes import Picture
from ..workers.forks import Spread, forked
from ..workers.local import how_many_work
from ..workers.schedule import BLOCK_UNITS, shard_blocks
from .rank import seen_pictures
from .run import Work

T = TypeVar("T")

Known = Callable[[str, str], Container[int]]
"""Layer and fingerprint → the channels that the cache holds."""

MASKS_VERSION = 1
"""Raised whenever the same settings would give other masks."""

PART_UNITS = 16
"""Units whose images are in memory together, and that are committed together: five seconds on two
cores, the most that an interruption can lose."""

MASK_BYTES = 115_000
"""Room that the masks of one unit take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A few units of one layer.

    Attributes:
        layer: of the units.
        channels: those that are still to be done.
    """

    layer: LayerInfo
    channels: tuple[int, ...]


def unit_cost(layer: LayerInfo) -> float:
    """Relative time of a unit: multiply-adds up to the layer, and what every picture costs."""
    return layer.multiply_adds + 60e6


# --- what is to be done ---------------------------------------------------------------------------


def masks_marks(work: Work, stats: Mapping[str, LayerStats]) -> dict[str, str]:
    """Layer → what its masks depend on beside the key; {} with --masks off. Classes have none."""
    if work.config.masks == "off":
        return {}
    return {
        name: fingerprint(["masks", MASKS_VERSION, examples_mark(one)])
        for name, one in stats.items()
        if name != CLASSES
    }


def examples_mark(stats: LayerStats) -> str:
    """Identifies the dataset examples of a layer."""
    digest = hashlib.sha256(stats.example_image.tobytes())
    digest.update(stats.example_box.tobytes())
    return digest.hexdigest()


def missing_masks(
    work: Work,
    layers: Sequence[LayerInfo],
    marks: Mapping[str, str],
    chosen: Mapping[str, Sequence[int]],
) -> list[Part]:
    """The units of this shard whose masks the cache does not hold, a few at a time."""
    costs = {layer.name: unit_cost(layer) for layer in layers}
    return missing_parts(work, layers, marks, chosen, costs, work.store.masks)


def missing_parts(
    work: Work,
    layers: Sequence[LayerInfo],
    marks: Mapping[str, str],
    chosen: Mapping[str, Sequence[int]],
    costs: Mapping[str, float],
    known: Known,
) -> list[Part]:
    """The units of this shard that the cache does not hold, a few at a time, in forward order.

    Args:
        work: of the run.
        layers: of the build.
        marks: layer → fingerprint, for those that are wanted.
        chosen: layer → channels, in order of rank.
        costs: layer → relative time of a unit.
        known: channels that the cache holds of a layer and a fingerprint.
    """
    shown = {layer.name: chosen[layer.name] for layer in layers if layer.name in marks}
    ours = shard_blocks(shown, {name: costs[name] for name in shown}, work.config.shard)
    return [
        part
        for layer in layers
        if layer.name in shown
        for part in parts_of(layer, chosen[layer.name], known(layer.name, marks[layer.name]), ours)
    ]


def parts_of(
    layer: LayerInfo, chosen: Sequence[int], done: Container[int], ours: set[tuple[str, int]]
) -> Iterator[Part]:
    """Cut the chosen channels of our blocks, in order of rank, into parts of what is not done."""
    for first in range(0, len(chosen), PART_UNITS):
        block = first - first % BLOCK_UNITS
        channels = chosen[first : first + PART_UNITS]
        missing = tuple(channel for channel in channels if channel not in done)
        if missing and (layer.name, block) in ours:
            yield Part(layer=layer, channels=missing)


# --- doing it -------------------------------------------------------------------------------------


def attribute_units(
    work: Work,
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> int:
    """Find out what the peaks of every chosen unit depend on, where the cache does not say.

    Whatever goes wrong with it, the renderings are there and get their pages.

    Returns:
        How many units failed; their pages show the rest, and they are tried again next time.

    Raises:
        CacheError: the cache cannot be written.
    """
    return guarded(work, "masks", lambda: attribute_missing(work, layers, stats, chosen))


def guarded(work: Work, what: str, action: Callable[[], int]) -> int:
    """How many units an action failed for; one where it fails altogether, with a warning.

    Raises:
        CacheError: the cache cannot be written.
    """
    try:
        return action()
    except CacheError:
        raise
    except Exception as error:
        if work.config.strict:
            raise
        work.progress.warn(f"there are no new {what}: {one_line(error)}")
        return 1


def attribute_missing(
    work: Work,
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
) -> int:
    """The same, part by part, for those that the cache does not hold."""
    marks = masks_marks(work, stats)
    costs = {layer.name: unit_cost(layer) for layer in layers}
    todo = missing_masks(work, layers, marks, chosen)
    if not todo:
        return 0
    units = sum(len(part.channels) for part in todo)
    require_free(work.store.folder, units * MASK_BYTES)
    taps = list(dict.fromkeys(part.layer.name for part in todo))
    network = Network(work.model(), taps, tuning.choose_device(work.config.device))
    failed = 0
    cost = sum(len(part.channels) * costs[part.layer.name] for part in todo)

    def explain(layer: LayerInfo, channel: int, shown: Mapping[int, Picture]) -> UnitMasks:
        boxes = stats[layer.name].example_box[channel, : len(shown)]
        return mask_unit(network, layer, channel, list(shown.values()), boxes)

    with (
        explaining(work, network, explain) as explained,
        work.progress.attribution("masks", units, cost) as done,
    ):
        for part in todo:
            what = "what it depends on"
            found = explain_part(work, network, part, stats[part.layer.name], what, explained)
            if found:
                work.store.write_masks(part.layer.name, marks[part.layer.name], found)
            failed += len(part.channels) - len(found)
            done(len(part.channels) * costs[part.layer.name])
    return failed


Task = tuple[LayerInfo, int, Mapping[int, Picture]]
"""A unit, and its dataset examples by their image, best first."""


@contextmanager
def explaining(
    work: Work, network: Network, explain: Callable[[LayerInfo, int, Mapping[int, Picture]], T]
) -> Iterator[Spread[Task, tuple[T | None, str]]]:
    """Find something out about units, several side by side; why not, where that fails."""

    def attempt(task: Task) -> tuple[T | None, str]:
        try:
            return explain(*task), ""
        except Exception as error:  # whatever it is, it is this unit's; the others go on
            if work.config.strict:
                raise
            return None, one_line(error)

    processes = how_many_work(work.config, network.device)
    with forked(attempt, processes, work.progress.warn) as explained:
        yield explained


def explain_part(
    work: Work,
    network: Network,
    part: Part,
    stats: LayerStats,
    what: str,
    explained: Spread[Task, tuple[T | None, str]],
    count: int = EXAMPLES,
) -> list[T]:
    """What is found out about a few units; those that fail are left out, with a warning.

    Args:
        work: of the run.
        network: that sees the images.
        part: the units.
        stats: of their layer.
        what: is found out, in words.
        explained: finds it out.
        count: of the dataset examples that it needs.
    """

    def fail(channel: int, reason: str) -> None:
        unit = Unit(layer=part.layer.name, channel=channel)
        work.progress.warn(f"{unit}: {what} is not known: {reason}")

    shown, found = examples_by_unit(work, network, part, stats, count, fail), dict[int, T]()
    tasks = ((part.layer, channel, examples) for channel, examples in shown.items())
    for (_, channel, _), (one, reason) in explained(tasks):
        if one is None:
            fail(channel, reason)
        else:
            found[channel] = one
    return [found[channel] for channel in part.channels if channel in found]


def examples_by_unit(
    work: Work,
    network: Network,
    part: Part,
    stats: LayerStats,
    count: int,
    fail: Callable[[int, str], None],
) -> dict[int, dict[int, Picture]]:
    """Channel → its dataset examples by their image; told why those of a unit are not there."""
    pictures = read_pictures(work, network, stats, part.channels, count)
    shown = {}
    for channel in part.channels:
        try:
            own = pictures or read_pictures(work, network, stats, [channel], count, alone=True)
            shown[channel] = {image: own[image] for image in examples_of(stats, channel, count)}
        except Exception as error:  # whatever it is, it is this unit's; the others go on
            if work.config.strict:
                raise
            fail(channel, one_line(error))
    return shown


def examples_of(stats: LayerStats, channel: int, count: int = EXAMPLES) -> list[int]:
    """The sample images of a unit's dataset examples, best first."""
    return [image for image in stats.example_image[channel, :count].tolist() if image >= 0]


def read_pictures(
    work: Work,
    network: Network,
    stats: LayerStats,
    channels: Sequence[int],
    count: int,
    alone: bool = False,
) -> dict[int, Picture]:
    """The dataset examples of some units by their image, as the network sees them.

    Where a file has changed or vanished, nothing; unless one unit is asked for alone.

    Raises:
        InputError: a file has changed or vanished, and it is `alone` or --strict.
    """
    images = sorted({image for one in channels for image in examples_of(stats, one, count)})
    try:
        return dict(zip(images, seen_pictures(work, images, network.info.shape), strict=True))
    except InputError:
        if alone or work.config.strict:
            raise
        return {}
