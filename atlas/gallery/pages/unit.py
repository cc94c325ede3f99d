"""The page of a unit, and the data beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import sentences
from ..data.encode import to_json
from ..data.units import unit_file
from ..evidence_sentences import ident_sentence, predict_sentence, unidentified_sentence
from ..recipes import dislikes, recipe_sentence
from ..views import LayerView, Neighbour, Picture, UnitView
from .frame import PageWriter, Way, ways
from .panels import Panel, card_of, histogram, panel


def write_units(writer: PageWriter, layer: LayerView) -> None:
    """Write the page and the data of each unit of a layer."""
    by_channel = {unit.channel: unit for unit in layer.units}
    for place, unit in enumerate(layer.units):
        write_unit(writer, layer, place, by_channel)
        row = writer.rows[layer.name][place]
        data = unit_file(writer.atlas.model.name, unit, row, writer.provenance)
        writer.tree.put(f"{layer.folder}/{unit.channel}.json", to_json(data))


def write_unit(
    writer: PageWriter, layer: LayerView, place: int, by_channel: Mapping[int, UnitView]
) -> None:
    """Write the page of the unit at a place of its layer."""
    unit = layer.units[place]
    pictures = sorted(unit.pictures, key=lambda one: one.image is None)
    called = f" “{unit.called}”" if unit.called else ""
    writer.put(
        "unit",
        f"{layer.folder}/{unit.page}",
        title=f"{unit.title}{called} · {writer.title}",
        description=f"Unit {unit.title}{called} of {writer.title}: its rendering, "
        "the real patches that excite it, and its scores.",
        trail=((layer.name, "index.html"), (str(unit.channel), "")),
        card=card_of(layer.folder, unit),
        layer=layer,
        unit=unit,
        panels=[
            unit_panel(picture, unit, layer, len(writer.atlas.natural.samples))
            for picture in pictures
        ],
        said=[said_of(picture, unit, layer) for picture in pictures],
        ways=[*ways(layer.units, place, rank_link), *channel_ways(unit, by_channel)],
        histogram=histogram(unit, layer, "activation on a natural image"),
        natural=natural(unit),
        neighbours=near(unit.neighbours, by_channel),
    )


def rank_link(unit: UnitView) -> tuple[str, str]:
    """Address and label of a unit that is next by rank."""
    return unit.page, f"rank {unit.rank}"


def channel_ways(unit: UnitView, by_channel: Mapping[int, UnitView]) -> list[Way]:
    """Links to the units before and after by channel."""
    channels = sorted(by_channel)

    def link(channel: int) -> tuple[str, str]:
        return by_channel[channel].page, f"channel {channel}"

    return ways(channels, channels.index(unit.channel), link, "Shift+")


def said_of(picture: Picture, unit: UnitView, layer: LayerView) -> tuple[str, str]:
    """Return the observer's verdict on a picture, and the reason where it is negative, or ""."""
    evidence = layer.atlas.evidence
    if evidence is None or picture.place is None:
        return "", ""
    return (
        ident_sentence(evidence, picture.place, unit.photographs),
        unidentified_sentence(evidence, picture.place, unit.photographs),
    )


def unit_panel(picture: Picture, unit: UnitView, layer: LayerView, images: int) -> Panel:
    """Put a rendering of a unit into words and curves."""
    rendering = picture.rendering
    scores, negative = rendering.scores, dislikes(rendering.recipe)
    channels = layer.atlas.info.channels
    natural = layer.atlas.natural.over_images(unit.channel)
    end = float(natural.min(initial=math.inf)) if negative else unit.natural_max
    said = {
        "activation": sentences.activation_sentence(scores, end, images, negative),
        "reach": sentences.reach_sentence(scores, negative),
        "select": sentences.select_sentence(scores, channels, negative),
        "robust": sentences.robust_sentence(scores),
        "hf": sentences.hf_sentence(scores),
    }
    evidence = layer.atlas.evidence
    if evidence is not None:
        said["ident"] = ident_sentence(evidence, picture.place, unit.photographs)
        said["predict"] = predict_sentence(evidence, picture.place)
    return panel(picture, recipe_sentence(rendering.recipe), said)


def natural(unit: UnitView) -> list[tuple[str, float]]:
    """Statistics of a unit over the sample images, with their names."""
    return [
        ("mean", unit.mean),
        ("spread", unit.std),
        ("maximum", unit.max),
        ("99th percentile", unit.p99),
        ("contrast", unit.contrast),
        ("share active", unit.active),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A correlated channel, with its unit where this atlas shows it."""

    channel: int
    correlation: float
    unit: UnitView | None


def near(found: Sequence[Neighbour], by_channel: Mapping[int, UnitView]) -> list[Near]:
    """Correlated channels as the page shows them."""
    return [
        Near(
            channel=other.channel,
            correlation=other.correlation,
            unit=by_channel.get(other.channel),
        )
        for other in found
    ]
