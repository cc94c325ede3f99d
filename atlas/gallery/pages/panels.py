"""Renderings on the page of one thing, a unit or a class: words, curves, scores (panels.html)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from ...records.units import Rendering
from .. import charts
from ..recipes import recipe_title
from ..text import plural
from ..views import LayerView, Picture, Shot, UnitView


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rendering on the page of its unit or class, in words and curves.

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


def panel(picture: Picture, sentence: str, said: Mapping[str, str]) -> Panel:
    """Put a rendering into words and curves.

    Args:
        picture: of the rendering.
        sentence: what its recipe shows.
        said: name → sentence of each score, in the order of the page.
    """
    rendering = picture.rendering
    scores = [(name, score(picture, name), words) for name, words in said.items()]
    return Panel(
        rendering=rendering,
        image=picture.image,
        snapshots=picture.snapshots,
        title=recipe_title(rendering.recipe),
        sentence=sentence,
        curve=Markup(charts.octave_curve(rendering.objective, rendering.octave_steps)),
        scores=() if rendering.status == "failed" else tuple(scores),
    )


def score(picture: Picture, name: str) -> float:
    """A score of a picture by its name; NaN where it was not measured."""
    if name == "ident":
        return picture.ident or math.nan
    if name == "predict":
        return picture.predict
    value: float = getattr(picture.rendering.scores, name)
    return value


def histogram(unit: UnitView, layer: LayerView, axis_name: str) -> Markup:
    """Draw the histogram of a unit's activation over the natural images, with renderings marked."""
    values = layer.atlas.natural.over_images(unit.channel)
    marks = [(one.rendering.recipe, one.rendering.scores.activation) for one in unit.pictures]
    return Markup(charts.activation_histogram(values, marks, axis_name))


def natural_images(layer: LayerView) -> str:
    """Say how many natural images a layer is measured against: "250 reference images"."""
    own = layer.atlas.natural is layer.atlas.stats
    kind = "sample image" if own else "reference image"
    return plural(len(layer.atlas.natural.activations), kind)


def card_of(folder: str, unit: UnitView) -> str:
    """The lead picture of a unit of this layer's folder for link previews; "" without one."""
    return f"{folder}/{unit.lead.image.file}" if unit.lead and unit.lead.image else ""
