"""The map of a layer as pages and data files show it. `map_view` makes it of a record."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ranking.classes import class_name
from ..records.maps import LayerMap, MapCell
from .circuit_views import PatchView

TINTS = 8
"""Classes that have a colour on a map: those that most of its cells raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedClass:
    """A class that a cell raises, and by how much of its score."""

    index: int
    name: str
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """A cell of a map.

    Attributes:
        cell, row, column: its place in the grid, from 0.
        place: on the contact sheets of the map.
        count: of its positions.
        classes: that it raises most.
        images: sample images of the nearest positions; patches: around these.
        own_place: place of its own direction among all, by its picture.
        tint: number of the colour of the first of its classes that has one; None without.
    """

    cell: int
    row: int
    column: int
    place: int
    count: int
    classes: tuple[RaisedClass, ...]
    images: tuple[int, ...]
    patches: tuple[PatchView, ...]
    own_place: int
    tint: int | None

    @property
    def page(self) -> str:
        """Its page, seen from the folder of the layer."""
        return f"{FOLDER}/{self.cell}.html"

    @property
    def picture(self) -> str:
        """Its picture, seen from the folder of the layer."""
        return f"{FOLDER}/img/{self.cell}.jpg"

    @property
    def raises(self) -> str:
        """Name of the class that it raises most, or ""."""
        return self.classes[0].name if self.classes else ""


FOLDER = "map"
"""Of the cells of a map, inside the folder of the layer; no unit is called so."""

PAGE = "map.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapView:
    """The map of a layer.

    Attributes:
        record: of it.
        cells: that are not empty, row by row.
        tints: names of the classes that have a colour, the one of most cells first.
    """

    record: LayerMap
    cells: tuple[CellView, ...]
    tints: tuple[str, ...]

    @property
    def grid(self) -> list[list[CellView | None]]:
        """Row by row; None where a cell is empty."""
        by_cell = {one.cell: one for one in self.cells}
        rows, columns = self.record.rows, self.record.columns
        return [
            [by_cell.get(row * columns + column) for column in range(columns)]
            for row in range(rows)
        ]


def map_view(record: LayerMap, class_names: Sequence[str], whole: Callable[[int], str]) -> MapView:
    """A map as pages show it.

    Args:
        record: of the map.
        class_names: of the network.
        whole: sample image → its file, seen from the folder of the layer.
    """
    counts = Counter(index for one in record.cells for index in one.classes)
    order = sorted(counts, key=lambda one: (-counts[one], one))[:TINTS]
    return MapView(
        record=record,
        cells=tuple(
            cell_view(cell, place, record, class_names, order, whole)
            for place, cell in enumerate(record.cells)
        ),
        tints=tuple(class_name(class_names, one) for one in order),
    )


def cell_view(
    cell: MapCell,
    place: int,
    record: LayerMap,
    class_names: Sequence[str],
    order: Sequence[int],
    whole: Callable[[int], str],
) -> CellView:
    """A cell as pages show it; `order` are the classes that have a colour."""
    pairs = zip(cell.classes, cell.contributions, strict=True)
    boxes = zip(cell.images, cell.boxes.tolist(), strict=True)
    return CellView(
        cell=cell.cell,
        row=cell.cell // record.columns,
        column=cell.cell % record.columns,
        place=place,
        count=cell.count,
        classes=tuple(
            RaisedClass(index=index, name=class_name(class_names, index), contribution=value)
            for index, value in pairs
        ),
        images=cell.images,
        patches=tuple(
            PatchView(file=whole(image), box=(y0, x0, y1, x1)) for image, (y0, x0, y1, x1) in boxes
        ),
        own_place=cell.place,
        tint=next((order.index(one) for one in cell.classes if one in order), None),
    )
