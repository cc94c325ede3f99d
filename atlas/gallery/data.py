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
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import ModelAtlas
from .addresses import IMAGES
from .text import shown
from .views import (
    ClassesView,
    ClassImage,
    ClassView,
    Example,
    Fooled,
    Guess,
    Heat,
    ImageView,
    LayerView,
    OnImage,
    Picture,
    UnitView,
)

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
        "ranks": list(made.scores.ranks),
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
        "objectives": objectives_json(unit),
        "provenance": provenance,
    }


def objectives_json(unit: UnitView) -> Json:
    """The curve of each rendering, by recipe."""
    return {
        picture.rendering.recipe: {
            "values": singles(picture.rendering.objective),
            "octave_steps": list(picture.rendering.octave_steps),
        }
        for picture in unit.pictures
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
        "recipes": atlas.digests,
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
    classes: ClassesView | None,
    images: Sequence[ImageView],
) -> Json:
    """model.json: the model, its layers, and what the home page shows of it.

    Args:
        atlas: the model.
        layers: in forward order.
        classes: None where there are no class pages.
        images: those with pages.
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
        **input_json(atlas),
        "outputs": model.outputs,
        "images": atlas.samples.title,
        "crop": asdict(atlas.samples.crop) if atlas.samples.crop else None,
        "provenance": provenance_json(atlas),
        "skipped": [{"name": file.name, "reason": file.reason} for file in atlas.samples.skipped],
        "credits": list(atlas.samples.credits),
        "hf": [double(natural.hf_p05), double(natural.hf_median), double(natural.hf_p95)],
        "n_units": sum(len(layer.units) for layer in layers),
        "n_rendered": sum(layer.rendered for layer in layers),
        "layers": [
            {**info_json(layer), "n_units": len(layer.units), "n_rendered": layer.rendered}
            for layer in layers
        ],
        "contact": [teaser_json(layer, unit) for layer, unit in contact],
        "daily": [teaser_json(layer, unit) for layer, unit in daily],
        "n_classes": len(classes.classes) if classes else 0,
        "classes": [class_row_json(classes, one) for one in classes.classes] if classes else [],
        "lenses": [lens_json(image) for image in images],
    }


def input_json(atlas: ModelAtlas) -> Json:
    """What the network takes; of a square picture in colours or grey, its side is all."""
    model = atlas.model
    found: Json = {"input_size": model.input_size}
    if model.input_shape:
        found["input_shape"] = list(model.input_shape)
    if atlas.shown:
        found["channels"] = model.channels
        found["show_channels"] = [one + 1 for one in atlas.shown]
    return found


def search_json(
    atlas: ModelAtlas,
    folder: str,
    layers: Sequence[LayerView],
    classes: ClassesView | None,
    images: Sequence[ImageView],
) -> Json:
    """search.json: this model's rows of `assets/units.js`.

    A row is layer (index into `layers`), channel, rank, status, label or class name, and 1 where
    there is a thumbnail. The classes are one layer more, whose rows come first: what people call a
    class finds its page before a unit of that name. The images are another one, whose
    rows come last: rank 0, no status, and as label the file and what it is taken for.
    """
    named = [[shown(layer.name), layer.folder] for layer in layers]
    rows = [search_row(place, unit) for place, layer in enumerate(layers) for unit in layer.units]
    if classes:
        rows = [search_row(len(named), one.unit) for one in classes.classes] + rows
        named.append(["classes", classes.folder])
    if images:
        rows += [image_row(len(named), image) for image in images]
        named.append(["images", IMAGES])
    return {
        "schema": SCHEMA,
        "title": shown(atlas.model.title),
        "name": shown(atlas.model.name),
        "folder": folder,
        "layers": named,
        "rows": rows,
    }


def search_row(place: int, unit: UnitView) -> list[str | int]:
    """A row of the search for a unit of the layer at a place."""
    called, thumb = shown(unit.called), int(bool(unit.thumb))
    return [place, unit.channel, unit.rank, unit.status, called, thumb]


# --- classes -------------------------------------------------------------------------------------


def class_row_json(classes: ClassesView, one: ClassView) -> Json:
    """A class for model.json, addresses seen from the model's folder."""
    unit, lead = one.unit, one.unit.lead
    start = f"{classes.folder}/"
    return {
        "index": one.index,
        "name": one.name,
        "page": start + one.page,
        "image": start + lead.image.file if lead and lead.image else None,
        "thumbnail": start + unit.thumb.file if unit.thumb else None,
        "status": unit.status,
        "select": lead.rendering.scores.select if lead else None,
        "confidence": double(lead.rendering.scores.confidence) if lead else None,
        "recipe": lead.rendering.recipe if lead else None,
    }


def class_page_json(atlas: ModelAtlas, classes: ClassesView, one: ClassView) -> Json:
    """What stands beside the page of a class: all that it shows, addresses seen from its folder."""
    unit = one.unit
    return {
        "schema": SCHEMA,
        "model": atlas.model.name,
        "index": one.index,
        "name": one.name,
        "page": one.page,
        "status": unit.status,
        "mean_score": single(unit.mean),
        "std": single(unit.std),
        "max": single(unit.max),
        "natural_mean": single(unit.natural_mean),
        "natural_max": single(unit.natural_max),
        "renderings": [class_picture_json(picture) for picture in unit.pictures],
        "most_sure": [class_image_json(image) for image in one.most],
        "least_sure": [class_image_json(image) for image in one.least],
        "readout": readout_json(classes, one),
        "objectives": objectives_json(unit),
        "provenance": provenance_json(atlas),
    }


def class_picture_json(picture: Picture) -> Json:
    """A rendering of a class: that of a unit, with the probability that the network gives it."""
    confidence = double(picture.rendering.scores.confidence)
    return {**picture_json(picture), "confidence": confidence}


def class_image_json(image: ClassImage) -> Json:
    """A sample image with what the network makes of it for one class."""
    return {
        "image_index": image.image,
        "name": image.name,
        "probability": double(image.probability),
        "score": single(image.score),
        "image": image.whole.file,
        "page": image.page or None,
    }


def readout_json(classes: ClassesView, one: ClassView) -> Json | None:
    """The channels that raise a class most; None where the classifier reads no layer's means."""
    if not classes.readout:
        return None
    channels = [
        {
            "channel": voter.channel,
            "contribution": single(voter.contribution),
            "page": f"../{classes.readout_folder}/{voter.unit.page}" if voter.unit else None,
        }
        for voter in one.voters
    ]
    return {"layer": classes.readout, "channels": channels}


def image_row(place: int, image: ImageView) -> list[str | int]:
    """A row of the search for a sample image; the images are the layer at a place."""
    label = f"{image.name} · {image.guesses[0].name}" if image.guesses else image.name
    return [place, image.image, 0, "", shown(label), 1]


# --- images --------------------------------------------------------------------------------------


def lens_json(image: ImageView) -> Json:
    """A row of `lenses` in model.json, addresses seen from the model's folder."""
    return {
        "image_index": image.image,
        "name": image.name,
        "page": f"{IMAGES}/{image.page}",
        "image": f"{IMAGES}/{image.whole.file}",
        "predictions": guesses_json(image.guesses),
    }


def guesses_json(guesses: Sequence[Guess]) -> list[Json]:
    """Predictions, most likely first."""
    return [
        {"index": one.index, "name": one.name, "probability": double(one.probability)}
        for one in guesses
    ]


def image_page_json(atlas: ModelAtlas, image: ImageView, provenance: Json) -> Json:
    """What stands beside an image's page: all its numbers, addresses seen from its folder.

    Args:
        atlas: the model.
        image: what the page shows.
        provenance: `provenance_json` of the model.
    """
    sample = atlas.samples.samples[image.image]
    return {
        "schema": SCHEMA,
        "model": atlas.model.name,
        "image_index": image.image,
        "name": image.name,
        "sha256": sample.sha256,
        "box": list(sample.box),
        "page": image.page,
        "image": image.whole.file,
        "predictions": guesses_json(image.guesses),
        "saliency": heat_json(image.saliency),
        "smoothgrad": heat_json(image.smoothgrad),
        "fooling": fooling_json(image.fooled) if image.fooled else None,
        "layers": [on_image_json(layer) for layer in image.layers],
        "provenance": provenance,
    }


def heat_json(heat: Heat | None) -> Json | None:
    """A heat map: its picture, and the value of its brightest colour."""
    return {"image": heat.shot.file, "ceiling": double(heat.ceiling)} if heat else None


def fooling_json(fooled: Fooled) -> Json:
    """A fooling image."""
    return {
        "original": fooled.original.file,
        "image": fooled.changed.file,
        "difference": fooled.difference.file,
        "target": {"index": fooled.target, "name": fooled.target_name},
        "fooled": fooled.succeeded,
        "steps": fooled.steps,
        "l2": double(fooled.l2),
        "linf": double(fooled.linf),
        "predictions": guesses_json(fooled.guesses),
    }


def on_image_json(layer: OnImage) -> Json:
    """A layer on an image: the units that it excites most, and its feature maps."""
    up = f"../{layer.layer.folder}/"
    return {
        "layer": layer.layer.name,
        "folder": layer.layer.folder,
        "units": [
            {
                "channel": one.unit.channel,
                "activation": single(one.activation),
                "spreads": single(one.spreads),
                "page": up + one.unit.page,
            }
            for one in layer.excited
        ],
        "maps": [
            {
                "channel": one.channel,
                "mean_activation": single(one.mean),
                "peak": single(one.peak),
                "page": up + one.unit.page if one.unit else None,
            }
            for one in layer.maps
        ],
        "maps_image": layer.band.file if layer.band else None,
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
