"""Values on the page of a sample image: predictions, heat maps, a fooling image, units.

Numbers and addresses as in `views`, never pixels; `draw_images` makes them.
"""

from dataclasses import dataclass

from .views import LayerView, Shot, UnitView


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A class that a network gives an image, as the pages show it.

    Attributes:
        index, name: which class.
        probability: how sure the network is.
        page: of the class, seen from a folder of the model; "" where it has none.
    """

    index: int
    name: str
    probability: float
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A heat map over a sample image; `ceiling` is the value of its brightest colour."""

    shot: Shot
    ceiling: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fooled:
    """A fooling image as the pages show it.

    Attributes:
        original, changed, difference: the picture as the network sees it, the changed one, and what
            was changed.
        target, target_name: class that it was pushed to.
        succeeded: whether the saved picture is given that class.
        steps: gradient steps taken.
        l2, linf: Euclidean and largest size of the difference, pixels in [0, 1].
        guesses: of the saved picture, most likely first.
    """

    original: Shot
    changed: Shot
    difference: Shot
    target: int
    target_name: str
    succeeded: bool
    steps: int
    l2: float
    linf: float
    guesses: tuple[Guess, ...]

    @property
    def levels(self) -> int:
        """Largest change of one colour of one pixel, in levels of 255."""
        return round(self.linf * 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excited:
    """A unit on one image: its activation, and by how many spreads that exceeds its mean."""

    unit: UnitView
    activation: float
    spreads: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MapView:
    """A feature map: its channel, mean and peak, and the unit where this atlas shows it."""

    channel: int
    mean: float
    peak: float
    unit: UnitView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnImage:
    """A layer on one image.

    Attributes:
        layer: which.
        excited: the units of this atlas that the image excites most, best first.
        maps: the most active channels, most active first.
        band: the picture of their maps, side by side; None where there are none.
        signed: whether some of them have values below zero.
    """

    layer: LayerView
    excited: tuple[Excited, ...]
    maps: tuple[MapView, ...]
    band: Shot | None
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """A sample image with a page of its own; addresses are seen from its folder.

    Attributes:
        image, name: index of the sample image, and its file with the crop.
        page: its address.
        whole: the square of the whole sample image.
        guesses: what the network takes it for, most likely first; () without a classifier.
        saliency, smoothgrad, fooled: None where there are none.
        layers: in forward order.
    """

    image: int
    name: str
    page: str
    whole: Shot
    guesses: tuple[Guess, ...]
    saliency: Heat | None
    smoothgrad: Heat | None
    fooled: Fooled | None
    layers: tuple[OnImage, ...]
