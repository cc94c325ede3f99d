"""The meanings of a unit as its page shows them."""

from dataclasses import dataclass

from ..records.units import Rendering
from .circuit_views import PatchView


@dataclass(frozen=True, slots=True, kw_only=True)
class MeaningImage:
    """A sample image of a meaning, its file name, and the patch around the unit's peak there."""

    image: int
    name: str
    patch: PatchView


@dataclass(frozen=True, slots=True, kw_only=True)
class MeaningView:
    """One meaning of a unit.

    Attributes:
        number: from 1, the one with most images first.
        rendering: of the unit in the company of these images; None where it is not rendered.
        file: of that picture, seen from the layer's folder; "" without one.
        images: that belong to it, best first.
    """

    number: int
    rendering: Rendering | None
    file: str
    images: tuple[MeaningImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeaningsView:
    """All meanings of a unit.

    Attributes:
        chance: of a false split.
        meanings: one, or several.
    """

    chance: float
    meanings: tuple[MeaningView, ...]

    @property
    def count(self) -> int:
        """Number of meanings."""
        return len(self.meanings)

    @property
    def looked_at(self) -> int:
        """Number of images that were compared."""
        return sum(len(one.images) for one in self.meanings)
