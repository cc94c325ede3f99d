"""Meanings as data."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ...records.meanings import Meanings
from ..meaning_views import MeaningsView
from .encode import Address, Double


@dataclass(frozen=True, kw_only=True)
class MeaningData:
    """One meaning of a unit.

    Attributes:
        images: indices of the sample images that belong to it, best first.
        image: its picture; null where it has none of its own.
        reach: of that picture.
    """

    images: tuple[int, ...]
    image: Address | None
    reach: Double


@dataclass(frozen=True, kw_only=True)
class MeaningsData:
    """All meanings of a unit, and the chance of a false split."""

    chance: Double
    meanings: Annotated[tuple[MeaningData, ...], Meta(min_length=1, max_length=4)]


@dataclass(frozen=True, kw_only=True)
class LayerMeaningsData:
    """How many units of a layer were looked at, and how many have several meanings."""

    units: int
    several: int


def meanings_data(view: MeaningsView) -> MeaningsData:
    """The meanings of a unit."""
    return MeaningsData(
        chance=Double(view.chance),
        meanings=tuple(
            MeaningData(
                images=tuple(image.image for image in one.images),
                image=Address(one.file) if one.file else None,
                reach=Double(one.rendering.scores.reach if one.rendering else math.nan),
            )
            for one in view.meanings
        ),
    )


def layer_meanings_data(found: Collection[Meanings]) -> LayerMeaningsData | None:
    """The meanings of a layer; None where none were looked for."""
    if not found:
        return None
    several = sum(one.count > 1 for one in found)
    return LayerMeaningsData(units=len(found), several=several)
