"""Units that fire on the same images: across the layers of an atlas, and the order of a layer.

Both compare units by their mean activations over the images. `neighbours_across` finds the most
correlated channels of all other layers, `order_alike` an order in which like units stand together.
numpy only.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..records.atlas import LayerAtlas
from ..records.statistics import NEIGHBOURS, LayerStats
from ..records.units import Unit
from .matching import FEWEST, Counterpart

BLOCK = 1024
"""Channels of another layer that are compared with a layer's units at a time."""

DIGITS = 4
"""Decimals of a correlation: further ones depend on the processor, and would change pages."""


# --- across layers -------------------------------------------------------------------------------


def neighbours_across(layers: Sequence[LayerAtlas]) -> dict[Unit, tuple[Counterpart, ...]]:
    """The channels of other layers whose activations correlate most with each chosen unit's.

    Args:
        layers: in forward order, all over the same images.

    Returns:
        Chosen unit → at most five channels, shown or not, the most correlated first, ties by layer
        and channel; none for units that never vary, and over fewer than three images.
    """
    everyone = [(one.info.name, channel) for one in layers for channel in range(one.stats.channels)]
    units = [Unit(layer=layer, channel=channel) for layer, channel in everyone]
    chosen = [directions(layer.stats, layer.chosen) for layer in layers]
    best = [Closest(len(own)) for own in chosen]
    seen = 0
    for other in layers:
        for theirs in blocks(other.stats):
            for layer, own, closest in zip(layers, chosen, best, strict=True):
                if source(layer) != source(other):
                    closest.see(seen, correlations(own, theirs))
            seen += len(theirs)
    return {
        Unit(layer=layer.info.name, channel=channel): tuple(
            Counterpart(unit=units[number], correlation=value)
            for number, value in closest.found(row)
        )
        for layer, closest in zip(layers, best, strict=True)
        for row, channel in enumerate(layer.chosen)
    }


def source(layer: LayerAtlas) -> str:
    """The layer whose activations are looked at: a dictionary says again what its layer says."""
    return layer.info.parent or layer.info.name


def directions(stats: LayerStats, channels: Sequence[int]) -> NDArray[np.float32]:
    """(C, M) activations of channels over the images of `rows`, less their mean, of length 1.

    Zeros for channels that never vary or are not finite, and over fewer than `FEWEST` images.
    """
    columns = np.array(channels, np.int64)
    values = stats.activations[np.ix_(stats.rows, columns)].T.astype(np.float32)  # (C, M)
    if values.shape[1] < FEWEST:
        return np.zeros_like(values)
    values -= values.mean(1, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    alive = stats.finite[columns, None] & (np.ptp(values, axis=1, keepdims=True) > 0)
    return np.where(alive, values / np.where(alive, length, 1), 0).astype(np.float32)


def blocks(stats: LayerStats) -> Iterator[NDArray[np.float32]]:
    """The `directions` of each block of channels of a layer."""
    for first in range(0, stats.channels, BLOCK):
        yield directions(stats, range(first, min(first + BLOCK, stats.channels)))


def correlations(own: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """(U, C) Pearson correlations of directions; −∞ where one of the two is zero."""
    table = np.round(own @ theirs.T, DIGITS)
    table[~own.any(1)] = -np.inf
    table[:, ~theirs.any(1)] = -np.inf
    return table


class Closest:
    """The most correlated of the channels seen so far, for each of some units."""

    def __init__(self, units: int) -> None:
        self.correlation = np.full((units, NEIGHBOURS), -np.inf, np.float32)
        self.number = np.zeros((units, NEIGHBOURS), np.int64)

    def see(self, first: int, table: NDArray[np.float32]) -> None:
        """Take in the correlations (U, C) with channels that are numbered from `first` on."""
        numbers = np.broadcast_to(np.arange(first, first + table.shape[1]), table.shape)
        numbers = np.concatenate([self.number, numbers], 1)
        table = np.concatenate([self.correlation, table], 1)
        rows = np.arange(len(table))
        for place in range(NEIGHBOURS):
            best = table.argmax(1)  # the first of several
            self.correlation[:, place] = table[rows, best]
            self.number[:, place] = numbers[rows, best]
            table[rows, best] = -np.inf

    def found(self, row: int) -> Iterator[tuple[int, float]]:
        """Number and correlation of the channels found for a unit, the most correlated first."""
        pairs = zip(self.number[row].tolist(), self.correlation[row].tolist(), strict=True)
        return (pair for pair in pairs if pair[1] > -np.inf)


# --- the order of a layer ------------------------------------------------------------------------


def order_alike(stats: LayerStats, channels: Sequence[int]) -> list[int]:
    """Channels in an order in which those that fire on the same images stand together.

    Average linkage joins the most correlated groups first, and the two ends of joined groups that
    fit best are put side by side. Channels that never vary come last.

    Source: average linkage by the nearest-neighbour chain, Murtagh and Contreras 2012.
    """
    axes = directions(stats, channels)
    alive = axes.any(1)
    live = np.flatnonzero(alive)
    table: NDArray[np.float64] = np.round(axes[live] @ axes[live].T, DIGITS).astype(np.float64)
    order = [int(live[row]) for row in join_groups(table)]
    return [channels[row] for row in [*order, *np.flatnonzero(~alive).tolist()]]


def join_groups(table: NDArray[np.float64]) -> list[int]:
    """Join rows by their correlations (U, U) until one group is left; its rows in order."""
    near = table.copy()
    np.fill_diagonal(near, -np.inf)
    groups = {row: [row] for row in range(len(table))}
    chain: list[int] = []
    while len(groups) > 1:
        chain = chain or [next(iter(groups))]
        best = int(near[chain[-1]].argmax())
        if len(chain) > 1 and near[chain[-1], chain[-2]] >= near[chain[-1], best]:
            last, kept = chain.pop(), chain.pop()
            merge_rows(near, kept, last, len(groups[kept]), len(groups[last]))
            groups[kept] = put_together(groups[kept], groups.pop(last), table)
        else:
            chain.append(best)
    order = next(iter(groups.values()), [])
    return order if order[:1] <= order[-1:] else order[::-1]


def merge_rows(
    near: NDArray[np.float64], kept: int, gone: int, kept_rows: int, gone_rows: int
) -> None:
    """Let one group stand for two: its likeness to others is the mean over the rows of both."""
    mean = (near[kept] * kept_rows + near[gone] * gone_rows) / (kept_rows + gone_rows)
    mean[kept] = -np.inf
    near[kept] = near[:, kept] = mean
    near[gone] = near[:, gone] = -np.inf


def put_together(left: list[int], right: list[int], table: NDArray[np.float64]) -> list[int]:
    """Two groups as one, turned so that the rows where they meet correlate most."""
    ways = [(a, b) for a in (left, left[::-1]) for b in (right, right[::-1])]
    first, second = max(ways, key=lambda way: table[way[0][-1], way[1][0]])
    return [*first, *second]
