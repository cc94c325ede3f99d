"""The map of a layer: its activations at many positions, like ones side by side. numpy only.

`lay_out` puts positions into the cells of a grid by a self-organising map: the mean of each cell is
pulled towards the positions that are nearest to it, and a little towards those of the cells around,
less and less so. It gives the grid that is averaged, needs no library and always ends the same;
UMAP and t-SNE give points, which fill a grid unevenly.

Sources: activation atlases, Carter et al. 2019; the batch map, Kohonen 2013; its start from the two
first principal components, the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..shapes import Shape

Rows = NDArray[np.float64]
Vectors = NDArray[np.floating]

POSITIONS = 8000
"""Positions of all images together, about."""

PER_CELL = 25
"""Positions for each cell, about."""

ASPECT = 4 / 3
"""Columns for each row: most windows are wider than high."""

LARGEST_ROWS = 12
"""With 16 columns 192 cells: as much work as so many units."""

LEAST_COUNT = 5
"""Positions of the emptiest cell that is shown."""

ROUNDS = 40
"""Passes over all positions."""

LAST_WIDTH = 0.5
"""In cells, how far a position reaches in the last pass; at first a quarter of the grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Mean and spread (C,) of a layer's channels over positions; a spread of 0 is 1."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, activations: NDArray[np.float32]) -> "Scale":
        """That of activations (P, C)."""
        spread = activations.std(0, dtype=np.float64)
        return cls(
            mean=activations.mean(0, dtype=np.float64).astype(np.float32),
            spread=np.where(spread > 0, spread, 1).astype(np.float32),
        )

    def standardise(self, activations: NDArray[np.float32]) -> Rows:
        """Distances from the mean in spreads."""
        return np.asarray((activations.astype(np.float64) - self.mean) / self.spread)


def choose_places(digest: str, image: int, count: int, positions: int) -> NDArray[np.int64]:
    """Flat positions of an image, drawn by the digest of its file and by its index in that file.

    Args:
        digest: SHA-256 of the file, hexadecimal.
        image: tells crops of one file apart.
        count: how many.
        positions: of the map.
    """
    random = np.random.default_rng([int(digest[:16], 16), image])
    return np.sort(random.permutation(positions)[:count])


def grid_shape(positions: int) -> Shape:
    """Rows and columns for so many positions."""
    rows = round(math.sqrt(positions / PER_CELL / ASPECT))
    rows = max(2, min(LARGEST_ROWS, rows))
    return rows, round(rows * ASPECT)


def lay_out(rows: Rows, shape: Shape) -> NDArray[np.int64]:
    """The cell of each position, counted row by row.

    Args:
        rows: (P, C) standardised activations; their directions count.
        shape: of the grid.
    """
    directions = of_length_one(rows).astype(np.float32)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), 2).reshape(-1, 2)
    apart = ((places[:, None] - places) ** 2).sum(2)  # (K, K)
    means = first_means(directions, places, shape)
    first = max(shape) / 4
    for step in range(ROUNDS):
        width = first * (LAST_WIDTH / first) ** (step / (ROUNDS - 1))
        pull = np.exp(-apart / (2 * width**2))
        sums, counts = sums_of(directions, nearest(directions, means), len(places))
        means = of_length_one(pull @ sums / np.maximum(pull @ counts, 1e-12)[:, None])
    return nearest(directions, means)


def first_means(directions: Vectors, places: NDArray[np.int64], shape: Shape) -> Rows:
    """(K, C) where the cells begin: spread over the plane of the two first components."""
    centre = directions.mean(0)
    values, axes = np.linalg.eigh(np.cov(directions.T, bias=True))
    plane = axes[:, [-1, -2]].T * np.sqrt(np.maximum(values[[-1, -2], None], 0))  # (2, C)
    plane *= np.sign(plane[[0, 1], np.abs(plane).argmax(1)])[:, None]
    wide = 4 * (places / (np.array(shape) - 1) - 0.5)  # up to two deviations either way
    return of_length_one(centre + wide[:, ::-1] @ plane)


def nearest(directions: Vectors, means: Rows) -> NDArray[np.int64]:
    """(P,) the cell whose mean is nearest."""
    return np.asarray((directions @ means.T.astype(directions.dtype)).argmax(1))


def sums_of(rows: Vectors, cells: NDArray[np.int64], count: int) -> tuple[Rows, Rows]:
    """(K, C) sums of the rows of each cell, and (K,) how many there are."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, cells, rows)
    return sums, np.bincount(cells, minlength=count).astype(np.float64)


def of_length_one(rows: Rows) -> Rows:
    """Rows over their length; zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))


def nearest_of_files(
    rows: Rows, direction: Rows, members: NDArray[np.int64], files: Sequence[str], most: int
) -> list[int]:
    """The members of a cell that are nearest to its direction, one of each file, nearest first."""
    likeness = of_length_one(rows[members]) @ direction
    first: dict[str, int] = {}
    for member in members[np.argsort(-likeness, kind="stable")].tolist():
        first.setdefault(files[member], member)
    return list(first.values())[:most]
