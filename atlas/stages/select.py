"""The stage settings → selection: write down what the pages of this atlas are to show."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..cache.folder import read_key
from ..cache.selection import (
    SELECTION,
    Selection,
    atlas_name,
    earlier_selection,
    read_selection,
    selection_path,
    write_selection,
)
from ..config import Config
from ..errors import InputError, UsageError, closest
from ..files.names import escape_name, shown
from ..models.observers import ChosenObserver
from ..records.network import CLASSES, LayerInfo
from ..records.statistics import LayerStats
from ..rendering.kinds import Recipe, digest
from .attribution import masks_marks
from .circuits import circuits_marks
from .look import lens_fingerprint, lens_images
from .map import map_marks
from .meanings import meanings_mark, picture_marks
from .recipes import recipes_for, rendering_fingerprint
from .run import Work
from .run_info import run_info


def select(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
    observer: ChosenObserver | None,
) -> Selection:
    """Remember what the pages of this model are to show; the run changes only with the rest.

    Raises:
        InputError, UsageError: --compare names an atlas that this one cannot be compared with.
    """
    check_images(work)
    path = work.store.folder.parent / SELECTION
    selection = selection_of(work, recipes, layers, stats, chosen, observer)
    before = earlier_selection(path) if path.exists() else None
    if before:
        for line in changes(before, selection, path.parent):
            work.progress.say(line)
        if replace(before, run=selection.run) == selection:
            selection = before
    write_selection(path, selection)
    return selection


def selection_of(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    stats: Mapping[str, LayerStats],
    chosen: Mapping[str, Sequence[int]],
    observer: ChosenObserver | None,
) -> Selection:
    """Return the selection that this run is asked to show."""
    config, own = work.config, work.store.read_network()[0].class_names
    of_classes = [
        one for layer in layers if layer.name == CLASSES for one in recipes_for(layer, recipes)
    ]
    everywhere = dict.fromkeys([*recipes, *of_classes])
    meanings = meanings_mark(work, observer)
    return Selection(
        key=work.store.folder.name,
        layers={name: tuple(channels) for name, channels in chosen.items()},
        recipes=tuple(recipe.name for recipe in recipes),
        class_recipes=tuple(recipe.name for recipe in of_classes),
        digests={recipe.name: digest(recipe) for recipe in everywhere},
        fingerprints={recipe.name: rendering_fingerprint(work, recipe) for recipe in everywhere},
        lenses=tuple(lens_images(work)),
        lens_fingerprint=lens_fingerprint(work, layers),
        rank=config.rank,
        size=config.size,
        seed=config.seed,
        run=run_info(config),
        reference="" if work.reference is None else str(work.reference.path),
        observer=observer.title if observer else "",
        observer_sha256=observer.weights_sha256 if observer else "",
        compare=config.compare,
        class_names=() if work.class_names == own else tuple(work.class_names),
        shown=tuple(work.images.bands.shown),
        masks=masks_marks(work, stats),
        circuits=circuits_marks(work, stats),
        meanings=meanings,
        meaning_pictures=picture_marks(work, meanings),
        maps=map_marks(work, layers),
    )


def changes(before: Selection, now: Selection, folder: Path) -> list[str]:
    """List the settings that differ from the last build of a model, a line for each.

    Args:
        before, now: of the last build and of this one.
        folder: of the model in the cache.
    """
    lines = [
        f"{name} changed from {as_text(old)} to {as_text(new)}"
        for name, old, new in (
            ("recipe", before.recipes, now.recipes),
            ("rank", before.rank, now.rank),
            ("size", before.size, now.size),
            ("seed", before.seed, now.seed),
            ("observer", before.observer, now.observer),
            ("compare", before.compare, now.compare),
        )
        if old != new
    ]
    if before.reference != now.reference:
        lines.append("reference changed")
    if before.key == now.key or not (folder / before.key).exists():
        return lines
    old, new = (
        {**key, **key["model"]}
        for key in (read_key(folder / before.key), read_key(folder / now.key))
    )
    changed = [key for key in new if key != "model" and old.get(key) != new[key]]
    return lines + [f"{key.replace('_', ' ')} changed: ranked and rendered anew" for key in changed]


def as_text(value: object) -> str:
    """A setting as people type it; `nothing` where it is empty."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value) or "nothing"


def check_compare(config: Config) -> None:
    """Refuse a --compare that names no other atlas of the cache; at the start of a build.

    Raises:
        InputError: there is no such atlas.
        UsageError: it is the atlas itself.
    """
    if not config.compare:
        return
    if escape_name(config.compare) == escape_name(config.atlas_name):
        raise UsageError(
            f"--compare is {config.compare!r}, which is this atlas itself; give this one another "
            "--name, or compare it with another atlas"
        )
    if not selection_path(config.cache, config.compare).exists():
        names = sorted(atlas_name(path.parent) for path in config.cache.glob(f"*/{SELECTION}"))
        there = f"it has {', '.join(map(repr, names[:5]))}" if names else "it is empty"
        raise InputError(
            f"--compare: {shown(config.cache)} holds no atlas {config.compare!r}"
            f"{closest(config.compare, names) or f'; {there}'}; build that one first"
        )


def check_images(work: Work) -> None:
    """Refuse a --compare whose atlas is not over the images of this one; before any rendering.

    Raises:
        InputError: it is over other images, or there is no such atlas.
        UsageError: it is the atlas itself.
    """
    config = work.config
    check_compare(config)
    if not config.compare:
        return
    path = selection_path(config.cache, config.compare)
    theirs = read_key(path.parent / read_selection(path).key)
    if theirs["images"] != work.store.key["images"]:
        raise InputError(
            f"--compare: {config.atlas_name} and {config.compare} are atlases over different "
            "images; build both with the same --images"
        )
