"""Circuits as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ...records.circuits import KINDS, Circuit, Kind, agreement, checked
from ..circuit_sentences import median_error
from .encode import Double, Single, record


@dataclass(frozen=True, kw_only=True)
class LinkData:
    """A unit or class on the other end of a connection.

    Attributes:
        effect: predicted by derivatives.
        change: found by ablation; null where it was not checked.
        product: gradient × activation of a unit that feeds this one; null for others.
        kernel: rows of the weights between the two; [] where no convolution joins them.
    """

    layer: str
    channel: Annotated[int, Meta(ge=0)]
    name: str
    effect: Double
    change: Double
    product: Double
    kernel: tuple[tuple[Single, ...], ...]


Links = Annotated[tuple[LinkData, ...], Meta(max_length=10)]


@dataclass(frozen=True, kw_only=True)
class CircuitData:
    """What surrounds a unit.

    Attributes:
        images: indices of the sample images on which it was seen.
        activation: at its peak there, mean.
        error: share of it that all contributions and constants do not add up to.
        fed_by, feeds, classes: those that raise first, most first, then those that lower.
        reasons: of an empty list, why.
    """

    images: tuple[int, ...]
    activation: Double
    error: Double
    fed_by: Links
    feeds: Links
    classes: Links
    reasons: dict[Kind, str]


@dataclass(frozen=True, kw_only=True)
class AgreementData:
    """Links of a layer that were checked by ablation, and how well predictions hold there."""

    checked: Annotated[int, Meta(ge=0)]
    correlation: Double


@dataclass(frozen=True, kw_only=True)
class LayerCircuitsData:
    """The circuits of a layer: median error, and what ablation says, by kind."""

    error: Double
    ablation: dict[Kind, AgreementData]


def layer_circuits_data(circuits: Mapping[int, Circuit]) -> LayerCircuitsData | None:
    """The circuits of a layer; None where there are none."""
    if not circuits:
        return None
    pairs = {kind: checked(circuits.values(), kind) for kind in KINDS}
    return record(
        LayerCircuitsData,
        error=median_error(circuits.values()),
        ablation={
            kind: AgreementData(checked=len(some), correlation=Double(agreement(some)))
            for kind, some in pairs.items()
        },
    )
