"""Maps of layers as data."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ..map_views import CellView, MapView
from .encode import Address, Double, record
from .units import Head

Count = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class RaisedData:
    """A class that a cell raises, and by how much of its score."""

    index: Count
    name: str
    contribution: Double


@dataclass(frozen=True, kw_only=True)
class CellData:
    """A cell of a map.

    Attributes:
        cell, row, column: its place in the grid, from 0.
        count: of its positions.
        images: sample images of the nearest positions; boxes: y0, x0, y1, x1 around these in
            pixels of the network's input.
        classes: that it raises most.
        own_place: place of its own direction among those of all cells, by its picture.
        image, page: addresses.
    """

    cell: Count
    row: Count
    column: Count
    count: Count
    images: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    classes: tuple[RaisedData, ...]
    own_place: Count
    image: Address
    page: Address


@dataclass(frozen=True, kw_only=True)
class MapFile(Head):
    """`map.json`: the activation atlas of a layer.

    Attributes:
        rows, columns: of the grid.
        positions: that are on it.
        own_best: share of the pictures that excite the direction of their own cell more than that
            of any other.
        cells: those that are not empty, row by row.
        reason: why no class is known, or "".
    """

    layer: str
    rows: Count
    columns: Count
    positions: Count
    own_best: Double
    cells: tuple[CellData, ...]
    reason: str


def map_file(model: str, layer: str, view: MapView) -> MapFile:
    """map.json of a layer."""
    return record(
        MapFile,
        view.record,
        model=model,
        layer=layer,
        cells=[cell_data(one) for one in view.cells],
    )


def cell_data(cell: CellView) -> CellData:
    """A cell of a map."""
    boxes = [patch.box for patch in cell.patches]
    return record(CellData, cell, boxes=boxes, image=cell.picture)
