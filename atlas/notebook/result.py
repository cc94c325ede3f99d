"""The result of `atlas.build`: path of the site, and units, scores and pictures as numpy.

Numbers are in memory. Pictures are read from the cache when they are asked for. `show` makes the
result of a finished atlas.
"""

import base64
import html
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import closest
from ..gallery.draw import box_of
from ..gallery.sheets import Squares, cut_patch, rows_of_tiles, thumbnail
from ..gallery.text import plural
from ..images.pixels import Pixels, encode, to_pixels
from ..ranking.classes import class_name
from ..records.atlas import LayerAtlas, ModelAtlas, Pictures
from ..records.network import CLASSES, ModelInfo
from ..records.units import Rendering, Scores, Status

COLUMNS = 10
"""Units in a row of a contact sheet at most."""

ROWS = 24
"""Rows of a contact sheet at most: what a notebook shows is kept in its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Source from which pictures are read.

    Attributes:
        pictures: the cache.
        squares: decoded sample images.
        input_size: side of the network's input.
    """

    pictures: Pictures
    squares: Squares
    input_size: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitResult:
    """A unit of a layer, or a class.

    Attributes:
        layer, channel: which.
        name: what a class is called; "" for units.
        rank: place in its layer, from 1; 0 where it is not ranked.
        mean_activation: over the sample images.
        recipe: that made its picture, "" where there is none.
        status: of its picture, "unrendered" where there is none.
        reason: why the status is not "ok".
        scores: of its picture; None where there is none, or it failed.
    """

    layer: str
    channel: int
    name: str
    rank: int
    mean_activation: float
    recipe: str
    status: Status | Literal["unrendered"]
    reason: str
    scores: Scores | None
    _renderings: Mapping[str, Rendering] = field(repr=False)
    _examples: Sequence[tuple[int, tuple[int, int, int, int]]] = field(repr=False)
    _source: Source = field(repr=False)

    @property
    def image(self) -> Pixels | None:
        """Its picture, (H, W, 3) uint8; None where there is none."""
        return self._read(self.recipe)

    @property
    def images(self) -> dict[str, Pixels]:
        """Recipe → picture, where there are several."""
        found = {recipe: self._read(recipe) for recipe in self._renderings}
        return {recipe: pixels for recipe, pixels in found.items() if pixels is not None}

    @property
    def examples(self) -> list[Pixels]:
        """Patches of the sample images that excite it most, best first, (h, w, 3) uint8 each."""
        squares, side = self._source.squares, self._source.input_size
        return [cut_patch(squares[image], box, side) for image, box in self._examples]

    def _read(self, recipe: str) -> Pixels | None:
        record = self._renderings.get(recipe)
        if record is None or record.status == "failed":
            return None
        image = self._source.pictures.rendering(record.unit, recipe).image
        return to_pixels(image) if image.size else None

    @property
    def caption(self) -> str:
        """The unit in a few words."""
        scores = "" if self.scores is None else f", REACH {self.scores.reach:.2f}"
        return f"{self.name or self.channel} ({self.status}{scores})"

    def _repr_html_(self) -> str:
        return figure([[self]], f"{self.layer}: {self.caption}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LayerResult:
    """A layer: its units in order of rank, or the classes in the order they were asked for.

    Attributes:
        name: module path.
        units: those that were rendered.
    """

    name: str
    units: tuple[UnitResult, ...]

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[UnitResult]:
        return iter(self.units)

    @property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Name of a score → one number a unit, NaN where there is none."""
        names = [score.name for score in fields(Scores) if score.name != "ranks"]
        return {
            name: np.array([getattr(unit.scores, name, math.nan) for unit in self.units], float)
            for name in names
        }

    def __repr__(self) -> str:
        return f"{self.name}: {', '.join(unit.caption for unit in self.units)}"

    def _repr_html_(self) -> str:
        units = self.units[: ROWS * COLUMNS]
        rows = [units[first : first + COLUMNS] for first in range(0, len(units), COLUMNS)]
        more = f", and {len(self) - len(units)} more" if len(self) > len(units) else ""
        return figure(rows, f"{self.name}: {', '.join(unit.caption for unit in units)}{more}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Result(Mapping[str, LayerResult]):
    """The atlas of a network: layer → its units, in forward order.

    Attributes:
        site: index.html of the site.
        model: what the pages say of the network.
        layers: of the atlas.
        classes: the classes that are shown; None where there are none.
        failures: "layer:channel by recipe" → why there is no picture; a further build tries again.
        complete: whether nothing failed and no page is missing (exit code 0 of the command line).
    """

    site: Path
    model: ModelInfo
    layers: tuple[LayerResult, ...]
    classes: LayerResult | None
    failures: Mapping[str, str]
    complete: bool

    def __getitem__(self, name: str) -> LayerResult:
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        raise KeyError(f"no layer {name!r} in this atlas{closest(str(name), names)}")

    def __iter__(self) -> Iterator[str]:
        return (layer.name for layer in self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def _first_line(self) -> str:
        units = [unit for layer in self.layers for unit in layer]
        counts = Counter(unit.status for unit in units)
        kinds = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        parts = f"{plural(len(self), 'layer')}, {plural(len(units), 'unit')} ({kinds})"
        return f"atlas of {self.model.title}: {parts}"

    def __repr__(self) -> str:
        rows = [f"  {layer.name}: {plural(len(layer), 'unit')}" for layer in self.layers]
        rows += [f"  failed: {name}: {reason}" for name, reason in self.failures.items()]
        more = [f"  … and {len(rows) - ROWS} more"] if len(rows) > ROWS else []
        return "\n".join([self._first_line(), *rows[:ROWS], *more, f"  {self.site}"])

    def _repr_html_(self) -> str:
        shown = [layer for layer in self.layers if len(layer)][:ROWS]
        rows = [layer.units[:COLUMNS] for layer in shown]
        names = "; ".join(
            f"layer {layer.name}: {', '.join(str(unit.channel) for unit in row)}"
            for layer, row in zip(shown, rows, strict=True)
        )
        more = f"; and {len(self) - len(shown)} more" if len(self) > len(shown) else ""
        return figure(rows, f"{self._first_line()}. One row each, {names}{more}. {self.site}")


def figure(rows: Sequence[Sequence[UnitResult]], caption: str) -> str:
    """HTML of a contact sheet, a thumbnail a unit, and what it shows."""
    text = html.escape(caption)
    if not rows:
        return f"<p>{text}</p>"
    pixels = [[unit.image for unit in row] for row in rows]
    tiles = [[None if one is None else thumbnail(one) for one in row] for row in pixels]
    data = base64.b64encode(encode(rows_of_tiles(tiles))).decode()
    picture = f'<img src="data:image/jpeg;base64,{data}" alt="{text}" style="max-width:100%">'
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


# --- made from records ---------------------------------------------------------------------------


def show(atlas: ModelAtlas, pictures: Pictures, site: Path, complete: bool) -> Result:
    """The result of an atlas.

    Args:
        atlas: its records, with the renderings that failed.
        pictures: where pixels are read from.
        site: index.html.
        complete: whether nothing failed and no page is missing.
    """
    source = Source(
        pictures=pictures,
        squares=Squares(pictures.sample),
        input_size=atlas.model.input_size,
    )
    names = atlas.model.class_names
    classes = atlas.classes
    layers = [*atlas.layers, *([classes] if classes else [])]
    return Result(
        site=site,
        model=atlas.model,
        layers=tuple(show_layer(one, atlas.recipes_of(one), (), source) for one in atlas.layers),
        classes=show_layer(classes, atlas.recipes_of(classes), names, source) if classes else None,
        failures={
            f"{one.unit} by {one.recipe}": one.reason
            for layer in layers
            for one in layer.renderings
            if one.status == "failed"
        },
        complete=complete,
    )


def show_layer(
    layer: LayerAtlas, recipes: Sequence[str], names: Sequence[str], source: Source
) -> LayerResult:
    """A layer with its chosen units; the first recipe that there is gives a unit its picture."""
    made = {(one.unit.channel, one.recipe): one for one in layer.renderings}
    ranks = {int(channel): rank for rank, channel in enumerate(layer.ranking, 1)}
    units = []
    for channel in layer.chosen:
        found = {recipe: made[channel, recipe] for recipe in recipes if (channel, recipe) in made}
        units.append(show_unit(layer, channel, ranks.get(channel, 0), found, names, source))
    return LayerResult(name=layer.info.name, units=tuple(units))


def show_unit(
    layer: LayerAtlas,
    channel: int,
    rank: int,
    renderings: Mapping[str, Rendering],
    names: Sequence[str],
    source: Source,
) -> UnitResult:
    """A unit with its numbers."""
    lead = next(iter(renderings.values()), None)
    images = [int(image) for image in layer.stats.example_image[channel] if image >= 0]
    return UnitResult(
        layer=layer.info.name,
        channel=channel,
        name=class_name(names, channel) if layer.info.name == CLASSES else "",
        rank=rank,
        mean_activation=float(layer.stats.mean[channel]),
        recipe=lead.recipe if lead else "",
        status=lead.status if lead else "unrendered",
        reason=lead.reason if lead else "",
        scores=lead.scores if lead and lead.status != "failed" else None,
        _renderings=renderings,
        _examples=[(image, box_of(layer, channel, place)) for place, image in enumerate(images)],
        _source=source,
    )
