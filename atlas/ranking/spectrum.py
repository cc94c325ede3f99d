"""Choose the images that show what a unit does at every strength. numpy only.

The nine best images show a unit at its strongest; what it means at medium strength is often
something else. `choose_strips` is the way in.

Source: activation intervals, which Bricken et al. 2023, "Towards Monosemanticity", and Neuronpedia
show of the features of a dictionary.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..records.spectrum import Strip

PERCENTILES = (100, 99, 95, 90, 75, 50, 25, 0)

STRIP_IMAGES = 4
"""Images of a strip, as far as there are so many."""

POOL = 1000
"""Images of which strips are made: so many files at most come to a site by them."""


def image_pool(images: int) -> NDArray[np.bool_]:
    """(N,) which of the images strips may show: all, or `POOL` evenly spaced ones."""
    pool = np.zeros(images, np.bool_)
    pool[np.linspace(0, max(0, images - 1), min(images, POOL)).astype(np.int64)] = True
    return pool


def choose_strips(
    peaks: NDArray[np.float32], files: NDArray[np.int64], pool: NDArray[np.bool_]
) -> tuple[Strip, ...]:
    """The strips of a unit, the strongest first.

    Args:
        peaks: (N,) finite peak of the unit on each image.
        files: (N,) number of the file that each image was cut from.
        pool: (N,) which images may be shown; percentiles and shares count all.
    """
    ordered = np.sort(peaks)
    found: dict[float, list[int]] = {}
    for percentile in PERCENTILES if len(peaks) else ():
        rank = (percentile * (len(peaks) - 1) + 50) // 100  # the nearest, halves up
        found.setdefault(float(ordered[rank]), []).append(percentile)
    values = list(found)
    counts = np.searchsorted(ordered, np.array([*values, -np.inf], np.float32), "right")
    chosen = choose_rows(peaks, values, files, pool)
    return tuple(
        Strip(
            percentile=percentiles[-1],
            up_to=percentiles[0],
            value=value,
            share=float(above - below) / len(peaks),
            rows=tuple(sorted(rows, key=lambda row: (-peaks[row], row))),
        )
        for (value, percentiles), above, below, rows in zip(
            found.items(), counts[:-1], counts[1:], chosen, strict=True
        )
    )


def choose_rows(
    peaks: NDArray[np.float32],
    values: Sequence[float],
    files: NDArray[np.int64],
    pool: NDArray[np.bool_],
) -> list[list[int]]:
    """The images of each strip: those nearest in rank to its value, ties by image.

    Strips take turns, the strongest first, so that where they are close to each other each has its
    nearest image. No image is in two strips, and no file twice in one.
    """
    away = rank_distances(peaks, values)  # (S, N)
    queues = [
        nearest_first(distance, pool & between(peaks, values, place))
        for place, distance in enumerate(away)
    ]
    chosen: list[list[int]] = [[] for _ in values]
    taken: set[int] = set()
    for _ in range(STRIP_IMAGES):
        for rows, queue in zip(chosen, queues, strict=True):
            seen = {files[row] for row in rows}
            fits = (row for row in queue if row not in taken and files[row] not in seen)
            rows.extend(islice(fits, 1))
            taken.update(rows)
    return chosen


def between(peaks: NDArray[np.float32], values: Sequence[float], place: int) -> NDArray[np.bool_]:
    """(N,) which images a strip may show: those between the values of the strips beside it.

    The first and the last strip, which have one strip beside them, reach to the one behind it.
    """
    last = len(values) - 1
    above = [*values][: max(0, place - (place == last))]
    below = [*values][place + 1 + (place == 0) :]
    return np.asarray((peaks < min(above, default=np.inf)) & (peaks > max(below, default=-np.inf)))


def rank_distances(peaks: NDArray[np.float32], values: Sequence[float]) -> NDArray[np.int64]:
    """(S, N) how many ranks each image is away from the images that have a value."""
    order = np.argsort(peaks, kind="stable")
    rank = np.empty(len(peaks), np.int64)
    rank[order] = np.arange(len(peaks))
    wanted = np.array(values, np.float32)
    first = np.searchsorted(peaks[order], wanted, "left")[:, None]
    last = np.searchsorted(peaks[order], wanted, "right")[:, None] - 1
    return np.asarray(np.maximum(0, np.maximum(first - rank, rank - last)))


def nearest_first(distance: NDArray[np.int64], allowed: NDArray[np.bool_]) -> Iterator[int]:
    """The allowed rows by distance, ties by row."""
    rows = np.flatnonzero(allowed)
    return iter(rows[np.argsort(distance[rows], kind="stable")].tolist())
