"""A model and its layers as data: layer.json, model.json, search.json; atlas.json above them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ...ranking.matching import Match
from ...records.atlas import ModelAtlas
from ...records.network import Outputs
from ...records.samples import CentralCrop, SkippedFile
from ..class_views import ClassesView
from ..image_views import ImageView
from ..parts import WHOLE, Part
from ..views import LayerView, UnitView
from .circuits import LayerCircuitsData, layer_circuits_data
from .classes import ClassRow, class_row
from .directions import DictionaryData, dictionary_data
from .encode import Address, Double, Integers, Json, Schema, Singles, record
from .evidence import EvidenceData, evidence_data
from .images import ImageRow, image_row
from .meanings import LayerMeaningsData, layer_meanings_data
from .parts import PartData, part_rows
from .units import Count, Head, ProvenanceData, UnitData


@dataclass(frozen=True, kw_only=True)
class LayerData:
    """A row of the layer table."""

    layer: str
    folder: str
    index: int
    type: str
    channels: int
    height: int
    width: int
    receptive_field: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class LayerFile(LayerData, Head):
    """`layer.json`: one layer of one model."""

    n_images: int
    mean: Singles
    std: Singles
    max: Singles
    p99: Singles
    active: Singles
    ranking: Integers
    multiply_adds: int
    units: tuple[UnitData, ...]
    evidence: EvidenceData | None
    circuits: LayerCircuitsData | None
    dictionary: DictionaryData | None
    meanings: LayerMeaningsData | None


@dataclass(frozen=True, kw_only=True)
class LayerRow(LayerData):
    """A layer in the file of its model.

    Attributes:
        part: of several sites the one that shows it.
        shown: channels of its units, where that is another site than this one.
    """

    n_units: int
    n_rendered: int
    part: int | UnsetType = UNSET
    shown: tuple[int, ...] | UnsetType = UNSET


@dataclass(frozen=True, kw_only=True)
class TeaserData:
    """A unit on the home page."""

    layer: str
    channel: int
    label: str
    page: Address
    thumbnail: Address
    image: Address
    patch: Address | None
    reach: Double
    recipe: str


@dataclass(frozen=True, kw_only=True)
class ModelFile(Head):
    """`model.json`: one model.

    Attributes:
        input_shape: height and width where the input is no square; input_size is the longer one.
        channels: of the input, where they are no colours.
        show_channels: those that pages show, counted from 1, where they are no colours.
        part, parts: which of how many sites this one is, where several show the model.
        sites: all of them; numbers, layers and classes of this file are those of all together.
    """

    title: str
    source: str
    licence: str
    parameters: int
    input_size: int
    input_shape: tuple[int, ...] | UnsetType = UNSET
    channels: int | UnsetType = UNSET
    show_channels: tuple[int, ...] | UnsetType = UNSET
    outputs: Outputs
    images: str
    crop: CentralCrop | None
    provenance: ProvenanceData
    skipped: tuple[SkippedFile, ...]
    credits: tuple[str, ...]
    hf: tuple[Double, Double, Double]
    n_units: int
    n_rendered: int
    layers: tuple[LayerRow, ...]
    contact: tuple[TeaserData, ...]
    daily: tuple[TeaserData, ...]
    n_classes: Count
    classes: tuple[ClassRow, ...]
    lenses: tuple[ImageRow, ...]
    part: int | UnsetType = UNSET
    parts: int | UnsetType = UNSET
    sites: tuple[PartData, ...] | UnsetType = UNSET


@dataclass(frozen=True, kw_only=True)
class MatchData:
    """A unit, the channel most like it, and the unit most like it of those that are shown."""

    layer: str
    channel: Count
    other_layer: str | None
    other_channel: int | None
    correlation: Double
    shown_layer: str | None
    shown_channel: int | None
    shown_correlation: Double


@dataclass(frozen=True, kw_only=True)
class ComparisonFile(Head):
    """`compare/<other>.json`: two models over the same images."""

    other: str
    n_images: Annotated[int, Meta(ge=3)]
    units: tuple[MatchData, ...]


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model of the site."""

    model: str
    title: str
    folder: str
    n_layers: int
    n_units: int
    n_rendered: int
    n_classes: int
    weights_sha256: str
    created: str
    data: Address
    units: Address
    part: int | UnsetType = UNSET
    parts: int | UnsetType = UNSET


@dataclass(frozen=True, kw_only=True)
class SiteFile:
    """`atlas.json`: the models of the site, and the root files that the program made."""

    schema: Schema
    models: tuple[ModelRow, ...]
    files: tuple[Address, ...]


def layer_file(atlas: ModelAtlas, layer: LayerView, rows: Sequence[UnitData]) -> LayerFile:
    """layer.json: the layer, statistics of all its channels, the units it shows.

    Args:
        atlas: the model.
        layer: the layer.
        rows: `unit_data` of each of its units.
    """
    return record(
        LayerFile,
        layer,
        layer.atlas.info,
        layer.atlas.stats,
        layer.atlas,
        model=atlas.model.name,
        layer=layer.name,
        n_images=len(atlas.samples.samples),
        units=rows,
        evidence=evidence_data(layer.atlas.evidence),
        circuits=layer_circuits_data(layer.atlas.circuits),
        dictionary=dictionary_data(layer.atlas.dictionary),
        meanings=layer_meanings_data(layer.atlas.meanings.values()),
    )


def layer_row(layer: LayerView, part: Part) -> LayerRow:
    """A layer for model.json."""
    numbers = {"n_units": len(layer.units), "n_rendered": layer.rendered}
    return record(
        LayerRow,
        layer,
        layer.atlas.info,
        layer=layer.name,
        part=part.number_of(layer.name) if part.shares else UNSET,
        shown=UNSET if part.holds(layer.name) else layer.atlas.chosen,
        **numbers,
    )


def teaser_data(layer: LayerView, unit: UnitView) -> TeaserData:
    """A unit for the home page, addresses seen from the model's folder."""
    assert unit.thumb
    assert unit.lead
    assert unit.lead.image
    start = f"{layer.folder}/"
    return record(
        TeaserData,
        unit,
        unit.lead.rendering,
        unit.lead.rendering.scores,
        label=unit.called,
        page=start + unit.page,
        thumbnail=start + unit.thumb.file,
        image=start + unit.lead.image.file,
        patch=start + unit.examples[0].patch.file if unit.examples else None,
    )


def model_file(
    atlas: ModelAtlas,
    layers: Sequence[LayerView],
    contact: Sequence[tuple[LayerView, UnitView]],
    daily: Sequence[tuple[LayerView, UnitView]],
    classes: ClassesView | None,
    images: Sequence[ImageView],
    provenance: ProvenanceData,
    part: Part = WHOLE,
) -> ModelFile:
    """model.json: the model, its layers, and what the home page shows of it.

    Args:
        atlas: the model.
        layers: in forward order.
        contact: units of the contact sheet, in forward order.
        daily: candidates for the unit of the day.
        classes: None where there are no class pages.
        images: those with pages.
        provenance: of the model.
        part: the site, where several show the model.
    """
    model, natural = atlas.model, atlas.natural
    rows, classed = [layer_row(one, part) for one in layers], classes.classes if classes else ()
    return record(
        ModelFile,
        model,
        atlas.samples,
        model=model.name,
        input_shape=model.input_shape or UNSET,
        channels=model.channels if atlas.shown else UNSET,
        show_channels=tuple(one + 1 for one in atlas.shown) or UNSET,
        images=atlas.samples.title,
        provenance=provenance,
        hf=(natural.hf_p05, natural.hf_median, natural.hf_p95),
        n_units=sum(row.n_units for row in rows),
        n_rendered=sum(row.n_rendered for row in rows),
        layers=rows,
        contact=[teaser_data(layer, unit) for layer, unit in contact],
        daily=[teaser_data(layer, unit) for layer, unit in daily],
        n_classes=len(classed),
        classes=[class_row(classes, one) for one in classed] if classes else (),
        lenses=[image_row(image) for image in images],
        part=part.number if part.shares else UNSET,
        parts=len(part.shares) or UNSET,
        sites=part_rows(part) or UNSET,
    )


def comparison_file(
    ours: ModelAtlas, theirs: ModelAtlas, matches: Sequence[Match]
) -> ComparisonFile:
    """compare/<other>.json: whom each unit correlates with most, those that never vary last."""
    rows = sorted(matches, key=lambda match: match.counterpart is None)
    return record(
        ComparisonFile,
        model=ours.model.name,
        other=theirs.model.name,
        n_images=len(ours.samples.samples),
        units=[match_data(match) for match in rows],
    )


def match_data(match: Match) -> MatchData:
    """A unit, the channel most like it, and the unit most like it of those that are shown."""
    counterpart, beside = match.counterpart, match.shown
    return record(
        MatchData,
        match.unit,
        other_layer=counterpart and counterpart.unit.layer,
        other_channel=counterpart and counterpart.unit.channel,
        correlation=counterpart and counterpart.correlation,
        shown_layer=beside and beside.unit.layer,
        shown_channel=beside and beside.unit.channel,
        shown_correlation=beside and beside.correlation,
    )


def site_file(models: Sequence[Json], files: Sequence[str]) -> SiteFile:
    """atlas.json: the list of models, and the root files that we made.

    Args:
        models: the model.json of each, with its folder.
        files: paths in the site.
    """
    return record(SiteFile, models=[model_row(model) for model in models], files=files)


def model_row(model: Json) -> ModelRow:
    """A model of the site, from its model.json."""
    own = {
        "n_layers": len(model["layers"]),
        "data": f"{model['folder']}/model.json",
        "units": f"{model['folder']}/units.csv",
        **({} if model["sites"] else {"part": UNSET, "parts": UNSET}),
    }
    return record(ModelRow, **{**model["provenance"], **model, **own})
