"""What an observer, a network that had no part in any picture, recognises by them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an observer, a network that had no part in any picture, makes of some images.

    Attributes:
        observer: its title.
        weights_sha256: of its weights.
        widths: channels of each depth that was looked at.
        features: (N, D) float32, spatial mean of every channel of every depth, D the sum of them.
    """

    observer: str
    weights_sha256: str
    widths: tuple[int, ...]
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a unit comes out when an observer is shown one picture.

    Attributes:
        ident: 1 + channels of the layer that the observer's prediction fits better; 0 where the
            unit never varies on the judging images.
        predict: Pearson correlation of the prediction and the unit over the judging images.
    """

    ident: int
    predict: float


NOWHERE = Place(ident=0, predict=math.nan)
"""The place of a channel that never varies on the judging images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEvidence:
    """What an observer recognises of the units of a layer.

    Attributes:
        observer: title of the network that judges.
        judges: number of judging images.
        live: channels that vary on them: as many places there are.
        pictures: recipe → channel → its place by its picture.
        photographs: channel → its place by its nine best photographs.
        swapped: recipe → median of place ÷ `live` where each picture is judged as another unit's.
        features: recipe → channel → (D,) what the observer makes of its picture.
        among: of a dictionary, recipe → direction → its place among `rivals` channels of its layer
            instead of the other directions; without those that never vary.
        rivals: their number.
    """

    observer: str
    judges: int
    live: int
    pictures: Mapping[str, Mapping[int, Place]]
    photographs: Mapping[int, Place]
    swapped: Mapping[str, float]
    features: Mapping[str, Mapping[int, NDArray[np.float32]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    among: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    rivals: int = 0

    @property
    def chance(self) -> float:
        """The mean place of a unit drawn at random."""
        return (self.live + 1) / 2

    def share(self, place: Place) -> float:
        """Place ÷ channels: the p-value of a place, NaN where there is none."""
        return place.ident / self.live if place.ident else math.nan

    def median(self, places: Mapping[int, Place]) -> float:
        """Median place; NaN where nobody has one."""
        found = sorted(one.ident for one in places.values() if one.ident)
        middle = len(found) // 2
        if not found:
            return math.nan
        return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2

    def unidentified(self, place: Place) -> bool:
        """Whether a place lies behind the first quarter of the layer."""
        return self.share(place) > LARGEST_SHARE


LARGEST_SHARE = 0.25
"""Places behind this share of a layer identify nothing."""
