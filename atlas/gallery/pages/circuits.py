"""What a unit's page and a layer's page show of circuits."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...records.circuits import Kind, checked
from .. import circuit_sentences
from ..circuit_views import CircuitView, LinkView
from ..draw_circuits import draw_agreement, draw_kernel
from ..views import LayerView, UnitView
from .frame import Known

FIRST = 3
"""Links of a direction that are seen at once, those that are checked; the others are folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A link with its unit or class, where this atlas shows it.

    Attributes:
        link: the link.
        unit: None where it has no page.
        folder: what its addresses start with.
        kernel: markup of its kernel, or "".
    """

    link: LinkView
    unit: UnitView | None
    folder: str
    kernel: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkList:
    """The links of a kind.

    Attributes:
        title, sentence: heading, and what its numbers are.
        sides: name and rows of those that raise, most first, and of those that lower.
        reason: why there are none, or "".
        pictured: whether any of them has a picture.
    """

    title: str
    sentence: str
    sides: tuple[tuple[str, tuple[Row, ...]], ...]
    reason: str
    pictured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPanel:
    """The part of a unit's page.

    Attributes:
        seen, complete: sentences on where it was seen, and whether all adds up.
        lists: one a kind.
        first: links of a side that are not folded.
    """

    seen: str
    complete: str
    lists: tuple[LinkList, ...]
    first: int = FIRST


def circuit_panel(circuit: CircuitView | None, known: Known) -> CircuitPanel | None:
    """What the page of a unit shows of its circuit; None where it has none."""
    if circuit is None:
        return None
    if not circuit.images:
        return None
    return CircuitPanel(
        seen=circuit_sentences.seen_sentence(len(circuit.images), circuit.activation),
        complete=circuit_sentences.error_sentence(circuit.error),
        lists=tuple(link_list(circuit, kind, known) for kind in circuit_sentences.TITLES),
    )


def link_list(circuit: CircuitView, kind: Kind, known: Known) -> LinkList:
    """The links of a kind as rows."""
    links = circuit.of(kind)
    scale = max((abs(one) for link in links for row in link.kernel for one in row), default=0.0)
    rises = tuple(row_of(link, known, scale) for link in links if link.effect > 0)
    falls = tuple(row_of(link, known, scale) for link in reversed(links) if link.effect < 0)
    names = ("Raise it", "Lower it") if kind == "fed_by" else ("Raises", "Lowers")
    return LinkList(
        title=circuit_sentences.TITLES[kind],
        sentence=circuit_sentences.block_sentence(kind),
        sides=tuple(zip(names, (rises, falls), strict=True)),
        reason=circuit.reasons.get(kind, ""),
        pictured=any(row.unit or row.link.patch for row in (*rises, *falls)),
    )


def row_of(link: LinkView, known: Known, scale: float) -> Row:
    """A link as a row of its list."""
    unit, folder = known.get((link.layer, link.channel), (None, ""))
    drawn = len(link.kernel) > 1 or any(len(row) > 1 for row in link.kernel)
    kernel = draw_kernel(link.kernel, scale) if drawn else ""
    return Row(link=link, unit=unit, folder=folder, kernel=Markup(kernel))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well the predictions of a layer hold under ablation, of one kind: words and a plot."""

    title: str
    sentence: str
    plot: Markup


def agreements(layer: LayerView) -> Sequence[Agreement]:
    """What the page of a layer says of its circuits."""
    circuits = list(layer.atlas.circuits.values())
    return [
        Agreement(
            title=title,
            sentence=sentence,
            plot=Markup(draw_agreement(checked(circuits, kind), title)),
        )
        for title, sentence, kind in circuit_sentences.agreement_sentences(circuits)
    ]
