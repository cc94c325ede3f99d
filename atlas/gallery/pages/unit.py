"""The page of a unit, and the data beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import sentences
from ..citing import cite
from ..data.encode import to_json
from ..data.units import unit_file
from ..evidence_sentences import ident_sentence, predict_sentence, unidentified_sentence
from ..mask_sentences import keep_sentence, patch_sentence
from ..recipes import dislikes, recipe_sentence
from ..tuning_sentences import stimuli_sentence
from ..views import LayerView, Neighbour, Picture, UnitView
from .circuits import circuit_panel
from .directions import direction_panel
from .embed import write_embed
from .frame import Known, PageWriter, Way, known_units, ways
from .meanings import meanings_panel
from .panels import Panel, card_of, histogram, natural_images, panel
from .spectrum import spectrum_panel
from .tuning import tuning_panels


def write_units(writer: PageWriter, layer: LayerView) -> None:
    """Write the page and the data of each unit of a layer."""
    known = known_units(writer)
    for place, unit in enumerate(layer.units):
        write_unit(writer, layer, place, known)
        write_embed(writer, layer, unit)
        row = writer.rows[layer.name][place]
        data = unit_file(writer.atlas.model.name, unit, row, writer.provenance)
        writer.tree.put(f"{layer.folder}/{unit.channel}.json", to_json(data))


def write_unit(writer: PageWriter, layer: LayerView, place: int, known: Known) -> None:
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
        cite=cite(writer.atlas, writer.folder, layer, unit),
        panels=[unit_panel(picture, unit, layer) for picture in pictures],
        said=[said_of(picture, unit, layer) for picture in pictures],
        ways=[*ways(layer.units, place, rank_link), *channel_ways(unit, layer)],
        histogram=histogram(unit, layer, "mean activation on a natural image"),
        natural=natural(unit),
        spectrum=spectrum_panel(unit, layer, len(writer.atlas.samples.samples)),
        neighbours=near(unit.neighbours, known, layer),
        across=near(unit.neighbours_across, known, layer),
        shares=kept_shares(unit) if unit.channel in layer.atlas.masks else [],
        circuits=circuit_panel(unit.circuit, known),
        direction=direction_panel(unit, layer, writer.layers, known),
        meanings=meanings_panel(unit.meanings, writer.observer),
        tuning=tuning_panels(unit.tuning, writer.atlas.model),
        stimuli_sentence=stimuli_sentence(len(writer.atlas.stimuli), writer.atlas.model),
    )


def rank_link(unit: UnitView) -> tuple[str, str]:
    """Address and label of a unit that is next by rank."""
    return unit.page, f"rank {unit.rank}"


def channel_ways(unit: UnitView, layer: LayerView) -> list[Way]:
    """Links to the units before and after by channel."""
    units = sorted(layer.units, key=lambda one: one.channel)
    place = [one.channel for one in units].index(unit.channel)
    return ways(units, place, lambda one: (one.page, f"channel {one.channel}"), "Shift+")


def said_of(picture: Picture, unit: UnitView, layer: LayerView) -> tuple[str, str]:
    """Return the observer's verdict on a picture, and the reason where it is negative, or ""."""
    evidence = layer.atlas.evidence
    if evidence is None or picture.place is None:
        return "", ""
    return (
        ident_sentence(evidence, picture.place, unit.photographs),
        unidentified_sentence(evidence, picture.place, unit.photographs),
    )


def unit_panel(picture: Picture, unit: UnitView, layer: LayerView) -> Panel:
    """Put a rendering of a unit into words and curves."""
    rendering = picture.rendering
    scores, negative = rendering.scores, dislikes(rendering.recipe)
    channels = layer.atlas.info.channels
    natural = layer.atlas.natural.over_images(unit.channel)
    end = float(natural.min(initial=math.inf)) if negative else unit.natural_max
    images = natural_images(layer)
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


def kept_shares(unit: UnitView) -> list[tuple[str, float, str]]:
    """PATCH and KEEP of a unit, with their sentences."""
    return [
        ("patch", unit.patch, patch_sentence(unit.patch)),
        ("keep", unit.keep, keep_sentence(unit.keep)),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A correlated channel, with its unit where this atlas shows it.

    Attributes:
        name: of the channel, with its layer where that is another one.
        correlation: with the unit of the page.
        unit: None where this atlas does not show it.
        folder: of its layer, seen from the page; "" for the page's own.
    """

    name: str
    correlation: float
    unit: UnitView | None
    folder: str


def near(found: Sequence[Neighbour], known: Known, layer: LayerView) -> list[Near]:
    """Correlated channels as the page of a unit of a layer shows them."""
    rows = []
    for other in found:
        unit, folder = known.get((other.layer, other.channel), (None, ""))
        own = other.layer == layer.name
        name = str(other.channel) if own else f"{other.layer}:{other.channel}"
        above = "" if own else folder
        rows.append(Near(name=name, correlation=other.correlation, unit=unit, folder=above))
    return rows
