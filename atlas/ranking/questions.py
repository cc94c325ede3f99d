"""Questions whose answers are known: which of two photographs excites a unit more? numpy only.

The two-alternative task of Borowski et al. 2020 (arXiv 2010.12606) and Zimmermann et al. 2023
(arXiv 2307.05471): people see what the unit likes and what it does not, then two photographs that
nobody has shown them. Answers are the unit's true activations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_FILES = 8
"""Photographs below which there is nothing left to ask about."""

SHOWN = 9
"""Photographs shown of what a unit likes, and of what it does not; as many are asked about."""

POOL = 300
"""Photographs that all questions of an atlas use together, so that a site stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Favourites:
    """Images of a unit, no two of them of one file, the four groups apart.

    Attributes:
        strong: those that excite it most, best first; weak: those that do so least, least first.
        high, low: those next to them, which are asked about: all `high` ones excite it more.
    """

    strong: tuple[int, ...]
    weak: tuple[int, ...]
    high: tuple[int, ...]
    low: tuple[int, ...]


def choose_pool(files: NDArray[np.int64], count: int = POOL) -> NDArray[np.int64]:
    """At most `count` images, evenly spread over all, as many files among them as can be."""
    first = np.sort(np.unique(files, return_index=True)[1])
    others = np.setdiff1d(np.arange(len(files)), first)
    chosen = first[spread(len(first), count)]
    return np.sort(np.append(chosen, others[spread(len(others), count - len(chosen))]))


def spread(length: int, count: int) -> NDArray[np.int64]:
    """At most `count` places, evenly spaced over `length`."""
    return np.unique(np.linspace(0, length - 1, min(length, max(count, 0))).round().astype(int))


def sort_out(
    answers: NDArray[np.floating], images: Sequence[int], files: Sequence[int]
) -> Favourites | None:
    """Sort the images of a unit into what is shown and what is asked about.

    Args:
        answers: (P,) activation of the unit on each image.
        images: (P,) their indices.
        files: (P,) equal for images that are parts of one file.

    Returns:
        None where there are too few files, or where the unit does not tell the groups apart.
    """
    order = np.argsort(-np.asarray(answers), kind="stable")
    best = order[np.sort(np.unique(np.asarray(files)[order], return_index=True)[1])]
    part = min(SHOWN, len(best) // 4)
    if len(best) < LEAST_FILES or not answers[best[2 * part - 1]] > answers[best[-2 * part]]:
        return None
    named = [int(images[one]) for one in best]
    return Favourites(
        strong=tuple(named[:part]),
        high=tuple(named[part : 2 * part]),
        low=tuple(named[-2 * part : -part]),
        weak=tuple(reversed(named[-part:])),
    )
