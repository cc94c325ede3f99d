"""Values that the pages show, one frozen class a thing: unit, picture, example, layer, page.

They hold numbers and addresses, never pixels. `draw` makes them; templates, JSON and CSV all
read the same values, so that they cannot disagree.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..records.atlas import LayerAtlas
from ..records.evidence import LayerEvidence, Place
from ..records.network import CLASSES
from ..records.tuning import UnitTuning
from ..records.units import Rendering
from ..shapes import Shape
from .circuit_views import CircuitView
from .direction_views import DirectionView
from .labels import tags_of
from .map_views import MapView
from .meaning_views import MeaningsView
from .text import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture file: its address inside the layer's folder and its size in pixels."""

    file: str
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A rendering as the pages show it.

    Attributes:
        rendering: its record, without pixels.
        image, thumb: the picture and its thumbnail; None where the rendering has no pixels.
        snapshots: the picture after each octave, first to last.
        place: where the unit comes out when the observer is shown it; None where none judges.
        unidentified: whether that is behind the first quarter of the layer.
        ident_channels: of a direction, its place among channels drawn from its layer; else None.
    """

    rendering: Rendering
    image: Shot | None
    thumb: Shot | None
    snapshots: tuple[Shot, ...]
    place: Place | None = None
    unidentified: bool = False
    ident_channels: int | None = None

    @property
    def ident(self) -> int | None:
        """IDENT; None where there is none."""
        return self.place.ident or None if self.place else None

    @property
    def predict(self) -> float:
        """PREDICT; NaN where there is none."""
        return self.place.predict if self.place else math.nan


def judged(picture: Picture, evidence: LayerEvidence | None) -> Picture:
    """A picture with the place at which the observer puts its unit by it."""
    made = picture.rendering
    places = evidence.pictures.get(made.recipe, {}) if evidence else {}
    place = places.get(made.unit.channel)
    if evidence is None or place is None:
        return picture
    among = evidence.among.get(made.recipe, {}).get(made.unit.channel)
    unidentified = evidence.unidentified(place)
    return replace(picture, place=place, unidentified=unidentified, ident_channels=among)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A dataset example as the pages show it.

    Attributes:
        image: index of the sample image; name: of its file, with the crop.
        activation: spatial maximum of the channel on it.
        box: y0, x0, y1, x1 in pixels of the network's input.
        patch: the picture of the box.
        whole: the square of the whole sample image.
    """

    image: int
    name: str
    activation: float
    box: tuple[int, int, int, int]
    patch: Shot
    whole: Shot


@dataclass(frozen=True, slots=True, kw_only=True)
class StripImage:
    """A sample image in a strip of a unit's spectrum.

    Attributes:
        image: index of the sample image; name: of its file, with the crop.
        peak: spatial maximum of the channel on it.
        box: y0, x0, y1, x1 in pixels of the network's input, around that maximum; the whole image
            where the layer's maps have no places.
        whole: the square of the whole sample image.
    """

    image: int
    name: str
    peak: float
    box: tuple[int, int, int, int]
    whole: Shot

    @property
    def view(self) -> str:
        """The box as the view box of an SVG."""
        y0, x0, y1, x1 = self.box
        return f"{x0} {y0} {x1 - x0} {y1 - y0}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripView:
    """A strip of a unit's spectrum as the page shows it; see `Strip`."""

    percentile: int
    up_to: int
    value: float
    share: float
    images: tuple[StripImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A channel whose activations correlate with a unit's, of the same layer or of another one."""

    layer: str
    channel: int
    correlation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """One unit as the pages show it.

    Attributes:
        layer, channel: which.
        rank: from 1; 0 for a channel that is not ranked.
        label: what people call it, or "".
        class_name: of the classifier's output that it is, or "".
        mean, std, max, p99, contrast: over the sample images.
        natural_mean, natural_max: over the images that scores are measured against.
        active: share of sample images where it is above zero anywhere.
        pictures: by recipe, in the order of the layer.
        photographs: where the unit comes out by its nine best photographs; None where none judges.
        examples: best first.
        neighbours: most correlated first, of its own layer.
        page: its address inside the layer's folder.
        neighbours_across: the same of all other layers of the atlas.
        spectrum: strips of images from its strongest to its weakest; () for classes, and where it
            is not finite.
        similar: place in the order in which like units of the layer stand together, from 1.
        masks: root of the masks of its examples, nine tiles in one picture; None where there are
            none, or none are shown.
        patch, keep: share of its peaks that these pixels carry, and a tenth of them.
        circuit: what surrounds it; None where that is not shown.
        tuning: what it prefers of synthetic stimuli; None where that is not known.
        direction: what it is made of, where it is one of a dictionary.
        meanings: groups of the images that excite it most; None where none were looked for.
    """

    layer: str
    channel: int
    rank: int
    label: str
    class_name: str
    mean: float
    std: float
    max: float
    p99: float
    contrast: float
    active: float
    natural_mean: float
    natural_max: float
    pictures: tuple[Picture, ...]
    examples: tuple[Example, ...]
    neighbours: tuple[Neighbour, ...]
    page: str
    photographs: Place | None = None
    neighbours_across: tuple[Neighbour, ...] = ()
    spectrum: tuple[StripView, ...] = ()
    similar: int = 1
    masks: Shot | None = None
    patch: float = math.nan
    keep: float = math.nan
    circuit: CircuitView | None = None
    tuning: UnitTuning | None = None
    direction: DirectionView | None = None
    meanings: MeaningsView | None = None

    @property
    def ident_photographs(self) -> int | None:
        """IDENT of its nine best photographs; None where there is none."""
        return self.photographs.ident or None if self.photographs else None

    @property
    def lead(self) -> Picture | None:
        """The picture that represents the unit: of the first recipe that there is."""
        return self.pictures[0] if self.pictures else None

    @property
    def status(self) -> str:
        """Status of the lead picture, or `unrendered`."""
        return self.lead.rendering.status if self.lead else "unrendered"

    @property
    def saturated(self) -> int:
        """How many examples share the highest peak, where it is above zero and not one's alone."""
        peaks = [one.activation for one in self.examples]
        count = peaks.count(peaks[0]) if peaks and peaks[0] > 0 else 0
        return count if count > 1 else 0

    @property
    def raises(self) -> tuple[str, ...]:
        """Names of the classes that it raises most, that one first; () where nothing is known."""
        links = self.circuit.classes if self.circuit else ()
        return tuple(link.name for link in links if link.effect > 0)[:3]

    @property
    def thumb(self) -> Shot | None:
        """The lead picture's thumbnail, where it has one."""
        return self.lead.thumb if self.lead else None

    @property
    def title(self) -> str:
        """The unit's name for readers: `inception4a:225`; a class has its own name."""
        return self.class_name if self.layer == CLASSES else f"{self.layer}:{self.channel}"

    @property
    def called(self) -> str:
        """Label or class name, or ""."""
        return self.label or self.class_name

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that its label holds."""
        return tags_of(shown(self.label))

    def by_recipe(self, recipe: str) -> Picture | None:
        """The picture of a recipe, where there is one."""
        return next((item for item in self.pictures if item.rendering.recipe == recipe), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One layer as the pages show it.

    Attributes:
        atlas: its record.
        folder: its folder inside the model's.
        units: those to show, by rank.
        grid: rows of the wall as places in `units`, like ones side by side; -1 where there is none.
        map: its activation atlas; None where it has none.
        elsewhere: the part of the atlas, in words, whose site has its pages; "" for this one.
    """

    atlas: LayerAtlas
    folder: str
    units: tuple[UnitView, ...]
    grid: Sequence[Sequence[int]] = ()
    map: MapView | None = None
    elsewhere: str = ""

    @property
    def name(self) -> str:
        return self.atlas.info.name

    @property
    def signpost(self) -> str:
        """Its name, with the part of the atlas that it is in where that is another one."""
        return f"{self.name}, {self.elsewhere}" if self.elsewhere else self.name

    @property
    def anchor(self) -> str:
        """Its folder without the way to it, as pages mark what they say of it."""
        return self.folder.rpartition("/")[2]

    @property
    def word(self) -> str:
        """What its units are."""
        return "direction" if self.atlas.info.parent else "channel"

    def seen(self, input_size: Shape) -> str:
        """What one position of the layer sees of an input of this height and width, in words."""
        field = self.atlas.info.receptive_field
        if field >= max(input_size):
            return "sees the whole input"
        return f"sees a square of {field} px"

    @property
    def rendered(self) -> int:
        """Units with at least one rendering."""
        return sum(bool(unit.pictures) for unit in self.units)

    @property
    def teasers(self) -> tuple[UnitView, ...]:
        """The four first units by rank whose picture can be trusted, else those with a picture."""
        pictured = [unit for unit in self.units if unit.thumb]
        return tuple(sorted(pictured, key=lambda unit: unit.status != "ok")[:4])

    @property
    def reaches(self) -> list[float]:
        """REACH of the lead picture of each unit that has one."""
        return [unit.lead.rendering.scores.reach for unit in self.units if unit.lead]

    def reaches_by(self, recipe: str) -> list[float]:
        """REACH of the pictures of a recipe."""
        found = [unit.by_recipe(recipe) for unit in self.units]
        return [one.rendering.scores.reach for one in found if one]

    @property
    def tags(self) -> list[str]:
        """The tags of its units."""
        return tags_in([self])

    def with_status(self, *statuses: str) -> list[UnitView]:
        """The units of these statuses, by rank."""
        return [unit for unit in self.units if unit.status in statuses]

    @property
    def median_ident(self) -> str:
        """Median IDENT of the lead pictures, "" where nothing is measured."""
        evidence, leads = self.atlas.evidence, [unit.lead for unit in self.units if unit.lead]
        places = {one.rendering.unit.channel: one.place for one in leads if one.place}
        median = evidence.median(places) if evidence else math.nan
        return "" if math.isnan(median) else f"{median:g}"

    @property
    def median_reach(self) -> float:
        """Median REACH, not a number where nothing is rendered."""
        finite = sorted(reach for reach in self.reaches if math.isfinite(reach))
        return finite[len(finite) // 2] if finite else math.nan


def tags_in(layers: Iterable[LayerView]) -> list[str]:
    """The tags of the units of layers, in alphabetical order."""
    found = {tag for layer in layers for unit in layer.units for tag in unit.tags}
    return sorted(found, key=lambda tag: (tag.casefold(), tag))
