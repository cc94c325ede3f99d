"""The pages of a layer, and the data beside them: its units, and what excites them."""

import json
from collections.abc import Callable, Sequence

from markupsafe import Markup

from .. import addresses, charts, sentences, sheets
from ..data.encode import Json, single, to_json
from ..data.models import layer_file
from ..data.table import units_csv
from ..evidence_sentences import EXPLAINED, found_sentences
from ..recipes import recipe_sentence, recipe_title
from ..text import plural
from ..views import LayerView, Picture, UnitView
from .circuits import agreements
from .directions import dictionary_panel
from .frame import PageWriter, ways
from .map import write_map
from .meanings import layer_meanings
from .unit import write_units

SORTS = (
    *(("rank", "rank"), ("channel", "channel"), ("mean", "mean activation")),
    *(("max", "maximum"), ("contrast", "contrast"), ("reach", "REACH")),
    *(("select", "SELECT"), ("robust", "ROBUST"), ("hf", "HF"), ("ident", "IDENT")),
    *(("predict", "PREDICT"), ("similar", "similar units together")),
)
"""Keys and names of the orders of a layer's grid."""

TUNED = (
    *(("orientation", "orientation"), ("frequency", "spatial frequency"), ("hue", "hue")),
    ("colour", "colour index"),
)
"""The same of those by what units prefer."""


def write_layer(writer: PageWriter, place: int) -> None:
    """Write a layer's page, its data, and the pages of its units."""
    layer = writer.layers[place]
    info, recipes = layer.atlas.info, writer.atlas.recipes_of(layer.atlas)
    writer.put(
        "layer",
        f"{layer.folder}/index.html",
        title=f"{layer.name} · {writer.title}",
        description=f"{plural(len(layer.units), 'unit')} of layer {layer.name} of "
        f"{writer.title} ({info.channels} channels, {info.height} × {info.width}).",
        trail=((layer.name, ""),),
        card=f"{layer.folder}/card.jpg",
        layer=layer,
        ways=ways(writer.layers, place, lambda one: (f"../{one.folder}/index.html", one.signpost)),
        sorts=[*orders(SORTS, layer), *(TUNED if layer.atlas.tuning else ())],
        shown_recipes=[recipe_row(name, writer.atlas.recipes) for name in recipes],
        first_picture=first_picture(recipes[0]),
        suffix=addresses.recipe_suffix(recipes[0], writer.atlas.recipes),
        sort_values=sort_values(recipes, layer),
        found=found_sentences(layer.atlas.evidence, recipes),
        lost=unidentified(layer),
        troubled=troubled(layer),
        unranked=unranked(layer),
        agreements=agreements(layer),
        dictionary=dictionary_panel(layer, writer.layers),
        meanings=layer_meanings(layer),
        charts=[(name, Markup(charts.reach_histogram(layer.reaches_by(name)))) for name in recipes],
    )
    if layer.units:
        write_excites(writer, place)
    write_map(writer, place)
    rows = writer.rows[layer.name]
    data = layer_file(writer.atlas, layer, rows)
    writer.tree.put(f"{layer.folder}/layer.json", to_json(data))
    writer.tree.put(f"{layer.folder}/units.csv", units_csv([(layer.name, "", rows)]))
    write_units(writer, layer)


def orders(known: Sequence[tuple[str, str]], layer: LayerView) -> list[tuple[str, str]]:
    """The orders of a grid: those by what an observer says only where one judges."""
    judged = layer.atlas.evidence is not None
    return [(key, name) for key, name in known if judged or key not in EXPLAINED]


def write_excites(writer: PageWriter, place: int) -> None:
    """Write the page that sets a layer's best patches against its renderings."""
    layer = writer.layers[place]
    others = [one for one in writer.layers if one.units]
    recipes = writer.atlas.recipes_of(layer.atlas)
    writer.put(
        "excites",
        f"{layer.folder}/{addresses.EXCITES}",
        title=f"Renderings and real patches of {layer.name} · {writer.title}",
        description=f"Real patches beside renderings: {plural(len(layer.units), 'unit')} "
        f"of layer {layer.name} of {writer.title}.",
        trail=((layer.name, "index.html"), ("Renderings and real patches", "")),
        card=f"{layer.folder}/card.jpg",
        layer=layer,
        ways=ways(
            others,
            others.index(layer),
            lambda one: (f"../{one.folder}/{addresses.EXCITES}", one.signpost),
        ),
        first_picture=first_picture(recipes[0]),
        suffix=addresses.recipe_suffix(recipes[0], writer.atlas.recipes),
        mosaic_side=sheets.MOSAIC * addresses.TILES,
    )


def first_picture(recipe: str) -> Callable[[UnitView], bool]:
    """Return whether a unit has pixels by the recipe that the grid shows at first."""

    def has(unit: UnitView) -> bool:
        picture = unit.by_recipe(recipe)
        return bool(picture and picture.image)

    return has


def recipe_row(name: str, recipes: tuple[str, ...]) -> Json:
    """A recipe for the switch of a layer's page."""
    return {
        "name": name,
        "title": recipe_title(name),
        "suffix": addresses.recipe_suffix(name, recipes),
        "sentence": recipe_sentence(name),
    }


def sort_values(recipes: Sequence[str], layer: LayerView) -> Callable[[UnitView], str]:
    """Return the values by which the script sorts units.

    Returns:
        A function of the unit: JSON of [rank, channel, mean, max, contrast, similar] and, for each
        recipe, what `score_values` gives and the number of its sheet, or null; then what the unit
        prefers.
    """
    places = {unit.channel: place for place, unit in enumerate(layer.units)}

    def values(unit: UnitView) -> str:
        numbers = [single(unit.mean), single(unit.max), single(unit.contrast)]
        first = [unit.rank, unit.channel, *numbers, unit.similar]
        return sort_json(first, unit, recipes, places[unit.channel])

    return values


def sort_json(first: Sequence[object], unit: UnitView, recipes: Sequence[str], place: int) -> str:
    """JSON of `first`, of what `sort_values` has for each recipe, and of what the unit prefers.

    Args:
        first: what does not depend on the recipe.
        unit: at `place` of the grid.
    """
    sheet = addresses.tile(place)[0]
    pictures = [unit.by_recipe(recipe) for recipe in recipes]
    rows = [[*score_values(picture), sheet] if picture else None for picture in pictures]
    tuned = [[single(getattr(unit.tuning, key)) for key, _ in TUNED]] if unit.tuning else []
    return json.dumps([first, *rows, *tuned], separators=(",", ":"))


def score_values(picture: Picture) -> list[object]:
    """Status, REACH, SELECT, ROBUST, HF, IDENT, PREDICT, and 1 where a picture has pixels."""
    scores = picture.rendering.scores
    numbers = [scores.reach, scores.select, scores.robust, scores.hf]
    return [
        picture.rendering.status,
        *(single(value) for value in numbers),
        picture.ident,
        single(picture.predict),
        int(bool(picture.image)),
    ]


def troubled(layer: LayerView) -> list[tuple[str, str, list[UnitView]]]:
    """The units of each status but `ok`, with what it means."""
    rows = [
        (status, sentence, layer.with_status(status))
        for status, sentence in sentences.STATUSES.items()
        if status != "ok"
    ]
    return [row for row in rows if row[2]]


def unidentified(layer: LayerView) -> list[UnitView]:
    """The units whose lead picture the observer does not recognise, by rank."""
    return [unit for unit in layer.units if unit.lead and unit.lead.unidentified]


def unranked(layer: LayerView) -> list[int]:
    """Channels whose activation was NaN or infinite on some sample image."""
    finite = layer.atlas.stats.finite
    return [channel for channel in range(len(finite)) if not finite[channel]]
