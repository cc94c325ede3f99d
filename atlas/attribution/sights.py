"""A unit at one place of an image, and what it owes there to the layers that feed it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..network.intervening import Scene
from .links import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A unit on one image.

    Attributes:
        scene: what every layer made of the image.
        layer, channel: the unit.
        place: flat position of its peak; of the highest one below it where the peak is flat, as
            at the ceiling of a ReLU6.
        activation: there.
    """

    scene: Scene
    layer: str
    channel: int
    place: int
    activation: float

    def of(self, maps: Tensor) -> Tensor:
        """(R,) the unit's activation at the place of its peak in maps (R, C, H, W)."""
        return maps[:, self.channel].flatten(1)[:, self.place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What a unit at one place of an image owes to the layers that feed it.

    Attributes:
        sight: the unit there.
        effects: gradient × (activation − mean), summed over the places of each channel.
        products: gradient × activation.
        rest: what of the activation products, image and constants do not add up to.
    """

    sight: Sight
    effects: Rows
    products: Rows
    rest: float

    @property
    def flat(self) -> bool:
        """True if nothing that feeds the unit can move it there."""
        return bool(self.products) and not any(one.any() for one in self.products.values())


def below(sight: Sight) -> Sight:
    """A unit at the highest place below the one it is seen at; there where none is lower."""
    flat = sight.scene.maps[sight.layer][0, sight.channel].flatten()
    lower = torch.where(flat < sight.activation, flat, -torch.inf)
    place = int(lower.argmax())
    return replace(sight, place=place, activation=float(flat[place]))


def error_of(owing: Sequence[Owed]) -> float:
    """The share of an activation that is not accounted for; NaN where nothing feeds it."""
    total = sum(abs(one.sight.activation) for one in owing)
    return sum(abs(one.rest) for one in owing) / total if total else math.nan
