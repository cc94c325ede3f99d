"""The stage images → maps: the activation atlas of a layer, cell by cell.

`draw_maps` is the way in; a `Cartographer` lays positions of the sample images out on a grid and
makes a picture of the mean of each cell. Where cells are missing the grid is made again, which
takes one pass over the images and comes out the same.
"""

from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from ..attribution.tint import tinting
from ..errors import InputError, UsageError
from ..files.digests import fingerprint
from ..files.files import require_free
from ..models.selection import class_layer, select_layers
from ..network import tuning
from ..network.network import Network
from ..ranking.maps import grid_shape
from ..records.network import LayerInfo
from ..records.statistics import LayerStats
from ..rendering.kinds import digest
from ..rendering.recipes import MAP
from .attribution import guarded
from .cartography import Cartographer, places_each
from .choose import natural_samples
from .rank import has_samples
from .render import picture_numbers, usable_images
from .run import Work

MAPS_VERSION = 1
"""Raised whenever the same settings would give another map."""

LEAST_FILES = 30
"""Distinct images below which a map shows little but these images."""

LEAST_CHANNELS = 3
"""A plane of directions takes as many, and one more to lie in."""

PART_CELLS = 32
"""Cells committed together."""


# --- what is asked for ----------------------------------------------------------------------------


def choose_maps(work: Work, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """The layers of --map.

    Raises:
        UsageError: there is no such layer, it is not one of `layers`, or cannot have a map.
    """
    if not work.config.map:
        return []
    table = work.store.read_network()[1]
    wanted, shown = select_layers(table, work.config.map, "--map"), {one.name for one in layers}
    for layer in wanted:
        if layer.name not in shown:
            raise UsageError(f"--map: {layer.name} is not in this atlas; add it to --layers")
        if layer.height * layer.width < 2:
            raise UsageError(
                f"--map: {layer.name} has maps of 1 × 1, and a map is made of positions; choose a "
                "layer with several"
            )
        if layer.channels < LEAST_CHANNELS:
            raise UsageError(
                f"--map: {layer.name} has {layer.channels} channels, a map needs {LEAST_CHANNELS}"
            )
    return list(wanted)


def map_marks(work: Work, layers: Sequence[LayerInfo]) -> dict[str, str]:
    """Layer of --map → what its map depends on beside the key.

    Raises:
        InputError: there are too few images.
        UsageError: as of `choose_maps`.
    """
    maps = choose_maps(work, layers)
    if not maps:
        return {}
    samples = work.store.read_samples().samples
    files = {samples[image].sha256 for image in usable_images(work)}
    if len(files) < LEAST_FILES:
        raise InputError(
            f"--map needs {LEAST_FILES} distinct sample images beside those that judge, there are "
            f"{len(files)}; give more --images"
        )
    parts = ["map", MAPS_VERSION, digest(MAP), work.config.size, work.config.seed]
    judging = "" if work.reference is None else natural_samples(work).sha256
    return {layer.name: fingerprint([*parts, judging, layer.name]) for layer in maps}


def expected_cells(work: Work, layers: Sequence[LayerInfo]) -> dict[LayerInfo, int]:
    """Layer of --map → cells that the cache does not hold, about."""
    found: dict[LayerInfo, int] = {}
    marks = map_marks(work, layers) if has_samples(work) else {}
    for layer in choose_maps(work, layers):
        known = work.store.layer_map(layer.name, marks[layer.name]) if marks else None
        images = 2 * len(work.images.items) // 3
        per = places_each(layer, max(1, images))
        rows, columns = grid_shape(images * per)
        left = known.total - len(known.cells) if known else rows * columns
        found |= {layer: left} if left else {}
    return found


# --- cells ----------------------------------------------------------------------------------------


def draw_maps(work: Work, layers: Sequence[LayerInfo], stats: Mapping[str, LayerStats]) -> int:
    """Make the maps of --map, as far as the cache does not hold them.

    Returns:
        How many failed; they are tried again next time.

    Raises:
        CacheError: the cache cannot be written.
    """
    marks = map_marks(work, layers)
    shown = [layer for layer in layers if layer.name in marks]
    return sum(
        guarded(work, f"map of {one.name}", partial(draw_map, work, one, marks[one.name], stats))
        for one in shown
    )


def draw_map(work: Work, layer: LayerInfo, mark: str, stats: Mapping[str, LayerStats]) -> int:
    """Make the cells of a map that are missing, and say how well they are told apart; returns 0."""
    known = work.store.layer_map(layer.name, mark)
    if known is not None and known.complete:
        return 0
    scores = class_layer(work.store.read_network()[1])
    device = tuning.choose_device(work.config.device)
    taps = [layer.name, scores.name] if scores else [layer.name]
    network = Network(work.model(), taps, device, work.config.compile)
    done = {one.cell for one in known.cells} if known else set()
    with ExitStack() as stack:
        tinter = stack.enter_context(tinting(network, layer.name))
        cartographer = Cartographer(work, network, layer, stats[layer.name], tinter)
        parts = our_parts(cartographer.shown, done, work.config.shard)
        count = sum(map(len, parts))
        require_free(work.store.folder, 2 * count * picture_numbers(work, MAP))
        what = f"map of {layer.name}"
        drawn = stack.enter_context(work.progress.attribution(what, max(1, count), count))
        for part in parts:
            work.store.write_map(layer.name, mark, cartographer.draw(part))
            drawn(len(part))
    finished = work.store.layer_map(layer.name, mark)
    if finished is not None and count:
        work.progress.say(
            f"map of {layer.name}: {finished.positions} positions on {finished.rows} × "
            f"{finished.columns} cells; {finished.own_best:.0%} of {len(finished.cells)} pictures "
            "excite their own direction more than that of any other cell"
        )
    return 0


def our_parts(
    cells: Sequence[int], done: Container[int], shard: tuple[int, int]
) -> list[list[int]]:
    """The cells of a shard that are missing, in parts that are committed together."""
    parts = [cells[first : first + PART_CELLS] for first in range(0, len(cells), PART_CELLS)]
    missing = [[cell for cell in part if cell not in done] for part in parts]
    return [part for part in missing[shard[0] - 1 :: shard[1]] if part]
