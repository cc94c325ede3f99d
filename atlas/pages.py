"""The stage store → site: gather what the last build was asked to show, hand it to the gallery."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .audit import read_key
from .config import Config, canonical_json
from .errors import InputError
from .files import atomic_write
from .gallery import write_site
from .progress import Progress
from .ranking import rank_channels
from .recipes import Recipe, digest
from .records import LayerAtlas, ModelAtlas, Rendering, RunInfo, Unit
from .reference import read_reference
from .rendering import rendering_fingerprint
from .store import Store
from .work import Work, run_info

PLAN = "atlas.json"
"""`cache/<model>/atlas.json`: what the last build of a model was asked to show."""

LABELS = "labels.toml"


def write_plan(
    work: Work, recipes: Sequence[Recipe], chosen: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """Remember what the pages of this model are to show; the date changes only with the rest."""
    config, path = work.config, work.store.folder.parent / PLAN
    plan: dict[str, Any] = {
        "key": work.store.folder.name,
        "layers": {name: list(channels) for name, channels in chosen.items()},
        "recipes": [recipe.name for recipe in recipes],
        "digests": [digest(recipe) for recipe in recipes],
        "fingerprints": [rendering_fingerprint(work, recipe) for recipe in recipes],
        "reference": "" if work.reference is None else str(work.reference.path),
        "rank": config.rank,
        "size": config.size,
        "seed": config.seed,
        "run": None,
    }
    before = read_plan(path) if path.exists() else {}
    for line in changes(before, plan, path.parent):
        work.progress.say(line)
    same = {**before, "run": None} == plan and before.get("run") is not None
    plan["run"] = before["run"] if same else asdict(run_info(config))
    atomic_write(path, canonical_json(plan).encode())
    return plan


def changes(before: Mapping[str, Any], plan: Mapping[str, Any], folder: Path) -> list[str]:
    """What differs from the last build of a model, a line for each setting that was changed.

    Args:
        before, plan: of the last build and of this one.
        folder: of the model in the cache.
    """
    names = {"recipes": "recipe", "rank": "rank", "size": "size", "seed": "seed"}
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
    """A setting as people type it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def read_plan(path: Path) -> dict[str, Any]:
    """What the last build of a model was asked to show.

    Raises:
        InputError: the file is damaged.
    """
    try:
        plan: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it and build again") from error
    return plan


def gather(store: Store, plan: Mapping[str, Any], failures: Mapping[Unit, Rendering]) -> ModelAtlas:
    """Everything the pages show, read from the cache."""
    model, table = store.read_network()
    reference = read_reference(Path(plan["reference"])) if plan["reference"] else None
    by_name = {layer.name: layer for layer in table}
    finished = [store.finished(mark) for mark in plan["fingerprints"]]
    layers = []
    for name, channels in plan["layers"].items():
        stats = store.read_stats(name)
        done = [one[name][c] for one in finished for c in channels if c in one.get(name, {})]
        failed = [one for unit, one in failures.items() if unit.layer == name]
        layers.append(
            LayerAtlas(
                info=by_name[name],
                stats=stats,
                natural=stats if reference is None else reference.stats[name],
                ranking=rank_channels(stats, plan["rank"]),
                chosen=tuple(channels),
                renderings=(*done, *failed),
            )
        )
    run = dict(plan["run"], versions=tuple(tuple(pair) for pair in plan["run"]["versions"]))
    samples = store.read_samples()
    return ModelAtlas(
        model=model,
        samples=samples,
        natural=samples if reference is None else reference.samples,
        layers=tuple(sorted(layers, key=lambda layer: layer.info.index)),
        recipes=tuple(plan["recipes"]),
        recipe_digests=tuple(plan["digests"]),
        rank=plan["rank"],
        size=plan["size"],
        seed=plan["seed"],
        key=plan["key"],
        run=RunInfo(**run),
    )


def write_pages(
    store: Store,
    plan: Mapping[str, Any],
    failures: Mapping[Unit, Rendering],
    config: Config,
    progress: Progress,
) -> None:
    """Write the site of one model and say what changed."""
    marks = dict(zip(plan["recipes"], plan["fingerprints"], strict=True))
    report = write_site(
        gather(store, plan, failures),
        store.pictures(marks),
        site=config.site,
        labels=read_labels(Path(LABELS)),
        site_url=config.site_url,
        templates=[],
    )
    for name in report.unknown_labels:
        progress.warn(f"{LABELS}: there is no unit {name} in this atlas")
    for text in report.warnings:
        progress.warn(text)
    progress.say(
        f"{config.site / 'index.html'}: {report.written} files written, "
        f"{report.unchanged} unchanged, {report.bytes / 1e6:.0f} MB"
    )


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
