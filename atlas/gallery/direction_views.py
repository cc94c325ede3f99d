"""What the pages show of a direction of a dictionary: `direction_view`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..records.dictionary import Dictionary
from .circuit_views import PatchView

LISTED = 8
"""Channels that a page lists of a direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """A channel that a direction is made of.

    Attributes:
        channel: of the layer that the dictionary reads.
        weight: of the direction at length 1, so that their squares add up to 1.
        patch: where it is excited most, if it has no page in this atlas, but its layer has.
    """

    channel: int
    weight: float
    patch: PatchView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionView:
    """A direction as its page shows it.

    Attributes:
        parent: the layer that the dictionary reads.
        parts: its largest channels, those first.
        covered: share of its squared length that these make up.
        share: of the layer's variance that the dictionary explains less without it.
        active: share of positions where it answers above 0.
        explained: share of the variance that the dictionary explains.
    """

    parent: str
    parts: tuple[PartView, ...]
    covered: float
    share: float
    active: float
    explained: float


def direction_view(
    dictionary: Dictionary | None, channel: int, patch: Callable[[str, int], PatchView | None]
) -> DirectionView | None:
    """What is known of a direction; None for a channel, which is none.

    Args:
        dictionary: of the direction.
        channel: its number.
        patch: layer and channel → where it is excited most.
    """
    if dictionary is None:
        return None
    row = dictionary.code.decoder[channel].astype(np.float64)
    length = float(np.linalg.norm(row))
    weights = row / length if length else row
    order = np.argsort(-np.abs(weights), kind="stable")[:LISTED]
    return DirectionView(
        parent=dictionary.parent,
        parts=tuple(
            PartView(channel=one, weight=float(weights[one]), patch=patch(dictionary.parent, one))
            for one in order.tolist()
            if weights[one]
        ),
        covered=float((weights[order] ** 2).sum()),
        share=float(dictionary.shares[channel]),
        active=float(dictionary.active[channel]),
        explained=dictionary.explained,
    )
