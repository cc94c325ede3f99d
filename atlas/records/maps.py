"""The map of a layer: cells of like positions, and what each of them is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """Directions in the space of a layer's channels, standardised over positions.

    Attributes:
        mean, spread: (C,) of the channels over positions.
        rows: cell → (C,) of length 1.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    rows: Mapping[int, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCell:
    """Positions of a layer that are alike: a cell of its map.

    Attributes:
        cell: its place in the grid, row by row.
        count: of its positions.
        direction: (C,) float32 of length 1, the mean of their standardised activations.
        images: sample images of the positions nearest to that, each of another file.
        boxes: (E, 4) y0, x0, y1, x1 around them in pixels of the network's input.
        classes, contributions: that the mean activation raises most, and how much; () without
            classes.
        agreement: (K,) cosine of its picture with the direction of each cell of the grid; NaN
            where a cell is empty.
        image: (3, H, W) float16, the picture; (3, 0, 0) where it is not read.
    """

    cell: int
    count: int
    direction: NDArray[np.float32]
    images: tuple[int, ...]
    boxes: NDArray[np.int32]
    classes: tuple[int, ...]
    contributions: tuple[float, ...]
    agreement: NDArray[np.float32]
    image: NDArray[np.float16]

    @property
    def place(self) -> int:
        """Place of the cell's own direction among all, by its picture; 1 is the best."""
        return 1 + int((self.agreement > self.agreement[self.cell]).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMap:
    """The map of a layer, without pixels.

    Attributes:
        rows, columns: of the grid.
        positions: that are on it.
        total: cells that are not empty.
        cells: those that are finished, by their place.
        reason: why no cell is tinted by a class, or "".
    """

    rows: int
    columns: int
    positions: int
    total: int
    cells: Sequence[MapCell]
    reason: str = ""

    @property
    def complete(self) -> bool:
        """True if no cell is missing."""
        return len(self.cells) == self.total

    @property
    def own_best(self) -> float:
        """Share of the cells whose picture excites its own direction most."""
        return sum(one.place == 1 for one in self.cells) / max(1, len(self.cells))
