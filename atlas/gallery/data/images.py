"""A sample image with a page as data: its own file, and its row in the file of its model."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ...records.atlas import ModelAtlas
from ..addresses import IMAGES
from ..image_views import Fooled, Heat, ImageView, OnImage
from .encode import Address, Double, Single, record
from .units import Box, Count, Head, ProvenanceData


@dataclass(frozen=True, kw_only=True)
class PredictionData:
    """A class that a network gives an image."""

    index: Count
    name: str
    probability: Double


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """A sample image with a page, in the file of its model."""

    image_index: Count
    name: str
    page: Address
    image: Address
    predictions: tuple[PredictionData, ...]


@dataclass(frozen=True, kw_only=True)
class HeatData:
    """A heat map, and the value of its brightest colour."""

    image: Address
    ceiling: Double


@dataclass(frozen=True, kw_only=True)
class TargetData:
    """The class that a fooling image was pushed to."""

    index: Count
    name: str


@dataclass(frozen=True, kw_only=True)
class FoolingData:
    """A fooling image."""

    original: Address
    image: Address
    difference: Address
    target: TargetData
    fooled: bool
    steps: Count
    l2: Double
    linf: Double
    predictions: tuple[PredictionData, ...]


@dataclass(frozen=True, kw_only=True)
class ExcitedData:
    """A unit that an image excites."""

    channel: Count
    activation: Single
    spreads: Single
    page: Address


@dataclass(frozen=True, kw_only=True)
class MapData:
    """A feature map."""

    channel: Count
    mean_activation: Single
    peak: Single
    page: Address | None


@dataclass(frozen=True, kw_only=True)
class OnImageData:
    """A layer on an image: the units that it excites most, and its feature maps."""

    layer: str
    folder: str
    units: Annotated[tuple[ExcitedData, ...], Meta(max_length=4)]
    maps: Annotated[tuple[MapData, ...], Meta(max_length=8)]
    maps_image: Address | None


@dataclass(frozen=True, kw_only=True)
class ImageFile(Head):
    """`images/3.json`: one sample image."""

    image_index: Count
    name: str
    sha256: str
    box: Box
    page: Address
    image: Address
    predictions: tuple[PredictionData, ...]
    saliency: HeatData | None
    smoothgrad: HeatData | None
    fooling: FoolingData | None
    layers: tuple[OnImageData, ...]
    provenance: ProvenanceData


def image_row(image: ImageView) -> ImageRow:
    """A row of `lenses` in model.json, addresses seen from the model's folder."""
    return record(
        ImageRow,
        image,
        image_index=image.image,
        page=f"{IMAGES}/{image.page}",
        image=f"{IMAGES}/{image.whole.file}",
        predictions=image.guesses,
    )


def image_file(atlas: ModelAtlas, image: ImageView, provenance: ProvenanceData) -> ImageFile:
    """The file beside an image's page: all its numbers, addresses seen from its folder.

    Args:
        atlas: the model.
        image: what the page shows.
        provenance: of the model.
    """
    return record(
        ImageFile,
        image,
        atlas.samples.samples[image.image],
        model=atlas.model.name,
        image_index=image.image,
        image=image.whole,
        predictions=image.guesses,
        saliency=heat_data(image.saliency),
        smoothgrad=heat_data(image.smoothgrad),
        fooling=fooling_data(image.fooled) if image.fooled else None,
        layers=[on_image_data(layer) for layer in image.layers],
        provenance=provenance,
    )


def heat_data(heat: Heat | None) -> HeatData | None:
    """A heat map; None where there is none."""
    return record(HeatData, heat, image=heat.shot) if heat else None


def fooling_data(fooled: Fooled) -> FoolingData:
    """A fooling image."""
    return record(
        FoolingData,
        fooled,
        image=fooled.changed,
        target=record(TargetData, index=fooled.target, name=fooled.target_name),
        fooled=fooled.succeeded,
        predictions=fooled.guesses,
    )


def on_image_data(layer: OnImage) -> OnImageData:
    """A layer on an image: the units that it excites most, and its feature maps."""
    up = f"../{layer.layer.folder}/"
    return record(
        OnImageData,
        layer=layer.layer.name,
        folder=layer.layer.folder,
        units=[
            record(ExcitedData, one, channel=one.unit.channel, page=up + one.unit.page)
            for one in layer.excited
        ],
        maps=[
            record(
                MapData,
                one,
                mean_activation=one.mean,
                page=up + one.unit.page if one.unit else None,
            )
            for one in layer.maps
        ],
        maps_image=layer.band,
    )
