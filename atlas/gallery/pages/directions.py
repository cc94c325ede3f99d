"""What the pages of a direction and of a dictionary show beside what those of units do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...records.dictionary import Dictionary
from .. import direction_sentences as sentences
from ..charts import FLOOR, HEIGHT, MARGIN, SPAN, WIDTH, axis, coordinate, label_at, svg
from ..circuit_views import PatchView
from ..direction_views import DirectionView
from ..text import number, percent
from ..views import LayerView, UnitView
from .frame import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A channel of a direction, with its unit where this atlas shows it.

    Attributes:
        channel, weight, patch: of the direction.
        unit: None where it has no page.
        folder: what its addresses start with.
    """

    channel: int
    weight: float
    patch: PatchView | None
    unit: UnitView | None
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionPanel:
    """The part of a direction's page.

    Attributes:
        parent: the layer that the dictionary reads.
        folder: of that layer, seen from the page; "" where this atlas does not show it.
        parts: of the direction, the largest first; pictured: whether any has a picture.
        weights: what the weights are.
        rows: name and sentence of each number.
    """

    parent: str
    folder: str
    parts: tuple[Part, ...]
    pictured: bool
    weights: str
    rows: tuple[tuple[str, str], ...]


def direction_panel(
    unit: UnitView, layer: LayerView, layers: Sequence[LayerView], known: Known
) -> DirectionPanel | None:
    """What the page of a direction shows of it; None for a channel.

    Args:
        unit, layer: whose page it is.
        layers: all of the atlas.
        known: units with pages.
    """
    direction = unit.direction
    if direction is None:
        return None
    parts = [part_of(direction, place, known) for place in range(len(direction.parts))]
    return DirectionPanel(
        parent=direction.parent,
        folder=next((f"../{one.folder}/" for one in layers if one.name == direction.parent), ""),
        parts=tuple(parts),
        pictured=any(part.unit or part.patch for part in parts),
        weights=sentences.parts_sentence(direction),
        rows=rows_of(unit, direction, layer),
    )


def part_of(direction: DirectionView, place: int, known: Known) -> Part:
    """A channel of a direction with its unit."""
    part = direction.parts[place]
    unit, folder = known.get((direction.parent, part.channel), (None, ""))
    return Part(
        channel=part.channel, weight=part.weight, patch=part.patch, unit=unit, folder=folder
    )


def rows_of(
    unit: UnitView, direction: DirectionView, layer: LayerView
) -> tuple[tuple[str, str], ...]:
    """Name and sentence of each number of a direction."""
    rows = [
        ("variance", sentences.share_sentence(direction)),
        ("sparseness", sentences.active_sentence(direction)),
    ]
    evidence = layer.atlas.evidence
    for picture in unit.pictures:
        recipe = picture.rendering.recipe
        said = sentences.among_sentence(evidence, recipe, unit.channel)
        rows += [(f"IDENT, {recipe}", said)] if said else []
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryPanel:
    """The part of a dictionary's page.

    Attributes:
        parent, folder: the layer that it reads, and its folder seen from the page, or "".
        sentences: what it is, and what it explains.
        chart: markup of the curve of what it leaves out, or "".
        curve: the same in words.
    """

    parent: str
    folder: str
    sentences: tuple[str, ...]
    chart: Markup
    curve: str


def dictionary_panel(layer: LayerView, layers: Sequence[LayerView]) -> DictionaryPanel | None:
    """What the page of a dictionary shows of it; None for a layer of the network."""
    found = layer.atlas.dictionary
    if found is None:
        return None
    said = [sentences.method_sentence(found), sentences.explained_sentence(found)]
    return DictionaryPanel(
        parent=found.parent,
        folder=next((f"../{one.folder}/" for one in layers if one.name == found.parent), ""),
        sentences=tuple(said),
        chart=Markup(error_curve(found)),
        curve="; ".join(
            f"{size} directions leave out {percent(error)}"
            for size, error in zip(found.sizes.tolist(), found.errors.tolist(), strict=True)
        ),
    )


def error_curve(found: Dictionary) -> str:
    """The share of the variance that is left out against the number of directions; "" for one."""
    sizes, errors = found.sizes, found.errors
    if len(sizes) < 2 or not np.isfinite(errors).all():
        return ""
    top = max(1.0, float(errors.max()))
    x = MARGIN + SPAN * sizes / sizes.max()
    y = FLOOR - (FLOOR - 24) * np.maximum(errors, 0) / top
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    body = f'<polyline class="curve" points="{points}"/>'
    for place, (size, error) in enumerate(zip(sizes.tolist(), errors.tolist(), strict=True)):
        anchor = "end" if place == len(sizes) - 1 else "middle"
        body += f'<circle cx="{coordinate(x[place])}" cy="{coordinate(y[place])}" r="3"/>'
        body += label_at(float(x[place]), float(y[place]) - 8, "tick", percent(error), anchor)
        if place < len(sizes) - 1:
            body += label_at(float(x[place]), FLOOR + 16, "tick", str(size))
    body += axis("0", str(int(sizes.max())))
    body += label_at(WIDTH / 2, HEIGHT - 2, "tick", "directions")
    words = f"Share of the variance left out: {number(errors[0])} with {sizes[0]} directions, "
    return svg(WIDTH, HEIGHT, "errors", f"{words}{number(errors[-1])} with {sizes[-1]}", body)
