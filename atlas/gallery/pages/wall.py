"""The wall of a model: every unit that is shown as one picture, like units of a layer together.

The page holds the grid of each layer as data; `assets/wall.js` sets the grids side by side as the
window allows and draws them. Without a script the page is those grids as links.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from ...images.pixels import THUMBNAIL
from .. import addresses, sentences, sheets
from ..data.encode import Json
from ..text import plural, reach, shown
from ..views import LayerView, UnitView, tags_in
from .frame import PageWriter, embed_json
from .layer import first_picture

PAGE = "wall.html"

STATUSES = tuple(sentences.STATUSES)

REACHES = (1, 2, 4, 8)
IDENTS = (2, 4, 11, 31)
"""Values at which the next colour begins."""

COLOURS = (
    ("status", "status", STATUSES),
    ("reach", "REACH", ("below 1", "1 to 2", "2 to 4", "4 to 8", "8 and more")),
    ("ident", "IDENT", ("place 1", "2 and 3", "4 to 10", "11 to 30", "behind 30")),
)
"""What units can be coloured by: key, title and names of the colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A unit on the wall; `place` is that on the sheets of its layer, None without a picture."""

    unit: UnitView
    place: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A layer on the wall.

    Attributes:
        layer: which.
        suffix: of the file names of the recipe that leads, whose pictures it shows.
        across: columns of its grid.
        cells: row by row; None where a cell is left over.
    """

    layer: LayerView
    suffix: str
    across: int
    cells: tuple[Tile | None, ...]

    @property
    def tiles(self) -> list[Tile]:
        """The cells that hold a unit."""
        return [one for one in self.cells if one]


def write_wall(writer: PageWriter) -> bool:
    """Write the wall of a model, where there is a unit to put on it; whether there is."""
    bands = [band(writer, layer) for layer in writer.own if layer.units]
    if not bands:
        return False
    units = sum(len(one.tiles) for one in bands)
    judged = any(one.layer.atlas.evidence for one in bands)
    data = json.dumps(wall_json(bands), allow_nan=False, separators=(",", ":"))
    writer.put(
        "wall",
        PAGE,
        title=f"The wall · {writer.title}",
        description=f"{plural(units, 'unit')} of {plural(len(bands), 'layer')} of "
        f"{writer.title} as one picture, like units side by side.",
        trail=(("The wall", ""),),
        bands=bands,
        units=units,
        tags=tags_in(one.layer for one in bands),
        colours=COLOURS if judged else COLOURS[:2],
        data=embed_json(data),
    )
    return True


def band(writer: PageWriter, layer: LayerView) -> Band:
    """A layer as the wall shows it, by pictures of the recipe that leads."""
    recipe = writer.atlas.recipes_of(layer.atlas)[0]
    has_picture = first_picture(recipe)
    tiles = [
        Tile(unit=unit, place=place if has_picture(unit) else None)
        for place, unit in enumerate(layer.units)
    ]
    return Band(
        layer=layer,
        suffix=addresses.recipe_suffix(recipe, writer.atlas.recipes),
        across=len(layer.grid[0]),
        cells=tuple(tiles[place] if place >= 0 else None for row in layer.grid for place in row),
    )


def wall_json(bands: Sequence[Band]) -> Json:
    """What the script draws: sides of pictures, and the cells of each layer."""
    return {
        **{"tile": THUMBNAIL, "sheet": addresses.TILES, "dot": sheets.DOT},
        "layers": [
            {
                "name": shown(one.layer.name),
                "folder": one.layer.folder,
                "suffix": one.suffix,
                "across": one.across,
                "cells": [tile and tile_row(tile) for tile in one.cells],
            }
            for one in bands
        ],
    }


def tile_row(tile: Tile) -> list[object]:
    """A unit as the script reads it.

    Returns:
        Channel, place on the sheets, places of its colours in `COLOURS` by status, REACH and
        IDENT, each None where there is none, what people call it and the classes that it raises,
        which are searched, what else is said of it, and its tags where it has any.
    """
    unit, lead = tile.unit, tile.unit.lead
    value = lead.rendering.scores.reach if lead else math.nan
    ident = lead.ident if lead else None
    raised = f"raises {', '.join(unit.raises)}" if unit.raises else ""
    notes = (
        f"REACH {reach(value)}" if lead else "",
        f"IDENT {ident}" if ident else "",
        unit.status if unit.status != "ok" else "",
    )
    return [
        unit.channel,
        tile.place,
        None if unit.status == "ok" else STATUSES.index(unit.status),
        bisect_right(REACHES, value) if math.isfinite(value) else None,
        bisect_right(IDENTS, ident) if ident else None,
        shown(" · ".join(filter(None, (unit.called, raised)))),
        " · ".join(filter(None, notes)),
        *([",".join(unit.tags)] if unit.tags else []),
    ]
