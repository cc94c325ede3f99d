"""A unit as data: its own file, its row in the file of its layer, its row in units.csv.

In a CSV a number that is not finite is empty; a text cell that a spreadsheet would take for a
formula gets a leading apostrophe.
"""

from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from ...ranking.spectrum import STRIP_IMAGES
from ...records.atlas import ModelAtlas
from ...records.statistics import NEIGHBOURS
from ...records.tuning import PREFERENCES
from ...records.units import CHANGES, Start, Status
from ..views import Example, Picture, StripView, UnitView
from .circuits import CircuitData
from .directions import DirectionData, direction_data
from .encode import SCHEMA, Address, Double, Schema, Single, Singles, record
from .meanings import MeaningsData, meanings_data

Count = Annotated[int, Meta(ge=0)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Box = tuple[int, int, int, int]
UnitStatus = Literal[Status, "unrendered"]


@dataclass(frozen=True, kw_only=True)
class Head:
    """Fields with which every file begins."""

    schema: Schema
    model: str


@dataclass(frozen=True, kw_only=True)
class ProvenanceData:
    """Sources, settings and versions behind the numbers and pictures of a model."""

    weights_sha256: str
    images_sha256: str
    n_images: int
    n_distinct: int
    natural_sha256: str
    n_natural: int
    n_natural_distinct: int
    recipes: dict[str, str]
    rank: Literal["mean", "max", "contrast"]
    size: int
    seed: int
    key: str
    versions: dict[str, str]
    device: str
    command: str
    created: str


@dataclass(frozen=True, kw_only=True)
class RenderingData:
    """A rendering: its scores, how it was made, its files."""

    recipe: str
    status: Status
    reason: str
    activation: Double
    reach: Double
    robust: Double
    hf: Double
    select: int
    ranks: Annotated[tuple[Count, ...], Meta(min_length=CHANGES, max_length=CHANGES)]
    seconds: Double
    seed: int
    start: Start
    attempts: int
    precision: str
    image: Address | None
    thumbnail: Address | None
    predict: Double
    ident: int | None
    unidentified: bool
    ident_channels: int | None


@dataclass(frozen=True, kw_only=True)
class ClassRendering(RenderingData):
    """A rendering of a class, with the probability that the network gives it."""

    confidence: Double


@dataclass(frozen=True, kw_only=True)
class CurveData:
    """The objective of a rendering, step by step."""

    values: Singles
    octave_steps: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ExampleData:
    """A dataset example."""

    image_index: int
    name: str
    activation: Single
    box: Box
    patch: Address
    image: Address


@dataclass(frozen=True, kw_only=True)
class NeighbourData:
    """A channel of the same layer whose activations correlate with a unit's."""

    channel: int
    correlation: Single


@dataclass(frozen=True, kw_only=True)
class AcrossData(NeighbourData):
    """A channel of another layer whose activations correlate with a unit's."""

    layer: str


@dataclass(frozen=True, kw_only=True)
class StripImageData:
    """A sample image in a strip of a spectrum."""

    image_index: int
    name: str
    peak: Single
    box: Box


@dataclass(frozen=True, kw_only=True)
class StripData:
    """A strip of a spectrum: images around a percentile of a unit's peak."""

    percentile: Percent
    up_to: Percent
    value: Single
    share: Double
    images: Annotated[tuple[StripImageData, ...], Meta(max_length=STRIP_IMAGES)]


@dataclass(frozen=True, kw_only=True)
class TuningCurve:
    """Responses of a unit along one property of the stimuli."""

    at: Singles
    responses: Singles


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """The tuning curves of a unit."""

    orientations: TuningCurve
    frequencies: TuningCurve
    hues: TuningCurve
    luminances: TuningCurve


@dataclass(frozen=True, kw_only=True)
class UnitData:
    """A unit: statistics, the lead rendering, then all renderings."""

    channel: Count
    rank: Count
    label: str
    class_name: str
    mean_activation: Single
    std: Single
    max: Single
    p99: Single
    contrast: Single
    active: Single
    recipe: str | None
    status: UnitStatus
    activation: Double
    reach: Double
    select: int | None
    robust: Double
    hf: Double
    seconds: Double
    seed: int | None
    image: Address | None
    page: Address
    renderings: tuple[RenderingData, ...]
    examples: Annotated[tuple[ExampleData, ...], Meta(max_length=9)]
    natural_mean: Single
    natural_max: Single
    neighbours: Annotated[tuple[NeighbourData, ...], Meta(max_length=5)]
    predict: Double
    ident: int | None
    ident_photographs: int | None
    unidentified: bool | None
    neighbours_across: Annotated[tuple[AcrossData, ...], Meta(max_length=NEIGHBOURS)]
    similar: Count
    patch: Double
    keep: Double
    masks: Address | None
    orientation: Single
    orientation_selectivity: Single
    frequency: Single
    cycles: Single
    hue: Single
    hue_selectivity: Single
    colour: Single
    luminance: Single


@dataclass(frozen=True, kw_only=True)
class UnitHead(Head):
    """Fields with which the file of a unit begins."""

    layer: str


@dataclass(frozen=True, kw_only=True)
class UnitFile(UnitData, UnitHead):
    """`225.json`: one unit of one layer."""

    objectives: dict[str, CurveData]
    spectrum: tuple[StripData, ...]
    circuits: CircuitData | None
    meanings: MeaningsData | None
    tuning: TuningData | None
    direction: DirectionData | None
    provenance: ProvenanceData


NO_RENDERING = SimpleNamespace(**dict.fromkeys(field.name for field in fields(ClassRendering)))
"""Values that fill the row of a unit without a lead rendering."""

NO_TUNING = SimpleNamespace(**dict.fromkeys(PREFERENCES))
"""The same of a unit whose tuning is not known."""

Kind = TypeVar("Kind", bound=RenderingData)


def rendering_data(kind: type[Kind], picture: Picture) -> Kind:
    """A rendering of a unit or of a class."""
    made = picture.rendering
    return record(kind, picture, made, made.scores, thumbnail=picture.thumb)


def example_data(example: Example) -> ExampleData:
    """A dataset example."""
    return record(ExampleData, example, image_index=example.image, image=example.whole)


def strip_data(strip: StripView) -> StripData:
    """A strip of a spectrum."""
    images = [record(StripImageData, one, image_index=one.image) for one in strip.images]
    return record(StripData, strip, images=images)


def unit_data(unit: UnitView) -> UnitData:
    """A unit: statistics, the lead rendering at the top level, all of them in `renderings`."""
    renderings = [rendering_data(RenderingData, picture) for picture in unit.pictures]
    return record(
        UnitData,
        unit,
        renderings[0] if renderings else NO_RENDERING,
        unit.tuning or NO_TUNING,
        mean_activation=unit.mean,
        renderings=renderings,
        examples=[example_data(example) for example in unit.examples],
    )


def unit_file(model: str, unit: UnitView, row: UnitData, provenance: ProvenanceData) -> UnitFile:
    """The file beside a unit's page: the unit, its model, and its curves.

    Args:
        model: its name.
        unit: the unit.
        row: its `unit_data`.
        provenance: of the model.
    """
    return UnitFile(
        **vars(row),
        schema=SCHEMA,
        model=model,
        layer=unit.layer,
        objectives=curves(unit),
        spectrum=tuple(map(strip_data, unit.spectrum)),
        circuits=record(CircuitData, unit.circuit) if unit.circuit else None,
        meanings=meanings_data(unit.meanings) if unit.meanings else None,
        tuning=record(TuningData, unit.tuning) if unit.tuning else None,
        direction=direction_data(unit.direction),
        provenance=provenance,
    )


def curves(unit: UnitView) -> dict[str, CurveData]:
    """The curve of each rendering, by recipe."""
    made = [picture.rendering for picture in unit.pictures]
    return {one.recipe: record(CurveData, one, values=one.objective) for one in made}


def provenance_data(atlas: ModelAtlas) -> ProvenanceData:
    """Return the sources, settings and versions behind the numbers and pictures of a model."""
    return record(
        ProvenanceData,
        atlas,
        atlas.model,
        atlas.run,
        images_sha256=atlas.samples.sha256,
        n_images=len(atlas.samples.samples),
        n_distinct=atlas.samples.distinct,
        natural_sha256=atlas.natural.sha256,
        n_natural=len(atlas.natural.samples),
        n_natural_distinct=atlas.natural.distinct,
        recipes=atlas.digests,
        versions=dict(atlas.run.versions),
    )
