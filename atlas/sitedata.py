"""The numbers of the site as JSON and CSV, schema 1 (docs/data.md).

A number that is not finite is `null` in JSON and empty in CSV. Numbers that the network computed
in 32 bits are written with the shortest digits that give the same 32 bits back. JSON is ASCII, so
text of others survives it byte for byte; a text cell of a CSV that a spreadsheet would take for a
formula gets a leading apostrophe.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .captions import shown
from .records import ModelAtlas
from .views import Example, LayerView, Picture, UnitView

SCHEMA = 1

Json = dict[str, Any]

COLUMNS = (
    *("layer", "channel", "rank", "label", "class_name", "status", "recipe", "mean_activation"),
    *("std", "max", "p99", "contrast", "active", "activation", "reach", "select", "robust", "hf"),
    *("seed", "seconds", "page", "image"),
)
"""Columns of units.csv, in order."""

SCORES = ("activation", "reach", "select", "robust", "hf")


def to_json(value: object) -> bytes:
    """Bytes of a JSON file: ASCII, keys in the order given, one line."""
    return (json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n").encode()


def single(value: float) -> float | None:
    """The shortest decimal number that is the same in 32 bits; None where it is not finite."""
    return float(str(np.float32(value))) if math.isfinite(value) else None


def singles(values: NDArray[np.float32]) -> list[float | None]:
    """`single` of each value."""
    return [single(value) for value in values.tolist()]


def double(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None


# --- JSON ----------------------------------------------------------------------------------------


def picture_json(picture: Picture) -> Json:
    """A rendering: its scores, how it was made, its file."""
    made = picture.rendering
    return {
        "recipe": made.recipe,
        "status": made.status,
        "reason": made.reason,
        **{name: double(getattr(made.scores, name)) for name in SCORES if name != "select"},
        "select": made.scores.select,
        "seconds": double(made.seconds),
        "seed": made.seed,
        "start": made.start,
        "attempts": made.attempts,
        "precision": made.precision,
        "image": picture.image.file if picture.image else None,
        "thumbnail": picture.thumb.file if picture.thumb else None,
    }


NO_PICTURE: Json = {
    "recipe": None,
    "status": "unrendered",
    **dict.fromkeys((*SCORES, "seconds", "seed", "image"), None),
}
"""What stands for the lead rendering of a unit that has none."""


def example_json(example: Example) -> Json:
    """A dataset example."""
    return {
        "image_index": example.image,
        "name": example.name,
        "activation": single(example.activation),
        "box": list(example.box),
        "patch": example.patch.file,
        "image": example.whole.file,
    }


def unit_json(unit: UnitView) -> Json:
    """A unit: statistics, the lead rendering at the top level, all of them in `renderings`."""
    lead = picture_json(unit.lead) if unit.lead else NO_PICTURE
    return {
        "channel": unit.channel,
        "rank": unit.rank,
        "label": unit.label,
        "class_name": unit.class_name,
        "mean_activation": single(unit.mean),
        "std": single(unit.std),
        "max": single(unit.max),
        "p99": single(unit.p99),
        "contrast": single(unit.contrast),
        "active": single(unit.active),
        **{name: lead[name] for name in NO_PICTURE},
        "page": unit.page,
        "renderings": [picture_json(picture) for picture in unit.pictures],
        "examples": [example_json(example) for example in unit.examples],
        "natural_mean": single(unit.natural_mean),
        "natural_max": single(unit.natural_max),
        "neighbours": [
            {"channel": other.channel, "correlation": single(other.correlation)}
            for other in unit.neighbours
        ],
    }


def unit_page_json(model: str, unit: UnitView, row: Json, provenance: Json) -> Json:
    """What stands beside a unit's page: the unit, its model, and its curves.

    Args:
        model: its name.
        unit: the unit.
        row: its `unit_json`.
        provenance: `provenance_json` of the model.
    """
    return {
        "schema": SCHEMA,
        "model": model,
        "layer": unit.layer,
        **row,
        "objectives": {
            picture.rendering.recipe: {
                "values": singles(picture.rendering.objective),
                "octave_steps": list(picture.rendering.octave_steps),
            }
            for picture in unit.pictures
        },
        "provenance": provenance,
    }


def provenance_json(atlas: ModelAtlas) -> Json:
    """What the numbers and pictures were made from and with."""
    return {
        "weights_sha256": atlas.model.weights_sha256,
        "images_sha256": atlas.samples.sha256,
        "n_images": len(atlas.samples.samples),
        "n_distinct": atlas.samples.distinct,
        "natural_sha256": atlas.natural.sha256,
        "n_natural": len(atlas.natural.samples),
        "n_natural_distinct": atlas.natural.distinct,
        "recipes": dict(zip(atlas.recipes, atlas.recipe_digests, strict=True)),
        "rank": atlas.rank,
        "size": atlas.size,
        "seed": atlas.seed,
        "key": atlas.key,
        "versions": dict(atlas.run.versions),
        "device": atlas.run.device,
        "command": atlas.run.command,
        "created": atlas.run.created,
    }


def layer_json(atlas: ModelAtlas, layer: LayerView, rows: Sequence[Json]) -> Json:
    """layer.json: the layer, statistics of all its channels, the units it shows.

    Args:
        atlas: the model.
        layer: the layer.
        rows: `unit_json` of each of its units.
    """
    info, stats = layer.atlas.info, layer.atlas.stats
    return {
        "schema": SCHEMA,
        "model": atlas.model.name,
        **info_json(layer),
        "n_images": len(atlas.samples.samples),
        "mean": singles(stats.mean),
        "std": singles(stats.std),
        "max": singles(stats.max),
        "p99": singles(stats.p99),
        "active": singles(stats.active),
        "ranking": layer.atlas.ranking.tolist(),
        "multiply_adds": info.multiply_adds,
        "units": list(rows),
    }


def info_json(layer: LayerView) -> Json:
    """A row of the layer table."""
    info = layer.atlas.info
    return {
        "layer": info.name,
        "folder": layer.folder,
        "index": info.index,
        "type": info.type,
        "channels": info.channels,
        "height": info.height,
        "width": info.width,
        "receptive_field": info.receptive_field,
        "stride": info.stride,
    }


def teaser_json(layer: LayerView, unit: UnitView) -> Json:
    """A unit for the home page, addresses seen from the model's folder."""
    assert unit.thumb
    assert unit.lead
    assert unit.lead.image
    return {
        "layer": layer.name,
        "channel": unit.channel,
        "label": unit.called,
        "page": f"{layer.folder}/{unit.page}",
        "thumbnail": f"{layer.folder}/{unit.thumb.file}",
        "image": f"{layer.folder}/{unit.lead.image.file}",
        "patch": f"{layer.folder}/{unit.examples[0].patch.file}" if unit.examples else None,
        "reach": double(unit.lead.rendering.scores.reach),
        "recipe": unit.lead.rendering.recipe,
    }


def model_json(
    atlas: ModelAtlas,
    layers: Sequence[LayerView],
    contact: Sequence[tuple[LayerView, UnitView]],
    daily: Sequence[tuple[LayerView, UnitView]],
) -> Json:
    """model.json: the model, its layers, and what the home page shows of it.

    Args:
        atlas: the model.
        layers: in forward order.
        contact: units of the contact sheet, in forward order.
        daily: candidates for the unit of the day.
    """
    model, natural = atlas.model, atlas.natural
    return {
        "schema": SCHEMA,
        "model": model.name,
        "title": model.title,
        "source": model.source,
        "licence": model.licence,
        "parameters": model.parameters,
        "input_size": model.input_size,
        "images": atlas.samples.title,
        "provenance": provenance_json(atlas),
        "skipped": [{"name": file.name, "reason": file.reason} for file in atlas.samples.skipped],
        "hf": [double(natural.hf_p05), double(natural.hf_median), double(natural.hf_p95)],
        "n_units": sum(len(layer.units) for layer in layers),
        "n_rendered": sum(layer.rendered for layer in layers),
        "layers": [
            {**info_json(layer), "n_units": len(layer.units), "n_rendered": layer.rendered}
            for layer in layers
        ],
        "contact": [teaser_json(layer, unit) for layer, unit in contact],
        "daily": [teaser_json(layer, unit) for layer, unit in daily],
    }


def search_json(atlas: ModelAtlas, folder: str, layers: Sequence[LayerView]) -> Json:
    """search.json: this model's rows of `assets/units.js`.

    A row is layer (index into `layers`), channel, rank, status, label or class name, and 1 where
    there is a thumbnail.
    """
    return {
        "schema": SCHEMA,
        "title": shown(atlas.model.title),
        "name": shown(atlas.model.name),
        "folder": folder,
        "layers": [[shown(layer.name), layer.folder] for layer in layers],
        "rows": [
            [place, unit.channel, unit.rank, unit.status, shown(unit.called), int(bool(unit.thumb))]
            for place, layer in enumerate(layers)
            for unit in layer.units
        ],
    }


# --- CSV -----------------------------------------------------------------------------------------


def units_csv(layers: Iterable[tuple[str, str, Sequence[Json]]]) -> bytes:
    """units.csv: one row a unit.

    Args:
        layers: of each its name, what its addresses start with, and `unit_json` of its units.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for layer, start, units in layers:
        for unit in units:
            row = {**unit, "layer": layer, "page": start + unit["page"]}
            row["image"] = start + unit["image"] if unit["image"] else None
            writer.writerow([cell(row[name]) for name in COLUMNS])
    return file.getvalue().encode("utf-8", "replace")


def cell(value: object) -> str:
    """A cell of a CSV file; text that looks like a formula is disarmed."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    plain = shown(value)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@", "\t", "\r")) else plain
