"""Dictionaries and their directions as data."""

from dataclasses import dataclass

from ...records.dictionary import Dictionary
from ..direction_views import DirectionView
from .encode import Double, Integers, Singles, record


@dataclass(frozen=True, kw_only=True)
class PartData:
    """A channel that a direction is made of."""

    channel: int
    weight: Double


@dataclass(frozen=True, kw_only=True)
class DirectionData:
    """A direction of a dictionary: what it is made of, and how much it explains."""

    parent: str
    parts: tuple[PartData, ...]
    covered: Double
    share: Double
    active: Double
    explained: Double


@dataclass(frozen=True, kw_only=True)
class DictionaryData:
    """A dictionary: how its directions were found, and what it explains.

    Attributes:
        fitted, judged: images on which it was found, and measured; positions: of the latter.
        explained, shuffled: share of the variance; where channels are shuffled.
        shares, active: of each direction: variance explained less without it; share of positions
            where it answers above 0.
        sizes, errors: numbers of directions, and the share of the variance left out with each.
    """

    parent: str
    method: str
    directions: int
    fitted: int
    judged: int
    positions: int
    explained: Double
    shuffled: Double
    shares: Singles
    active: Singles
    sizes: Integers
    errors: Singles


def direction_data(direction: DirectionView | None) -> DirectionData | None:
    """A direction; None for a channel."""
    if direction is None:
        return None
    parts = [record(PartData, part) for part in direction.parts]
    return record(DirectionData, direction, parts=parts)


def dictionary_data(found: Dictionary | None) -> DictionaryData | None:
    """A dictionary; None for a layer of the network."""
    if found is None:
        return None
    return record(DictionaryData, found, directions=found.code.directions)
