"""Values that the pages of classes show, beside those in `views`."""

from dataclasses import dataclass

from ..ranking.classes import LEAST_EVIDENCE, VOTERS
from .views import LayerView, Shot, UnitView


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassImage:
    """A sample image on the page of a class.

    Attributes:
        image: index of the sample image; name: of its file, with the crop.
        probability: that the network gives it this class; score: what that was made from.
        whole: the square of it, its address seen from the classes' folder.
        page: its own page, seen from there; "" where it has none.
    """

    image: int
    name: str
    probability: float
    score: float
    whole: Shot
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributingChannel:
    """A channel that raises a class, with its unit where this atlas shows it."""

    channel: int
    contribution: float
    unit: UnitView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassView:
    """One class as the pages show it.

    Attributes:
        unit: its score as a unit of the layer of class scores: pictures and statistics.
        most, least: sample images that the network is most and least sure of, that one first.
        voters: channels that raise it most, first the one that does so most.
        voting_images: sample images behind their contributions; 0 where these are over all images.
    """

    unit: UnitView
    most: tuple[ClassImage, ...]
    least: tuple[ClassImage, ...]
    voters: tuple[ContributingChannel, ...]
    voting_images: int

    @property
    def confident(self) -> tuple[ClassImage, ...]:
        """Those of `most` that say anything: the network gives them the class with some chance."""
        return tuple(one for one in self.most if one.probability >= LEAST_EVIDENCE)

    @property
    def listed(self) -> tuple[ContributingChannel, ...]:
        """The first of the voters, those that an atlas of this layer gives pages."""
        return self.voters[:VOTERS]

    @property
    def index(self) -> int:
        return self.unit.channel

    @property
    def name(self) -> str:
        return self.unit.class_name

    @property
    def page(self) -> str:
        return self.unit.page


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassesView:
    """The classes of a model as the pages show them.

    Attributes:
        layer: the layer of class scores, its units are the classes in the order shown.
        classes: the same, with what only classes have.
        readout: name of the layer that the classifier reads; "" where it reads no layer's means.
        readout_folder: its folder inside the model's; "" where this atlas does not show it.
    """

    layer: LayerView
    classes: tuple[ClassView, ...]
    readout: str
    readout_folder: str

    @property
    def folder(self) -> str:
        return self.layer.folder

    @property
    def teasers(self) -> tuple[UnitView, ...]:
        """The first eight whose picture can be trusted, then others with a picture."""
        pictured = [one.unit for one in self.classes if one.unit.thumb]
        return tuple(sorted(pictured, key=lambda unit: unit.status != "ok")[:8])
