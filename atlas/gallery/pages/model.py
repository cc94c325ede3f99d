"""A model's own pages: the model, its layers, its units, and the data beside them.

`write_model` and `write_layer` put everything into the model's tree. What a page says is decided
here, how it looks in the template of the same name.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...records import ModelAtlas, Rendering
from .. import addresses, charts, sentences, sheets
from .. import data as sitedata
from ..data import Json
from ..sentences import shown
from ..tree import Tree
from ..views import ClassesView, ImageView, LayerView, Neighbour, Page, Picture, Shot, UnitView

Render = Callable[[Page, Mapping[str, object]], str]

SORTS = (
    *(("rank", "rank"), ("channel", "channel"), ("mean", "mean activation")),
    *(("max", "maximum"), ("contrast", "contrast"), ("reach", "REACH")),
    *(("select", "SELECT"), ("robust", "ROBUST"), ("hf", "HF")),
)
"""Keys and names of the orders of a layer's grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What every page of a model needs.

    Attributes:
        atlas: the model.
        folder: its folder in the site.
        tree: where pages go.
        render: turns a page and its values into markup.
        layers: in forward order.
        classes: those with a page; None where there are none.
        rows: `sitedata.unit_json` of each unit of each layer.
        images_sentence: how many images stand behind the numbers.
        provenance: what they were made from and with, as data and as markup.
    """

    atlas: ModelAtlas
    folder: str
    tree: Tree
    render: Render
    layers: tuple[LayerView, ...]
    classes: ClassesView | None
    rows: Mapping[str, list[Json]]
    images_sentence: str
    provenance: Json
    provenance_markup: Markup

    def put(self, page: Page, **values: object) -> None:
        """Render a page and take it into the tree."""
        frame = {
            "atlas": self.atlas,
            "images_sentence": self.images_sentence,
            "provenance": self.provenance_markup,
        }
        html = self.render(page, {**frame, **values})
        self.tree.put_page(page.path.removeprefix(f"{self.folder}/"), html)

    def trail(self, *below: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        """The way down to a page inside one of the model's folders; `below` ends with the page."""
        return (("Atlas", "../../index.html"), (self.atlas.model.title, "../index.html"), *below)


# --- model page ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A compare page as the model's page links to it: whom with, and its address from there."""

    title: str
    page: str


def write_model(book: Book, images: Sequence[ImageView], comparison: Comparison | None) -> None:
    """Write a model's own page.

    Args:
        book: the model.
        images: sample images with pages.
        comparison: with another model; None where it is not compared.
    """
    atlas, layers = book.atlas, book.layers
    title = shown(atlas.model.title)
    units = sum(len(layer.units) for layer in layers)
    page = Page(
        path=f"{book.folder}/index.html",
        kind="model",
        title=f"{title} · CNN atlas",
        description=f"{sentences.plural(units, 'unit')} of {len(layers)} layers of {title}: what "
        "each looks for, from the first layer to the last.",
        trail=(("Atlas", "../index.html"), (atlas.model.title, "")),
        card=f"{book.folder}/card.jpg",
    )
    book.put(
        page,
        layers=layers,
        classes=book.classes,
        images=images,
        comparison=comparison,
        n_units=units,
        n_rendered=sum(layer.rendered for layer in layers),
        strip=Markup(charts.layer_strip([node(layer) for layer in layers])),
        charts={layer.name: Markup(charts.reach_histogram(layer.reaches)) for layer in layers},
    )


def node(layer: LayerView) -> charts.Node:
    """A layer for the strip."""
    info = layer.atlas.info
    first = layer.teasers[0] if layer.teasers else None
    return charts.Node(
        name=info.name,
        type=info.type,
        height=info.height,
        width=info.width,
        channels=info.channels,
        href=f"{layer.folder}/index.html",
        picture=f"{layer.folder}/{first.thumb.file}" if first and first.thumb else "",
        patch=f"{layer.folder}/{first.examples[0].patch.file}" if first and first.examples else "",
    )


# --- layer page ----------------------------------------------------------------------------------


def write_layer(book: Book, place: int) -> None:
    """Write a layer's page, its data, and the pages of its units."""
    layer = book.layers[place]
    info, title = layer.atlas.info, shown(book.atlas.model.title)
    page = Page(
        path=f"{book.folder}/{layer.folder}/index.html",
        kind="layer",
        title=f"{shown(layer.name)} · {title} · CNN atlas",
        description=f"{sentences.plural(len(layer.units), 'unit')} of layer {shown(layer.name)} of "
        f"{title} ({info.channels} channels, {info.height} × {info.width}).",
        trail=book.trail((layer.name, "")),
        card=f"{book.folder}/{layer.folder}/card.jpg",
    )
    book.put(
        page,
        layer=layer,
        before=book.layers[place - 1] if place else None,
        after=book.layers[place + 1] if place + 1 < len(book.layers) else None,
        sorts=SORTS,
        statuses=list(sentences.STATUSES),
        shown_recipes=[recipe_row(name, book.atlas.recipes) for name in book.atlas.recipes],
        tiles=[addresses.tile(at) for at in range(len(layer.units))],
        sheet=addresses.sheet,
        first_picture=first_picture(book.atlas.recipes[0]),
        patch_sheet=addresses.patch_sheet,
        sort_values=sort_values(book.atlas.recipes, layer),
        troubled=troubled(layer),
        unranked=unranked(layer),
        chart=Markup(charts.reach_histogram(layer.reaches)),
    )
    if layer.units:
        write_excites(book, place)
    rows = book.rows[layer.name]
    data = sitedata.layer_json(book.atlas, layer, rows)
    book.tree.put(f"{layer.folder}/layer.json", sitedata.to_json(data))
    book.tree.put(f"{layer.folder}/units.csv", sitedata.units_csv([(layer.name, "", rows)]))
    write_units(book, layer)


def write_excites(book: Book, place: int) -> None:
    """Write the page that sets a layer's best patches against its renderings."""
    layer, title = book.layers[place], shown(book.atlas.model.title)
    before = [other for other in book.layers[:place] if other.units]
    after = [other for other in book.layers[place + 1 :] if other.units]
    page = Page(
        path=f"{book.folder}/{layer.folder}/{addresses.EXCITES}",
        kind="excites",
        title=f"What excites {shown(layer.name)} · {title} · CNN atlas",
        description=f"Real patches beside renderings: {sentences.plural(len(layer.units), 'unit')} "
        f"of layer {shown(layer.name)} of {title}.",
        trail=book.trail((layer.name, "index.html"), ("What excites it", "")),
        card=f"{book.folder}/{layer.folder}/card.jpg",
    )
    book.put(
        page,
        layer=layer,
        before=before[-1:],
        after=after[:1],
        tiles=[addresses.tile(at) for at in range(len(layer.units))],
        first_picture=first_picture(book.atlas.recipes[0]),
        sheet=addresses.sheet,
        mosaic_sheet=addresses.mosaic_sheet,
        mosaic_side=sheets.MOSAIC * addresses.TILES,
    )


def first_picture(recipe: str) -> Callable[[UnitView], bool]:
    """Whether a unit has pixels by the recipe that the grid shows at first."""

    def has(unit: UnitView) -> bool:
        picture = unit.by_recipe(recipe)
        return bool(picture and picture.image)

    return has


def recipe_row(name: str, recipes: tuple[str, ...]) -> Json:
    """A recipe for the switch of a layer's page."""
    return {
        "name": name,
        "title": sentences.recipe_title(name),
        "suffix": addresses.recipe_suffix(name, recipes),
        "sentence": sentences.recipe_sentence(name),
    }


def sort_values(recipes: Sequence[str], layer: LayerView) -> Callable[[UnitView], str]:
    """What the script sorts by.

    Returns:
        A function of the unit: JSON of [rank, channel, mean, max, contrast] and, for each recipe,
        [status, REACH, SELECT, ROBUST, HF, has a picture, number of its sheet] or null.
    """
    places = {unit.channel: place for place, unit in enumerate(layer.units)}
    single = sitedata.single

    def values(unit: UnitView) -> str:
        numbers = [single(unit.mean), single(unit.max), single(unit.contrast)]
        first = [unit.rank, unit.channel, *numbers]
        return sort_json(first, unit, recipes, places[unit.channel])

    return values


def sort_json(first: Sequence[object], unit: UnitView, recipes: Sequence[str], place: int) -> str:
    """JSON of `first` and, for each recipe, what `score_values` gives and the number of its sheet.

    Args:
        first: what does not depend on the recipe.
        unit: at `place` of the grid.
    """
    sheet = addresses.tile(place)[0]
    pictures = [unit.by_recipe(recipe) for recipe in recipes]
    rows = [[*score_values(picture), sheet] if picture else None for picture in pictures]
    return json.dumps([first, *rows], separators=(",", ":"))


def score_values(picture: Picture) -> list[object]:
    """Status, REACH, SELECT, ROBUST, HF of a picture, and 1 where it has pixels."""
    scores = picture.rendering.scores
    numbers = [scores.reach, scores.select, scores.robust, scores.hf]
    return [
        picture.rendering.status,
        *(sitedata.single(value) for value in numbers),
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


def unranked(layer: LayerView) -> list[int]:
    """Channels whose activation was NaN or infinite on some sample image."""
    finite = layer.atlas.stats.finite
    return [channel for channel in range(len(finite)) if not finite[channel]]


# --- unit pages ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A way to a neighbouring unit page."""

    rel: str
    key: str
    page: str
    label: str


def write_units(book: Book, layer: LayerView) -> None:
    """Write the page and the data of each unit of a layer."""
    by_channel = {unit.channel: unit for unit in layer.units}
    channels = sorted(by_channel)
    for place, unit in enumerate(layer.units):
        at = channels.index(unit.channel)
        around = {
            "rank": (layer.units[place - 1 : place], layer.units[place + 1 : place + 2]),
            "channel": (
                [by_channel[channel] for channel in channels[max(0, at - 1) : at]],
                [by_channel[channel] for channel in channels[at + 1 : at + 2]],
            ),
        }
        write_unit(book, layer, unit, relations(around), by_channel)
        row = book.rows[layer.name][place]
        data = sitedata.unit_page_json(book.atlas.model.name, unit, row, book.provenance)
        book.tree.put(f"{layer.folder}/{unit.channel}.json", sitedata.to_json(data))


def relations(
    around: Mapping[str, tuple[Sequence[UnitView], Sequence[UnitView]]],
) -> list[Relation]:
    """Ways to the units before and after by rank (arrows) and by channel (shift and arrows)."""
    found = []
    for order, sides in around.items():
        for rel, arrow, units in zip(("prev", "next"), ("Left", "Right"), sides, strict=True):
            found += [
                Relation(
                    rel=rel,
                    key=f"{'Shift+' if order == 'channel' else ''}Arrow{arrow}",
                    page=unit.page,
                    label=f"{order} {unit.rank if order == 'rank' else unit.channel}",
                )
                for unit in units
            ]
    return found


def write_unit(
    book: Book,
    layer: LayerView,
    unit: UnitView,
    around: Sequence[Relation],
    by_channel: Mapping[int, UnitView],
) -> None:
    """Write a unit's page."""
    atlas, model = book.atlas, shown(book.atlas.model.title)
    start = f"{book.folder}/{layer.folder}"
    called = f" “{shown(unit.called)}”" if unit.called else ""
    page = Page(
        path=f"{start}/{unit.page}",
        kind="unit",
        title=f"{shown(unit.title)}{called} · {model} · CNN atlas",
        description=f"What unit {shown(unit.title)}{called} of {model} looks for: its rendering, "
        "the real patches that excite it, and its scores.",
        trail=book.trail((layer.name, "index.html"), (str(unit.channel), "")),
        card=f"{start}/{unit.lead.image.file}" if unit.lead and unit.lead.image else "",
    )
    marks = [(item.rendering.recipe, item.rendering.scores.activation) for item in unit.pictures]
    values = layer.atlas.natural.over_images(unit.channel)
    book.put(
        page,
        layer=layer,
        unit=unit,
        panels=[
            panel(picture, unit, layer, len(atlas.natural.samples))
            for picture in sorted(unit.pictures, key=quality)
        ],
        relations=around,
        histogram=Markup(charts.activation_histogram(values, marks)),
        natural=natural(unit),
        neighbours=near(unit.neighbours, by_channel),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rendering on its unit's page, in words and curves.

    Attributes:
        rendering, image, snapshots: of the picture.
        title, sentence: what its recipe shows.
        curve: the objective, step by step; "" where it was not kept.
        scores: name, value and sentence of each; () where the rendering failed.
    """

    rendering: Rendering
    image: Shot | None
    snapshots: tuple[Shot, ...]
    title: str
    sentence: str
    curve: Markup
    scores: tuple[tuple[str, float, str], ...]


def quality(picture: Picture) -> tuple[bool, bool, float]:
    """Sorts pictures of a unit, best first: what it likes, without a failed gate, by REACH."""
    made = picture.rendering
    variant = sentences.kind_of(made.recipe) in ("negative", "facet")
    reach = made.scores.reach if math.isfinite(made.scores.reach) else -math.inf
    return variant, made.status != "ok", 0.0 if variant else -reach


def panel(picture: Picture, unit: UnitView, layer: LayerView, images: int) -> Panel:
    """Put a rendering into words and curves."""
    rendering = picture.rendering
    return Panel(
        rendering=rendering,
        image=picture.image,
        snapshots=picture.snapshots,
        title=sentences.recipe_title(rendering.recipe),
        sentence=sentences.recipe_sentence(rendering.recipe),
        curve=Markup(charts.octave_curve(rendering.objective, rendering.octave_steps)),
        scores=() if rendering.status == "failed" else score_rows(rendering, unit, layer, images),
    )


def score_rows(
    rendering: Rendering, unit: UnitView, layer: LayerView, images: int
) -> tuple[tuple[str, float, str], ...]:
    """Name, value and sentence of each score of a rendering."""
    scores, channels = rendering.scores, layer.atlas.info.channels
    negative = sentences.dislikes(rendering.recipe)
    natural = layer.atlas.natural.over_images(unit.channel)
    end = float(natural.min(initial=math.inf)) if negative else unit.natural_max
    return (
        (
            "activation",
            scores.activation,
            sentences.activation_sentence(scores, end, images, negative),
        ),
        ("reach", scores.reach, sentences.reach_sentence(scores, negative)),
        ("select", scores.select, sentences.select_sentence(scores, channels, negative)),
        ("robust", scores.robust, sentences.robust_sentence(scores)),
        ("hf", scores.hf, sentences.hf_sentence(scores)),
    )


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
