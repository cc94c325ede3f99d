"""The page that compares a model with another one over the same images, most changed unit first.

`write_comparison` is the way in. Pages and pictures of the other atlas are linked to where they are
in the same site; what does not is left out, and comes when that atlas is built into it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist, median

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ...files.names import escape_name
from ...ranking.matching import Counterpart, Match, match_units
from ...records.atlas import ModelAtlas, Pictures
from ...records.network import ModelInfo
from ...records.units import Rendering, Unit
from .. import addresses, charts
from ..data.encode import to_json
from ..data.models import comparison_file
from ..labels import chosen_units
from ..text import number, plural
from ..views import LayerView, UnitView
from .frame import PageWriter
from .model import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """An atlas to compare with: its records, and where its pixels are read from."""

    atlas: ModelAtlas
    pictures: Pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A unit on one side of a card; addresses are seen from the page.

    Attributes:
        title, called: as people write it; its label or class name, or "".
        page: "" where it has none in this site.
        image: the rendering; "" where there is none in this site.
        patch: the real patch that excites it most; "" where there is none.
        status: of the rendering, or `unrendered`.
    """

    title: str
    called: str
    page: str
    image: str
    patch: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One of our units and the unit of the other atlas shown beside it.

    Attributes:
        anchor: of the card in its page.
        ours, theirs: both sides; None where the other atlas shows no unit that varies.
        correlation: of the two; NaN where there is only one.
        closest: the channel of the other network that correlates most, where that is another one
            than the unit shown; None where it is the same.
    """

    anchor: str
    ours: Side
    theirs: Side | None
    correlation: float
    closest: Counterpart | None


def write_comparison(writer: PageWriter, other: Other, labels: Mapping[Unit, str]) -> Comparison:
    """Write the page that compares a model with another one, and its data.

    Args:
        writer: our model.
        other: what it is compared with.
        labels: what people call units of the other one.

    Raises:
        InputError: the two are not over the same images, or over too few.
    """
    own = [layer.atlas for layer in writer.own]
    matches = match_units(replace(writer.atlas, layers=tuple(own)), other.atlas)
    folder = escape_name(other.atlas.model.name)
    theirs = their_sides(writer, other.atlas, labels)
    ours = {
        (unit.layer, unit.channel): (layer, unit) for layer in writer.own for unit in layer.units
    }
    cards = [
        card(match, *ours[match.unit.layer, match.unit.channel], theirs)
        for match in matches
        if match.counterpart
    ]
    constant = [
        our_side(*ours[match.unit.layer, match.unit.channel])
        for match in matches
        if not match.counterpart
    ]
    write_page(writer, other, matches, cards, constant)
    data = comparison_file(writer.atlas, other.atlas, matches)
    writer.tree.put(addresses.comparison_data(folder), to_json(data))
    return Comparison(
        title=titles(writer.atlas.model, other.atlas.model)[1],
        page=addresses.comparison_page(folder),
    )


def write_page(
    writer: PageWriter,
    other: Other,
    matches: Sequence[Match],
    cards: Sequence[Card],
    constant: Sequence[Side],
) -> None:
    """Write the page itself.

    Args:
        writer: our model.
        other: what it is compared with.
        matches: of all our units.
        cards: of those that vary over the images, most changed first.
        constant: the others.
    """
    folder = escape_name(other.atlas.model.name)
    left, right = titles(writer.atlas.model, other.atlas.model)
    values = [match.counterpart.correlation for match in matches if match.counterpart]
    channels = sum(layer.stats.channels for layer in other.atlas.layers)
    level = chance(channels, writer.atlas.samples.distinct)
    writer.put(
        "compare",
        addresses.comparison_page(folder),
        title=f"{left} against {right}",
        description=f"{plural(len(matches), 'unit')} of {left}, each beside the unit of "
        f"{right} that fires most nearly on the same images, most changed first.",
        trail=((f"Against {right}", ""),),
        left=left,
        right=right,
        n_units=len(matches),
        n_channels=channels,
        cards=cards,
        constant=constant,
        data=f"{folder}.json",
        home=f"../../{folder}/index.html" if in_site(writer, f"{folder}/index.html") else "",
        median=median(values) if values else math.nan,
        chance=level,
        histogram=Markup(correlation_histogram(np.array(values), level)),
    )


def titles(ours: ModelInfo, theirs: ModelInfo) -> tuple[str, str]:
    """Return how the page names the two models: by title, or by name if the titles agree."""
    if ours.title == theirs.title:
        return ours.name, theirs.name
    return ours.title, theirs.title


def in_site(writer: PageWriter, path: str) -> bool:
    """Return whether a page of another model is in the site."""
    return (writer.tree.old.parent / path).is_file()


# --- how much is chance --------------------------------------------------------------------------


def chance(channels: int, images: int) -> float:
    """The best correlation that a unit finds among so many channels unrelated to it.

    The median of the largest of so many independent coefficients, each of which Fisher's
    transformation makes normal with variance 1 / (images − 3).

    Returns:
        0 to 1; 1 for three images and fewer, over which anything may correlate.

    Source: Fisher, On the "Probable Error" of a Coefficient of Correlation, Metron 1 (1921).
    """
    if images <= 3 or not channels:
        return 1.0
    largest = NormalDist().inv_cdf(0.5 ** (1 / channels))
    return max(0.0, math.tanh(largest / math.sqrt(images - 3)))


def correlation_histogram(values: NDArray[np.float64], level: float) -> str:
    """Draw the histogram of the units' correlations with their best matches, with chance marked.

    Args:
        values: (U,) correlation of each unit.
        level: what chance alone would give.
    """
    low = math.floor(10 * values.min(initial=0)) / 10
    counts = np.histogram(values.clip(-1, 1), charts.BINS, (low, 1))[0]
    label = f"Correlations of {plural(len(values), 'unit')}"
    if len(values):
        ends = (number(float(end)) for end in (values.min(), values.max()))
        label += " from " + " to ".join(ends)
    label += f"; chance alone would give {number(level)}"
    words = "correlation with the unit most like it"
    return charts.histogram(counts, (low, 1), [("chance", level)], words, label)


# --- cards ---------------------------------------------------------------------------------------


def card(match: Match, layer: LayerView, unit: UnitView, theirs: Mapping[Unit, Side]) -> Card:
    """Put one of our units beside the unit that is most like it among those that are shown."""
    counterpart, beside = match.counterpart, match.shown
    return Card(
        anchor=f"{layer.folder}:{unit.channel}",
        ours=our_side(layer, unit),
        theirs=theirs[beside.unit] if beside else None,
        correlation=beside.correlation if beside else math.nan,
        closest=counterpart
        if counterpart and (beside is None or counterpart.unit != beside.unit)
        else None,
    )


def our_side(layer: LayerView, unit: UnitView) -> Side:
    """A unit of the model that the page belongs to."""
    start = f"../{layer.folder}/"
    image = unit.lead.image if unit.lead else None
    return Side(
        title=unit.title,
        called=unit.called,
        page=f"{start}{unit.page}",
        image=f"{start}{image.file}" if image else "",
        patch=f"{start}{unit.examples[0].patch.file}" if unit.examples else "",
        status=unit.status,
    )


def their_sides(
    writer: PageWriter, other: ModelAtlas, labels: Mapping[Unit, str]
) -> dict[Unit, Side]:
    """Every unit that the other atlas shows."""
    start, leads = escape_name(other.model.name), lead_renderings(other)
    folders = addresses.layer_folders(layer.info.name for layer in other.layers)
    return {
        unit: their_side(
            partial(link, writer, f"{start}/{folders[unit.layer]}"),
            unit,
            labels.get(unit, ""),
            leads.get(unit),
            other.recipes,
        )
        for unit in chosen_units(other)
    }


def their_side(
    link: Callable[[str], str],
    unit: Unit,
    label: str,
    lead: Rendering | None,
    recipes: tuple[str, ...],
) -> Side:
    """A unit of the other atlas.

    Args:
        link: file of its layer → address, "" where the site does not have it.
        unit, label: which, and what people call it.
        lead: the rendering that represents it; None where there is none.
        recipes: of its atlas.
    """
    suffix = addresses.recipe_suffix(lead.recipe, recipes) if lead else ""
    image = link(addresses.picture(unit.channel, suffix)) if lead else ""
    return Side(
        title=str(unit),
        called=label,
        page=link(addresses.unit_page(unit.channel)),
        image=image,
        patch=link(addresses.patch(unit.channel, 1)),
        status=lead.status if lead and image else "unrendered",
    )


def link(writer: PageWriter, folder: str, file: str) -> str:
    """Address of a file of a layer of another model; "" where the site does not have it."""
    return f"../../{folder}/{file}" if in_site(writer, f"{folder}/{file}") else ""


def lead_renderings(atlas: ModelAtlas) -> dict[Unit, Rendering]:
    """The record of the picture that represents each unit: of its first finished recipe."""
    leads: dict[Unit, Rendering] = {}
    for layer in atlas.layers:
        order = atlas.recipes_of(layer)
        done = [one for one in layer.renderings if one.status != "failed" and one.recipe in order]
        done.sort(key=lambda one: order.index(one.recipe), reverse=True)
        leads |= {one.unit: one for one in done}
    return leads
