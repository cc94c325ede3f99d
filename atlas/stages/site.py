"""The stage store → site: gather what the last build was asked to show, hand it to the gallery.

`write_model_pages` is the way in, from `write`. Where a selection names another atlas, its pages
are gathered with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cache.reference import Reference, read_reference
from ..cache.selection import Selection, read_selection, selection_path
from ..cache.store import Store
from ..config import Config
from ..errors import AtlasError, InputError, one_line
from ..files.names import escape_name, shown
from ..gallery.finish import SiteReport
from ..gallery.lists import UnitList
from ..gallery.pages.compare import Other
from ..gallery.parts import WHOLE, Part
from ..gallery.write import write_site
from ..models.directions import rows_of
from ..progress import Progress
from ..ranking.matching import check_comparable
from ..ranking.ranking import rank_channels
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.attribution import UnitMasks
from ..records.circuits import Circuit
from ..records.maps import LayerMap
from ..records.meanings import Meanings
from ..records.network import CLASSES, LayerInfo
from ..records.units import Rendering
from .evidence import Evidence, order_recipes
from .labels import LABELS, all_labels, lost_labels
from .lists import all_lists
from .parts import find_part
from .remembered import Remembered
from .tune import Tuner

LABEL_FOLDERS = (Path(__file__).parents[2], Path())
"""Files of people's labels and lists: beside `build_atlas.py`, and where one is, which wins."""


@contextmanager
def open_atlas(path: Path) -> Iterator[tuple[Store, Selection]]:
    """The results of an atlas, to read, and what it shows.

    Args:
        path: of its selection.

    Raises:
        CacheError, InputError: something of it cannot be read.
    """
    selection = read_selection(path)
    with Store.read(path.parent / selection.key) as store:
        yield store, selection


def gather(
    store: Store, selection: Selection, failures: Sequence[Rendering], part: Part = WHOLE
) -> ModelAtlas:
    """Everything the pages show, read from the cache.

    Args:
        store, selection: of the atlas.
        failures: renderings that are not in the cache.
        part: the site, where several show the model.
    """
    model, plain = store.read_network()
    dictionaries = store.dictionaries(selection.layers)
    table = rows_of(plain, dictionaries)
    reference = read_reference(Path(selection.reference)) if selection.reference else None
    samples = store.read_samples()
    evidence = Evidence(store, selection, reference, samples)
    tuner = Tuner(model)
    outlines = gather_layers(store, selection, table, reference, evidence, failures)
    found = [
        explain(store, selection, tuner, one) if part.holds(one.info.name) else forget(one)
        for one in outlines
    ]
    return ModelAtlas(
        model=replace(model, class_names=selection.class_names or model.class_names),
        samples=samples,
        natural=samples if reference is None else reference.samples,
        layers=tuple(layer for layer in found if layer.info.name != CLASSES),
        classes=next((layer for layer in found if layer.info.name == CLASSES), None),
        class_recipes=selection.class_recipes,
        readout=store.read_readout(),
        lenses=tuple(
            sorted({*selection.lenses} & store.finished_lenses(selection.lens_fingerprint))
        ),
        recipes=selection.recipes,
        recipe_digests=tuple(selection.digests[name] for name in selection.recipes),
        class_recipe_digests=tuple(selection.digests[name] for name in selection.class_recipes),
        rank=selection.rank,
        size=selection.size,
        seed=selection.seed,
        key=selection.key,
        run=selection.run,
        shown=selection.shown,
        observed=evidence.natural,
        seen=evidence.seen,
        stimuli=tuner.stimuli if any(layer.tuning for layer in found) else (),
    )


def gather_layers(
    store: Store,
    selection: Selection,
    table: Sequence[LayerInfo],
    reference: Reference | None,
    evidence: Evidence,
    failures: Sequence[Rendering],
) -> list[LayerAtlas]:
    """The layers that the pages show, in forward order, as pages of others show them."""
    finished = [store.finished(mark) for mark in selection.fingerprints.values()]
    by_name = {layer.name: layer for layer in table}
    layers = []
    for info in sorted((by_name[name] for name in selection.layers), key=lambda one: one.index):
        stats, channels = store.read_stats(info.name), selection.layers[info.name]
        made = [one.get(info.name, {}) for one in finished]
        done = [of_recipe[c] for of_recipe in made for c in channels if c in of_recipe]
        natural = stats if reference is None else reference.stats.get(info.name, stats)
        read = store.read_stats(info.parent) if info.parent else None
        judged = evidence.of_layer(natural, channels, read)
        asked = selection.class_recipes if info.name == CLASSES else selection.recipes
        layers.append(
            LayerAtlas(
                info=info,
                stats=stats,
                natural=natural,
                recipes=order_recipes(asked, judged),
                evidence=judged,
                ranking=rank_channels(stats, selection.rank),
                chosen=channels,
                renderings=(*done, *(one for one in failures if one.unit.layer == info.name)),
            )
        )
    return layers


def explain(store: Store, selection: Selection, tuner: Tuner, layer: LayerAtlas) -> LayerAtlas:
    """A layer with what only its own pages show."""
    name = layer.info.name
    return replace(
        layer,
        masks=masks_of(store, selection, name),
        circuits=circuits_of(store, selection, name),
        tuning=tuner.read(store, name),
        dictionary=store.dictionary(name) if layer.info.parent else None,
        meanings=meanings_of(store, selection, name),
        map=map_of(store, selection, name),
        meaning_pictures=meaning_pictures_of(store, selection, name),
    )


def forget(layer: LayerAtlas) -> LayerAtlas:
    """A layer of another site without what the observer saw of each picture, 5 kB a unit."""
    if layer.evidence is None:
        return layer
    return replace(layer, evidence=replace(layer.evidence, features={}))


def masks_of(store: Store, selection: Selection, layer: str) -> dict[int, UnitMasks]:
    """Channel → what its peaks depend on, of the units that a selection shows."""
    known = store.masks(layer, selection.masks[layer]) if layer in selection.masks else {}
    return {channel: known[channel] for channel in selection.layers[layer] if channel in known}


def circuits_of(store: Store, selection: Selection, layer: str) -> dict[int, Circuit]:
    """Channel → what surrounds it, of the units that a selection shows."""
    mark = selection.circuits.get(layer)
    known = store.circuits(layer, mark) if mark else {}
    return {channel: known[channel] for channel in selection.layers[layer] if channel in known}


def meanings_of(store: Store, selection: Selection, layer: str) -> dict[int, Meanings]:
    """Channel → its meanings, of the units that a selection shows."""
    known = store.meanings(layer, selection.meanings) if selection.meanings else {}
    return {channel: known[channel] for channel in selection.layers[layer] if channel in known}


def meaning_pictures_of(store: Store, selection: Selection, layer: str) -> tuple[Rendering, ...]:
    """The finished pictures of the meanings of units that a selection shows."""
    made = [store.finished(mark).get(layer, {}) for mark in selection.meaning_pictures.values()]
    shown = selection.layers[layer]
    return tuple(one[channel] for channel in shown for one in made if channel in one)


def map_of(store: Store, selection: Selection, layer: str) -> LayerMap | None:
    """The map of a layer, where a selection shows it and there is anything of it."""
    mark = selection.maps.get(layer)
    return store.layer_map(layer, mark) if mark else None


def pictures_of(store: Store, selection: Selection) -> Pictures:
    """Return the source from which the pixels of a selection are read."""
    marks = selection.masks
    recipes = {**selection.fingerprints, **selection.meaning_pictures}
    return store.pictures(recipes, selection.lens_fingerprint, marks, selection.maps)


# --- comparing -----------------------------------------------------------------------------------


@contextmanager
def open_other(name: str, ours: ModelAtlas, cache: Path) -> Iterator[Other | None]:
    """The atlas of a name, for comparison with ours; None for "".

    Raises:
        CacheError: it cannot be read.
        InputError: it is not in the cache any more, or over other images by now.
    """
    if not name:
        yield None
        return
    path = selection_path(cache, name)
    if not path.exists():
        raise InputError(
            f"--compare: there is no atlas {name!r} in {shown(cache)} any more; build it again"
        )
    with open_atlas(path) as (store, theirs):
        other = Other(atlas=gather(store, theirs, ()), pictures=pictures_of(store, theirs))
        check_comparable(ours, other.atlas)
        yield other


# --- writing -------------------------------------------------------------------------------------


PARTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("image pages", {"lenses": ()}),
    ("class pages", {"classes": None}),
    ("image and class pages", {"lenses": (), "classes": None}),
)
"""Parts that a site may lack where it cannot be written whole; its units are never left out."""


def read_notes(config: Config) -> tuple[dict[str, str], tuple[UnitList, ...]]:
    """What people wrote about units: labels and lists.

    Raises:
        InputError: one of their files is broken.
    """
    return all_labels(LABEL_FOLDERS), all_lists(LABEL_FOLDERS, config.lists)


def write_model_pages(
    remembered: Remembered,
    store: Store,
    selection: Selection,
    failures: Sequence[Rendering],
    progress: Progress,
) -> tuple[SiteReport, int]:
    """Write the site of one model and remember it.

    Returns:
        What was done, and how many kinds of pages it lacks.
    """
    config = remembered.config
    part, cache = find_part(config, store, selection), store.folder.parent.parent
    whole = gather(store, selection, failures, part)
    labels = all_labels(LABEL_FOLDERS)
    for name in lost_labels(config.site / escape_name(whole.model.name), whole.model.name, labels):
        progress.warn(f"the label of {name} is gone: it is in no {LABELS} here or by the program")
    with ExitStack() as stack:
        try:
            other = stack.enter_context(open_other(selection.compare, whole, cache))
        except AtlasError as error:
            progress.warn(f"{whole.model.name} has no compare page: {error}")
            other = None

        def write(atlas: ModelAtlas) -> SiteReport:
            return write_site(
                atlas,
                pictures_of(store, selection),
                site=config.site,
                labels=labels,
                site_url=config.site_url,
                templates=[],
                other=other,
                lists=remembered.lists,
                part=part,
            )

        report, lacks = write_what_can_be(whole, write, config, progress)
    complete = (other is not None) == bool(selection.compare) and not lacks
    if complete and not failures and not store.quarantined:
        remembered.keep(report)
    return report, lacks


def write_what_can_be(
    whole: ModelAtlas, write: Callable[[ModelAtlas], SiteReport], config: Config, progress: Progress
) -> tuple[SiteReport, int]:
    """Write a site; where a kind of pages fails, without it. A finished rendering is shown always.

    Returns:
        What `write` returned, and how many kinds of pages are left out.
    """
    try:
        return write(whole), 0
    except AtlasError:
        raise
    except Exception as error:  # whatever it is, it must not hide the units
        if config.strict:
            raise
        first = error
    for kind, without in PARTS:
        with suppress(Exception):
            report = write(replace(whole, **without))
            progress.warn(f"the site is without its {kind}: {one_line(first)}")
            return report, 1
    raise first


def say_report(report: SiteReport, config: Config, progress: Progress) -> None:
    """Say what a build of the site did."""
    for name in report.unknown_labels:
        progress.warn(f"{LABELS}: there is no unit {name} in this atlas")
    for text in report.warnings:
        progress.warn(text)
    progress.say(
        f"{config.site / 'index.html'}: {report.written} files written, "
        f"{report.unchanged} unchanged, {report.bytes / 1e6:.0f} MB"
    )
