"""Forecast of a build's work and cost, before it starts: `forecast`, then `forecast_text`.

What a unit takes is timed on the real network (`stopwatch.py`). Nothing is written but into a
folder that is removed again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from ..ranking.spectrum import POOL
from ..records.network import CLASSES, LayerInfo
from ..records.statistics import LayerStats
from ..rendering.kinds import Recipe
from ..rendering.recipes import MAP
from ..workers.schedule import UnitBlock
from .attribution import MASK_BYTES, Part, masks_marks, missing_masks
from .choose import choose_units, wanted_layers
from .circuits import CIRCUIT_BYTES, circuits_marks, missing_circuits
from .look import lens_fingerprint, lens_images
from .map import expected_cells
from .meanings import RECIPES as MEANINGS
from .meanings import expected_pictures
from .rank import has_samples, unranked_layers
from .recipes import recipes_for
from .render import missing_blocks, picture_numbers
from .run import Work
from .stopwatch import ATTEMPTS, Stopwatch
from .tune import Tuner, untuned_layers

START_SECONDS = 8.0
"""From the command to the first unit: imports, network, images found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Forecast of one layer.

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
    """Forecast of a build.

    Attributes:
        rows: a layer each, in forward order.
        images: sample images.
        ranking, lenses, site: seconds of the passes beside the renderings.
        stimuli, tuning: synthetic stimuli that are missing, and seconds of the pass over them.
        lens_images: image pages that are missing.
        masked: units whose masks are missing.
        masks: seconds of these.
        traced, circuits: the same of circuits.
        split, meanings, cells, maps: pictures of meanings, cells of maps; seconds of these.
        cache_bytes, site_bytes: sizes in the end.
        parts: sites that it is written in.
    """

    rows: tuple[Row, ...]
    images: int
    ranking: float
    lenses: float
    lens_images: int
    site: float
    cache_bytes: float
    site_bytes: float
    masked: int = 0
    masks: float = 0.0
    traced: int = 0
    circuits: float = 0.0
    stimuli: int = 0
    tuning: float = 0.0
    split: float = 0.0
    meanings: float = 0.0
    cells: int = 0
    maps: float = 0.0
    parts: int = 1

    @property
    def seconds(self) -> float:
        """Of the whole build."""
        units = self.masks + self.circuits + self.meanings + sum(one.seconds for one in self.rows)
        return (
            START_SECONDS + self.ranking + self.tuning + units + self.maps + self.lenses + self.site
        )


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
    missing = find_missing(work, layers, chosen)
    seconds, times = time_missing(work, layers, pairs, missing)
    rows = [row(layer, chosen[layer.name], blocks, recipes, seconds) for layer in layers]
    units = sum(one.units for one in rows)
    pictures = sum(one.renderings + one.cached for one in rows)
    numbers = all_numbers(work, recipes, layers, chosen)
    return Forecast(
        rows=tuple(rows),
        images=len(work.images.items),
        stimuli=stimuli_count(work) if missing.untuned else 0,
        site=0.5 + 0.012 * pictures + 0.25 * work.config.lenses,
        lens_images=missing.lenses,
        masked=sum(missing.unmasked.values()),
        traced=sum(missing.untraced.values()),
        split=sum(missing.split.values()),
        cells=sum(missing.cells.values()),
        parts=work.config.site_part[1],
        cache_bytes=cache_bytes(work, layers, units, numbers),
        site_bytes=site_bytes(work, units, pictures, numbers // work.images.bands.channels),
        **times,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What the cache lacks beside renderings: layers, numbers of images, layer → units or cells."""

    unranked: Sequence[LayerInfo]
    unread: bool
    untuned: Sequence[LayerInfo]
    lenses: int
    unmasked: Mapping[LayerInfo, int]
    untraced: Mapping[LayerInfo, int]
    split: Mapping[LayerInfo, float]
    cells: Mapping[LayerInfo, int]

    @property
    def any(self) -> bool:
        """Return whether it lacks anything."""
        return any(getattr(self, one.name) for one in fields(self))


def find_missing(
    work: Work, layers: Sequence[LayerInfo], chosen: Mapping[str, tuple[int, ...]]
) -> Missing:
    """Find what the cache lacks beside renderings."""
    masks, circuits = work.config.masks, work.config.circuits
    return Missing(
        unranked=unranked_layers(work, layers),
        unread=not has_samples(work),
        untuned=untuned_layers(work, wanted_layers(work, layers)),
        lenses=missing_lenses(work, layers),
        unmasked=missing_units(work, layers, chosen, masks, masks_marks, missing_masks),
        untraced=missing_units(work, layers, chosen, circuits, circuits_marks, missing_circuits),
        split=expected_pictures(work, layers, chosen),
        cells=expected_cells(work, layers),
    )


def time_missing(
    work: Work,
    layers: Sequence[LayerInfo],
    pairs: Mapping[tuple[str, str], tuple[Recipe, LayerInfo]],
    missing: Missing,
) -> tuple[Mapping[tuple[str, str], float], dict[str, float]]:
    """Return seconds of a unit by recipe and layer, and of each pass beside the renderings."""
    names = ("ranking", "lenses", "masks", "circuits", "tuning", "meanings", "maps")
    if not pairs and not missing.any:
        return {}, dict.fromkeys(names, 0.0)
    clock, images = Stopwatch(work, layers), len(work.images.items)
    reads = missing.unranked or missing.unread
    times = (
        clock.ranking_seconds(missing.unranked, images) if reads else 0.0,
        clock.lens_seconds() * missing.lenses,
        explain_seconds(clock.mask_seconds, missing.unmasked),
        explain_seconds(clock.circuit_seconds, missing.untraced),
        clock.tuning_seconds(missing.untuned) if missing.untuned else 0.0,
        pictures_seconds(clock, MEANINGS[0], missing.split),
        pictures_seconds(clock, MAP, missing.cells),
    )
    return clock.unit_seconds(list(pairs.values())), dict(zip(names, times, strict=True))


def all_numbers(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    chosen: Mapping[str, Sequence[int]],
) -> int:
    """Numbers that all pictures of a build are made of."""
    return sum(
        len(chosen[layer.name]) * picture_numbers(work, recipe)
        for layer in layers
        for recipe in recipes_for(layer, recipes)
    )


def row(
    layer: LayerInfo,
    channels: Sequence[int],
    blocks: Sequence[UnitBlock],
    recipes: Sequence[Recipe],
    seconds: Mapping[tuple[str, str], float],
) -> Row:
    """Return the forecast of one layer."""
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
    """Return how many units of a layer will be chosen."""
    classes = work.config.classes
    named = len(classes) if isinstance(classes, tuple) else classes
    shown_classes = layer.channels if named == "all" else named
    if layer.name == CLASSES:
        return min(shown_classes, layer.channels)
    if work.config.units == "all":
        return layer.channels
    voters = 5 * shown_classes if "readout" in layer.groups else 0  # about five of six are new
    return min(work.config.units + voters, layer.channels)


def stimuli_count(work: Work) -> int:
    """Synthetic stimuli for the input of the network."""
    return len(Tuner(work.store.read_network()[0]).stimuli)


def missing_lenses(work: Work, layers: Sequence[LayerInfo]) -> int:
    """Image pages that the cache does not hold."""
    if not has_samples(work):
        return min(work.config.lenses, len(work.images.items))
    done = work.store.finished_lenses(lens_fingerprint(work, layers))
    return len({*lens_images(work)} - done)


FindMarks = Callable[[Work, Mapping[str, LayerStats]], Mapping[str, str]]
FindMissing = Callable[
    [Work, Sequence[LayerInfo], Mapping[str, str], Mapping[str, Sequence[int]]], Sequence[Part]
]


def missing_units(
    work: Work,
    layers: Sequence[LayerInfo],
    chosen: Mapping[str, Sequence[int]],
    option: str,
    find_marks: FindMarks,
    find_missing: FindMissing,
) -> Counter[LayerInfo]:
    """Layer → units of this shard whose masks, or circuits, the cache does not hold.

    Args:
        work, layers, chosen: of the build.
        option: "off" where none are wanted.
        find_marks, find_missing: of the stage that makes them.
    """
    ranked = [] if unranked_layers(work, layers) else layers
    marks = find_marks(work, {one.name: work.store.read_stats(one.name) for one in ranked})
    if not ranked and option != "off":
        marks = {one.name: "not ranked yet" for one in layers if one.name != CLASSES}
    counts: Counter[LayerInfo] = Counter()
    for part in find_missing(work, layers, marks, chosen):
        counts[part.layer] += len(part.channels)
    return counts


def explain_seconds(
    find_seconds: Callable[[Sequence[LayerInfo]], Mapping[str, float]],
    units: Mapping[LayerInfo, int],
) -> float:
    """Seconds of the masks, or circuits, of so many units of each layer."""
    each = find_seconds(list(units)) if units else {}
    return sum(each[layer.name] * count for layer, count in units.items())


def pictures_seconds(clock: Stopwatch, recipe: Recipe, counts: Mapping[LayerInfo, float]) -> float:
    """Seconds of so many pictures of each layer by a recipe of its own."""
    each = clock.unit_seconds([(recipe, layer) for layer in counts])
    return sum(each[recipe.name, layer.name] * count for layer, count in counts.items())


VIEW, LENS, UNIT_PAGE = 30_000, 1_000_000, 90_000
"""Bytes of a sample image's square, of its lenses, and of a unit's page, data, patches and masks
(measured on the embedded default)."""


def cache_bytes(work: Work, layers: Sequence[LayerInfo], units: int, numbers: int) -> float:
    """Size of the cache in the end."""
    masks = 0 if work.config.masks == "off" else MASK_BYTES * units
    circuits = 0 if work.config.circuits == "off" else CIRCUIT_BYTES * units
    images = len(work.images.items)
    channels = sum(layer.channels for layer in wanted_layers(work, layers))
    pictures = 2.0 * numbers  # float16
    matrices = 2 * channels * (images + 2 * stimuli_count(work))
    return pictures + masks + circuits + matrices + images * VIEW + LENS * work.config.lenses


def site_bytes(work: Work, units: int, pictures: int, pixels: int) -> float:
    """Size of the model's pages in the end."""
    shown = 0.75 * pixels + 12_000 * pictures  # JPEG; thumbnail, sheet
    wholes = VIEW * min(len(work.images.items), POOL)
    return units * UNIT_PAGE + shown + wholes + LENS * work.config.lenses


# --- in words -------------------------------------------------------------------------------------
