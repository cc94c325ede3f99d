"""The questions of a model as data: which photographs are shown, asked about, and the answers."""

from dataclasses import dataclass

from .encode import Address, Double, Single
from .units import Count, Head


@dataclass(frozen=True, kw_only=True)
class QueryData:
    """A photograph that is asked about.

    Attributes:
        image: index of the sample image.
        activation: spatial mean of the unit on it: the answer.
        by_picture, by_photographs: how alike it is to the unit's picture, and to the photographs
            that the unit likes, in the eyes of the observer; not finite without one.
    """

    image: Count
    activation: Single
    by_picture: Double
    by_photographs: Double


@dataclass(frozen=True, kw_only=True)
class QuizUnit:
    """A unit that can be asked about.

    Attributes:
        layer: place in `layers`; channel, label, status: of the unit.
        page, image: its page, and its lead picture.
        plain: whether it is asked about unless one asks for the others: its picture passes every
            gate and identifies it.
        strong, weak: images that are shown of what it likes and does not, the most so first.
        high, low: images that are asked about: all of `high` excite it more than those of `low`.
        fits: how alike the pictures of all units of its layer, in their order, are to its `strong`
            images in the eyes of the observer; empty without one.
    """

    layer: Count
    channel: Count
    label: str
    status: str
    page: Address
    image: Address
    plain: bool
    strong: tuple[Count, ...]
    weak: tuple[Count, ...]
    high: tuple[QueryData, ...]
    low: tuple[QueryData, ...]
    fits: tuple[Double, ...]


@dataclass(frozen=True, kw_only=True)
class QuizFile(Head):
    """quiz.json of a model.

    Attributes:
        layers: their names, those with questions only.
        observer: title of the network that answers the same questions, or null.
        units: in the order of `layers`.
    """

    title: str
    layers: tuple[str, ...]
    observer: str | None
    units: tuple[QuizUnit, ...]
