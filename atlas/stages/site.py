"""The stage store → site: gather what the last build was asked to show, hand it to the gallery.

`write_pages` is the way in. Where a plan names another atlas, its pages are gathered with it; and
where other atlases compare themselves with this one, theirs are written again, because their links
lead to its pages.
"""

import csv
import io
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..cache.audit import read_key
from ..cache.reference import read_reference
from ..cache.store import Store
from ..config import Config, canonical_json
from ..errors import AtlasError, InputError, UsageError, closest, one_line
from ..files.files import atomic_write, escape_name, shown, unescape_name
from ..gallery.addresses import comparison_page
from ..gallery.links import link_targets
from ..gallery.pages.compare import Other
from ..gallery.tree import read_manifest
from ..gallery.write import SiteReport, write_site
from ..progress import Progress
from ..ranking.matching import check_comparable
from ..ranking.ranking import rank_channels
from ..records import CLASSES, LayerAtlas, LayerInfo, ModelAtlas, Pictures, Rendering, RunInfo
from ..rendering.kinds import Recipe, digest
from .look import lens_fingerprint, lens_images
from .recipes import recipes_for, rendering_fingerprint
from .run import Work, run_info

PLAN = "atlas.json"
"""`cache/<model>/atlas.json`: what the last build of a model was asked to show."""

PLAN_SCHEMA = 2
"""Raised whenever a plan of before cannot be read as it is."""

LABELS = "labels.toml"

LABEL_FOLDERS = (Path(__file__).parents[2], Path())
"""Where people's labels are: beside `build_atlas.py`, and in the folder one is in, which wins."""


def write_plan(
    work: Work,
    recipes: Sequence[Recipe],
    layers: Sequence[LayerInfo],
    chosen: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Remember what the pages of this model are to show; the date changes only with the rest.

    Raises:
        InputError, UsageError: --compare names an atlas that this one cannot be compared with.
    """
    check_images(work)
    config, path = work.config, work.store.folder.parent / PLAN
    used = {layer.name: recipes_for(layer, recipes) for layer in layers}
    everywhere = dict.fromkeys([*recipes, *used.get(CLASSES, ())])
    plan: dict[str, Any] = {
        "schema": PLAN_SCHEMA,
        "key": work.store.folder.name,
        "layers": {name: list(channels) for name, channels in chosen.items()},
        "recipes": [recipe.name for recipe in recipes],
        "class_recipes": [recipe.name for recipe in used.get(CLASSES, ())],
        "digests": {recipe.name: digest(recipe) for recipe in everywhere},
        "fingerprints": {one.name: rendering_fingerprint(work, one) for one in everywhere},
        "lenses": list(lens_images(work)),
        "lens_fingerprint": lens_fingerprint(work, layers),
        "class_names": other_names(work),
        "reference": "" if work.reference is None else str(work.reference.path),
        "rank": config.rank,
        "size": config.size,
        "seed": config.seed,
        "compare": config.compare,
        "run": None,
    }
    if work.images.bands.shown:
        plan["shown"] = list(work.images.bands.shown)
    before = earlier_plan(path)
    for line in changes(before, plan, path.parent):
        work.progress.say(line)
    same = {"class_names": [], **before, "run": None} == plan and before.get("run") is not None
    plan["run"] = before["run"] if same else asdict(run_info(config))
    atomic_write(path, canonical_json(plan).encode())
    return plan


def other_names(work: Work) -> list[str]:
    """The names of the classes where they are not the network's own, which the cache holds."""
    own = work.store.read_network()[0].class_names
    return [] if work.class_names == own else list(work.class_names)


def changes(before: Mapping[str, Any], plan: Mapping[str, Any], folder: Path) -> list[str]:
    """What differs from the last build of a model, a line for each setting that was changed.

    Args:
        before, plan: of the last build and of this one.
        folder: of the model in the cache.
    """
    names = {
        "recipes": "recipe",
        **{name: name for name in ("rank", "size", "seed", "compare")},
    }
    lines = [
        f"{name} changed from {as_text(before[key])} to {as_text(plan[key])}"
        for key, name in names.items()
        if before.get(key, plan[key]) != plan[key]
    ]
    if before.get("reference", plan["reference"]) != plan["reference"]:
        lines.append("reference changed")
    if before.get("key", plan["key"]) == plan["key"] or not (folder / before["key"]).exists():
        return lines
    old, new = (read_key(folder / one["key"]) for one in (before, plan))
    flat = [{**one, **one["model"]} for one in (old, new)]
    changed = [key for key in flat[1] if key != "model" and flat[0].get(key) != flat[1][key]]
    return lines + [f"{key.replace('_', ' ')} changed: ranked and rendered anew" for key in changed]


def as_text(value: object) -> str:
    """A setting as people type it; `nothing` where it is empty."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value) or "nothing"


def read_plan(path: Path) -> dict[str, Any]:
    """What the last build of a model was asked to show.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    plan = read_any_plan(path)
    if plan.get("schema") != PLAN_SCHEMA:
        raise InputError(f"{path} is of another version of this program; build that atlas again")
    return plan


def earlier_plan(path: Path) -> dict[str, Any]:
    """The plan that a new one replaces; nothing where there is none, or of another version.

    Raises:
        InputError: the file is damaged.
    """
    plan = read_any_plan(path) if path.exists() else {}
    return plan if plan.get("schema") == PLAN_SCHEMA else {}


def read_any_plan(path: Path) -> dict[str, Any]:
    """The plan of any version.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it and build again") from error


def gather(store: Store, plan: Mapping[str, Any], failures: Sequence[Rendering]) -> ModelAtlas:
    """Everything the pages show, read from the cache."""
    model, table = store.read_network()
    model = replace(model, class_names=tuple(plan.get("class_names") or model.class_names))
    reference = read_reference(Path(plan["reference"])) if plan["reference"] else None
    by_name = {layer.name: layer for layer in table}
    finished = [store.finished(mark) for mark in plan["fingerprints"].values()]
    layers = []
    for name, channels in plan["layers"].items():
        stats = store.read_stats(name)
        done = [one[name][c] for one in finished for c in channels if c in one.get(name, {})]
        failed = [one for one in failures if one.unit.layer == name]
        layers.append(
            LayerAtlas(
                info=by_name[name],
                stats=stats,
                natural=stats if reference is None else reference.stats.get(name, stats),
                ranking=rank_channels(stats, plan["rank"]),
                chosen=tuple(channels),
                renderings=(*done, *failed),
            )
        )
    layers.sort(key=lambda layer: layer.info.index)
    run = dict(plan["run"], versions=tuple(tuple(pair) for pair in plan["run"]["versions"]))
    samples = store.read_samples()
    return ModelAtlas(
        model=model,
        samples=samples,
        natural=samples if reference is None else reference.samples,
        layers=tuple(layer for layer in layers if layer.info.name != CLASSES),
        classes=next((layer for layer in layers if layer.info.name == CLASSES), None),
        class_recipes=tuple(plan["class_recipes"]),
        readout=store.read_readout(),
        lenses=tuple(sorted({*plan["lenses"]} & store.finished_lenses(plan["lens_fingerprint"]))),
        recipes=tuple(plan["recipes"]),
        recipe_digests=tuple(plan["digests"][name] for name in plan["recipes"]),
        class_recipe_digests=tuple(plan["digests"][name] for name in plan["class_recipes"]),
        rank=plan["rank"],
        size=plan["size"],
        seed=plan["seed"],
        key=plan["key"],
        run=RunInfo(**run),
        shown=tuple(plan.get("shown", ())),
    )


def pictures_of(store: Store, plan: Mapping[str, Any]) -> Pictures:
    """Where the pixels of what a plan shows are read from."""
    return store.pictures(plan["fingerprints"], plan["lens_fingerprint"])


# --- comparing -----------------------------------------------------------------------------------


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
    if not plan_of(config.cache, config.compare).exists():
        names = sorted(name_of(path.parent) for path in config.cache.glob(f"*/{PLAN}"))
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
    path = plan_of(config.cache, config.compare)
    theirs = read_key(path.parent / read_plan(path)["key"])
    if theirs["images"] != work.store.key["images"]:
        raise InputError(
            f"--compare: {config.atlas_name} and {config.compare} are atlases over different "
            "images; build both with the same --images"
        )


def plan_of(cache: Path, name: str) -> Path:
    """Where the plan of an atlas lies."""
    return cache / escape_name(name) / PLAN


def name_of(folder: Path) -> str:
    """Name of the atlas that has this folder in the cache; the folder's where it was shortened."""
    try:
        return unescape_name(folder.name)
    except ValueError:
        return folder.name


@contextmanager
def open_other(plan: Mapping[str, Any], ours: ModelAtlas, cache: Path) -> Iterator[Other | None]:
    """The atlas that a plan names for comparison with ours; None where it names none.

    Raises:
        CacheError: it cannot be read.
        InputError: it is not in the cache any more, or over other images by now.
    """
    name = plan.get("compare", "")
    if not name:
        yield None
        return
    path = plan_of(cache, name)
    if not path.exists():
        raise InputError(
            f"--compare: there is no atlas {name!r} in {shown(cache)} any more; build it again"
        )
    theirs = read_plan(path)
    with Store.read(path.parent / theirs["key"]) as store:
        other = Other(atlas=gather(store, theirs, ()), pictures=pictures_of(store, theirs))
        check_comparable(ours, other.atlas)
        yield other


def compares_with(plan: Path, folder: Path) -> bool:
    """Whether the atlas of a plan compares itself with the atlas of this folder of the cache."""
    try:
        name = read_plan(plan).get("compare") or ""
    except InputError:  # its own build will say so
        return False
    return plan.parent != folder and escape_name(name) == folder.name


def is_stale(site: Path, page: str) -> bool:
    """Whether a page of the site is missing, or one of its links leads nowhere."""
    if not (site / page).is_file():
        return True
    targets = link_targets(page, (site / page).read_text("utf-8", "replace"))
    return not all((site / target).is_file() for target in targets)


# --- writing -------------------------------------------------------------------------------------


def write_pages(
    store: Store,
    plan: Mapping[str, Any],
    failures: Sequence[Rendering],
    config: Config,
    progress: Progress,
) -> int:
    """Write the site of one model and say what changed; then of those that compare with it.

    Returns:
        How many kinds of pages had to be left out.
    """
    folder = store.folder.parent
    report, left_out = write_model_pages(store, plan, failures, config, progress)
    for path in sorted(folder.parent.glob(f"*/{PLAN}")):
        model = path.parent.name
        page = f"{model}/{comparison_page(folder.name)}"
        changed = report.written or report.removed or is_stale(config.site, page)
        if changed and compares_with(path, folder) and read_manifest(config.site / model):
            rewrite(path, config, progress)
    return left_out


def rewrite(path: Path, config: Config, progress: Progress) -> None:
    """Write the pages of another atlas again, which compares itself with the one just built.

    What goes wrong with it is a warning: the atlas that was asked for is done.

    Args:
        path: its plan.
        config, progress: of this run.
    """
    name = name_of(path.parent)
    progress.say(f"{name} is compared with it: its pages are written again")
    try:
        plan = read_plan(path)
        with Store.read(path.parent / plan["key"]) as store:
            write_model_pages(store, plan, (), config, progress)
    except AtlasError as error:
        progress.warn(f"the pages of {name} could not be written again: {error}")


PARTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("image pages", {"lenses": ()}),
    ("class pages", {"classes": None}),
    ("image and class pages", {"lenses": (), "classes": None}),
)
"""What a site is written without where it cannot be written whole: never without its units."""


def write_model_pages(
    store: Store,
    plan: Mapping[str, Any],
    failures: Sequence[Rendering],
    config: Config,
    progress: Progress,
) -> tuple[SiteReport, int]:
    """Write the site of one model and say what changed, and how many kinds of pages it lacks."""
    whole, cache = gather(store, plan, failures), store.folder.parent.parent
    labels = all_labels(LABEL_FOLDERS)
    for name in lost_labels(config.site / escape_name(whole.model.name), whole.model.name, labels):
        progress.warn(f"the label of {name} is gone: it is in no {LABELS} here or by the program")
    with ExitStack() as stack:
        try:
            other = stack.enter_context(open_other(plan, whole, cache))
        except AtlasError as error:
            progress.warn(f"{whole.model.name} has no compare page: {error}")
            other = None

        def write(atlas: ModelAtlas) -> SiteReport:
            return write_site(
                atlas,
                pictures_of(store, plan),
                site=config.site,
                labels=labels,
                site_url=config.site_url,
                templates=[],
                other=other,
            )

        report, lacks = write_what_can_be(whole, write, config, progress)
    say_report(report, config, progress)
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


def all_labels(folders: Sequence[Path]) -> dict[str, str]:
    """The labels in all of these folders; those of later ones win."""
    labels: dict[str, str] = {}
    for folder in folders:
        labels |= read_labels(folder / LABELS)
    return labels


def lost_labels(folder: Path, model: str, labels: Mapping[str, str]) -> list[str]:
    """Units that have a label on the model's pages of before, in `folder`, and have none now."""
    try:
        text = (folder / "units.csv").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    rows = csv.DictReader(io.StringIO(text, newline=""))
    named = [f"{model}/{row['layer']}:{row['channel']}" for row in rows if row.get("label")]
    return [name for name in named if name not in labels]


def read_labels(path: Path) -> dict[str, str]:
    """Labels that people gave to units: `"googlenet/inception4a:225" = "eyes"`.

    Raises:
        InputError: the file is not TOML, or a label is not text.
    """
    try:
        labels = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    for name, label in labels.items():
        if not isinstance(label, str):
            raise InputError(f"{path}: the label of {name} is {label!r}, not text in quotes")
    return labels
