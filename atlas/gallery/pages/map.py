"""The activation atlas of a layer, and the page of each of its cells.

The map is drawn by the script of the wall; without one it is a table of pictures.
"""

import json

from ...images.pixels import THUMBNAIL
from .. import addresses, sheets
from ..data.encode import to_json
from ..data.maps import map_file
from ..map_views import FOLDER, PAGE, CellView, MapView
from ..text import plural, shown
from ..views import LayerView
from .frame import PageWriter, embed_json, ways


def write_map(writer: PageWriter, place: int) -> None:
    """Write the map of a layer, where it has one, its data, and the pages of its cells."""
    layer = writer.layers[place]
    if layer.map is None:
        return
    mapped = [one for one in writer.layers if one.map]
    colours = (("raises", "class", layer.map.tints),)
    data = json.dumps(map_json(layer.map), allow_nan=False, separators=(",", ":"))
    writer.put(
        "map",
        f"{layer.folder}/{PAGE}",
        title=f"Activation atlas of {layer.name} · {writer.title}",
        description=f"What {layer.name} of {writer.title} makes of "
        f"{plural(layer.map.record.positions, 'position')} of the sample images, as one map.",
        trail=((layer.name, "index.html"), ("Activation atlas", "")),
        card=f"{layer.folder}/card.jpg",
        layer=layer,
        map=layer.map,
        ways=ways(mapped, mapped.index(layer), lambda one: (f"../{one.folder}/{PAGE}", one.name)),
        colours=colours if layer.map.tints else (),
        own_best=sum(one.own_place == 1 for one in layer.map.cells),
        data=embed_json(data),
    )
    file = map_file(writer.atlas.model.name, layer.name, layer.map)
    writer.tree.put(f"{layer.folder}/map.json", to_json(file))
    for cell in layer.map.cells:
        write_cell(writer, layer, layer.map, cell)


def write_cell(writer: PageWriter, layer: LayerView, found: MapView, cell: CellView) -> None:
    """Write the page of a cell of a map."""
    classes = writer.classes.layer.units if writer.classes else ()
    folder = writer.classes.folder if writer.classes else ""
    name = f"Cell {cell.cell}"
    writer.put(
        "cell",
        f"{layer.folder}/{cell.page}",
        title=f"{name} of the activation atlas of {layer.name} · {writer.title}",
        description=f"A direction of {layer.name} of {writer.title}: its picture, and the "
        "photographs that are nearest to it.",
        trail=((layer.name, "../index.html"), ("Activation atlas", f"../{PAGE}"), (name, "")),
        card=f"{layer.folder}/{cell.picture}",
        layer=layer,
        map=found,
        cell=cell,
        name=name,
        ways=ways(found.cells, cell.place, lambda one: (f"{one.cell}.html", f"cell {one.cell}")),
        around=around(found, cell),
        class_pages={one.channel: f"../../{folder}/{one.page}" for one in classes},
    )


def around(found: MapView, cell: CellView) -> list[list[CellView | None]]:
    """The cell and its neighbours, row by row."""
    grid = found.grid
    return [
        [
            grid[row][column]
            for column in range(max(0, cell.column - 1), cell.column + 2)
            if column < found.record.columns
        ]
        for row in range(max(0, cell.row - 1), cell.row + 2)
        if row < found.record.rows
    ]


def map_json(found: MapView) -> dict[str, object]:
    """What the script of the wall draws: a layer called `cell`, in the folder of the map."""
    return {
        **{"tile": THUMBNAIL, "sheet": addresses.TILES, "dot": sheets.DOT},
        "layers": [
            {
                "name": "cell",
                "folder": FOLDER,
                "suffix": "",
                "across": found.record.columns,
                "cells": [one and cell_row(one) for row in found.grid for one in row],
            }
        ],
    }


def cell_row(cell: CellView) -> list[object]:
    """A cell as the script reads it, see `wall.tile_row`: its colour is the first of the three."""
    note = plural(cell.count, "position")
    return [cell.cell, cell.place, cell.tint, None, None, shown(cell.raises), note]
