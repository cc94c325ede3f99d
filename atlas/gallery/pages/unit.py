"""The page of a unit, and the data beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...records import Rendering
from .. import charts, sentences
from .. import data as sitedata
from ..recipes import dislikes, kind_of, recipe_sentence, recipe_title
from ..text import shown
from ..views import LayerView, Neighbour, Page, Picture, Shot, UnitView
from .frame import Book


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
    variant = kind_of(made.recipe) in ("negative", "facet")
    reach = made.scores.reach if math.isfinite(made.scores.reach) else -math.inf
    return variant, made.status != "ok", 0.0 if variant else -reach


def panel(picture: Picture, unit: UnitView, layer: LayerView, images: int) -> Panel:
    """Put a rendering into words and curves."""
    rendering = picture.rendering
    return Panel(
        rendering=rendering,
        image=picture.image,
        snapshots=picture.snapshots,
        title=recipe_title(rendering.recipe),
        sentence=recipe_sentence(rendering.recipe),
        curve=Markup(charts.octave_curve(rendering.objective, rendering.octave_steps)),
        scores=() if rendering.status == "failed" else score_rows(rendering, unit, layer, images),
    )


def score_rows(
    rendering: Rendering, unit: UnitView, layer: LayerView, images: int
) -> tuple[tuple[str, float, str], ...]:
    """Name, value and sentence of each score of a rendering."""
    scores, channels = rendering.scores, layer.atlas.info.channels
    negative = dislikes(rendering.recipe)
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
