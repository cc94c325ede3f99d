"""Circuits as pages and data files show them. `circuit_view` makes them of a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..ranking.classes import class_name
from ..records.circuits import Circuit, Kind, Link
from ..records.network import CLASSES


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchView:
    """A part of a sample image.

    Attributes:
        file: the whole image, as seen from a layer's folder.
        box: y0, x0, y1, x1 in pixels of the network's input.
    """

    file: str
    box: tuple[int, int, int, int]

    @property
    def view(self) -> str:
        """The same as the view box of a drawing: x, y, width, height."""
        y0, x0, y1, x1 = self.box
        return f"{x0} {y0} {x1 - x0} {y1 - y0}"


FindPatch = Callable[[str, int], PatchView | None]
"""Layer and channel → where it is excited most, for units without a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """A unit or class on the other end of a connection.

    Attributes:
        layer, channel: which it is.
        name: as people call it: `blocks.4.2:34`, or that of a class.
        effect, change, product: see `records.circuits.Link`.
        kernel: rows of the weights between the two; () where no convolution joins them.
        patch: where a unit without a page is excited most; None for others.
    """

    layer: str
    channel: int
    name: str
    effect: float
    change: float
    product: float
    kernel: tuple[tuple[float, ...], ...]
    patch: PatchView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitView:
    """What surrounds a unit; the fields are those of `records.circuits.Circuit`."""

    images: tuple[int, ...]
    activation: float
    error: float
    fed_by: tuple[LinkView, ...]
    feeds: tuple[LinkView, ...]
    classes: tuple[LinkView, ...]
    reasons: Mapping[Kind, str]

    def of(self, kind: Kind) -> tuple[LinkView, ...]:
        """The links of a kind."""
        found: tuple[LinkView, ...] = getattr(self, kind)
        return found


def circuit_view(circuit: Circuit, names: Sequence[str], find_patch: FindPatch) -> CircuitView:
    """A circuit as pages show it.

    Args:
        circuit: its record.
        names: of the classes; () where they have none.
        find_patch: of a unit that has no page.
    """

    def links(kind: Kind) -> tuple[LinkView, ...]:
        return tuple(link_view(link, names, find_patch) for link in circuit.of(kind))

    return CircuitView(
        images=circuit.images,
        activation=circuit.activation,
        error=circuit.error,
        fed_by=links("fed_by"),
        feeds=links("feeds"),
        classes=links("classes"),
        reasons=circuit.reasons,
    )


def link_view(link: Link, names: Sequence[str], find_patch: FindPatch) -> LinkView:
    """A link as pages show it."""
    is_class = link.layer == CLASSES
    return LinkView(
        layer=link.layer,
        channel=link.channel,
        name=class_name(names, link.channel) if is_class else f"{link.layer}:{link.channel}",
        effect=link.effect,
        change=link.change,
        product=link.product,
        kernel=tuple(map(tuple, link.kernel.tolist())),
        patch=None if is_class else find_patch(link.layer, link.channel),
    )
