"""A class as data: its own file, and its row in the file of its model."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ...records.atlas import ModelAtlas
from ..class_views import ClassesView, ClassImage, ClassView
from .encode import Address, Double, Single, record
from .units import (
    NO_RENDERING,
    ClassRendering,
    Count,
    CurveData,
    Head,
    ProvenanceData,
    UnitStatus,
    curves,
    rendering_data,
)


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class in the file of its model."""

    index: Count
    name: str
    page: Address
    image: Address | None
    thumbnail: Address | None
    status: UnitStatus
    select: int | None
    confidence: Double
    recipe: str | None


@dataclass(frozen=True, kw_only=True)
class ClassImageData:
    """A sample image with what the network makes of it for one class."""

    image_index: Count
    name: str
    probability: Double
    score: Single
    image: Address
    page: Address | None


@dataclass(frozen=True, kw_only=True)
class VoterData:
    """A channel that raises a class."""

    channel: Count
    contribution: Single
    page: Address | None


@dataclass(frozen=True, kw_only=True)
class ReadoutData:
    """The layer whose spatial means the classifier reads, and the channels that count most."""

    layer: str
    images: Count
    channels: tuple[VoterData, ...]


@dataclass(frozen=True, kw_only=True)
class ClassFile(Head):
    """`classes/281.json`: one class of a classifier."""

    index: Count
    name: str
    page: Address
    status: UnitStatus
    mean_score: Single
    std: Single
    max: Single
    natural_mean: Single
    natural_max: Single
    renderings: tuple[ClassRendering, ...]
    most_sure: Annotated[tuple[ClassImageData, ...], Meta(max_length=6)]
    least_sure: Annotated[tuple[ClassImageData, ...], Meta(max_length=6)]
    readout: ReadoutData | None
    objectives: dict[str, CurveData]
    provenance: ProvenanceData


def class_row(classes: ClassesView, one: ClassView) -> ClassRow:
    """A class for model.json, addresses seen from the model's folder."""
    unit, lead, start = one.unit, one.unit.lead, f"{classes.folder}/"
    return record(
        ClassRow,
        one,
        unit,
        *((lead.rendering, lead.rendering.scores) if lead else (NO_RENDERING,)),
        page=start + one.page,
        image=start + lead.image.file if lead and lead.image else None,
        thumbnail=start + unit.thumb.file if unit.thumb else None,
    )


def class_file(
    atlas: ModelAtlas, classes: ClassesView, one: ClassView, provenance: ProvenanceData
) -> ClassFile:
    """The file beside the page of a class: all that it shows, addresses seen from its folder."""
    unit = one.unit
    return record(
        ClassFile,
        one,
        unit,
        model=atlas.model.name,
        mean_score=unit.mean,
        renderings=[rendering_data(ClassRendering, picture) for picture in unit.pictures],
        most_sure=[class_image_data(image) for image in one.most],
        least_sure=[class_image_data(image) for image in one.least],
        readout=readout_data(classes, one),
        objectives=curves(unit),
        provenance=provenance,
    )


def class_image_data(image: ClassImage) -> ClassImageData:
    """A sample image with what the network makes of it for one class."""
    own = {"image_index": image.image, "image": image.whole, "page": image.page or None}
    return record(ClassImageData, image, **own)


def readout_data(classes: ClassesView, one: ClassView) -> ReadoutData | None:
    """The channels that raise a class most; None where the classifier reads no layer's means."""
    if not classes.readout:
        return None
    start = f"../{classes.readout_folder}/"
    channels = [
        record(VoterData, voter, page=start + voter.unit.page if voter.unit else None)
        for voter in one.voters
    ]
    return record(ReadoutData, layer=classes.readout, images=one.voting_images, channels=channels)
