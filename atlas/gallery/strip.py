"""The network as a strip: a picture for each layer, joined as the data flows, as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from .charts import coordinate, label_at, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One layer of the strip.

    Attributes:
        name, type: as in the layer table.
        height, width, channels: of its output.
        href: its page.
        picture, patch: thumbnails of its first unit; "" where there is none.
        elsewhere: the part of the atlas that shows it, where that is another one; else "".
    """

    name: str
    type: str
    height: int
    width: int
    channels: int
    href: str
    picture: str
    patch: str
    elsewhere: str = ""

    @property
    def extent(self) -> str:
        """Its height and width."""
        return f"{self.height}²" if self.width == self.height else f"{self.height}×{self.width}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Position of a node: its column from 0, and its lane among so many lanes."""

    node: Node
    column: int
    lane: int
    lanes: int


COLUMN, LANE, SIDE = 92, 92, 64
"""Distance between columns and between lanes, and the side of a node's picture."""


SKIPS = ("BasicBlock", "Bottleneck", "Residual", "CNBlock")
"""Parts of the type name of a residual stage: its input also goes past it."""


def branch_of(name: str) -> tuple[str, str] | None:
    """Parent and branch of a layer inside a parallel block: `a.branch2.0` → (`a`, `branch2`)."""
    parts = name.split(".")
    for at, part in enumerate(parts):
        if at and part.lower().startswith("branch"):
            return ".".join(parts[:at]), part
    return None


def arrange(nodes: Sequence[Node]) -> list[Position]:
    """Give every layer a column, in forward order, and every branch of one block its own lane."""
    places: list[Position] = []
    column = start = 0
    while start < len(nodes):
        block = branch_of(nodes[start].name)
        run = start + 1
        if block:
            while run < len(nodes) and (branch_of(nodes[run].name) or ("",))[0] == block[0]:
                run += 1
        lanes: dict[str, list[Node]] = {}
        for node in nodes[start:run]:
            lanes.setdefault((branch_of(node.name) or ("", ""))[1], []).append(node)
        for lane, members in enumerate(lanes.values()):
            for step, node in enumerate(members):
                places.append(
                    Position(node=node, column=column + step, lane=lane, lanes=len(lanes))
                )
        column += max(map(len, lanes.values()))
        start = run
    return places


def connections(places: Sequence[Position]) -> list[tuple[Position, Position]]:
    """Return the connections between nodes: along each lane, and from block to block."""
    pairs: list[tuple[Position, Position]] = []
    ends: list[Position] = []
    at = 0
    while at < len(places):
        lanes = places[at].lanes
        parent = (branch_of(places[at].node.name) or ("",))[0]
        group = [places[at]]
        while lanes > 1 and at + len(group) < len(places):
            following = places[at + len(group)]
            if following.lanes != lanes or (branch_of(following.node.name) or ("",))[0] != parent:
                break
            group.append(following)
        by_lane: dict[int, list[Position]] = {}
        for place in group:
            by_lane.setdefault(place.lane, []).append(place)
        for members in by_lane.values():
            pairs += [(end, members[0]) for end in ends]
            pairs += list(pairwise(members))
        ends = [members[-1] for members in by_lane.values()]
        at += len(group)
    return pairs


def layer_strip(nodes: Sequence[Node]) -> str:
    """The network from input to output: a picture for each layer, linked to its page.

    Args:
        nodes: in forward order.

    Returns:
        One `<svg>`, wide; "" without layers.
    """
    if not nodes:
        return ""
    places = arrange(nodes)
    width = COLUMN * (1 + max(place.column for place in places))
    lanes = max(place.lanes for place in places)
    middle = 46 + (lanes - 1) * LANE / 2
    body = "".join(wire(a, b, middle) for a, b in connections(places))
    body += "".join(skip(place, middle) for place in places)
    body += stages(places) + "".join(box(place, middle) for place in places)
    height = middle + (lanes - 1) * LANE / 2 + SIDE + 26
    size = f'width="{width}" height="{coordinate(height)}"'
    view = f'viewBox="0 0 {width} {coordinate(height)}"'
    return f'<svg class="strip" {view} {size} role="group" aria-label="Layers">{body}</svg>'


def corner(place: Position, middle: float) -> tuple[float, float]:
    """Upper left corner of a node."""
    x = place.column * COLUMN + (COLUMN - SIDE) / 2
    return x, middle + (place.lane - (place.lanes - 1) / 2) * LANE


def wire(first: Position, second: Position, middle: float) -> str:
    """A line from one node to the next."""
    x0, y0 = corner(first, middle)
    x1, y1 = corner(second, middle)
    x0, y0, y1 = x0 + SIDE, y0 + SIDE / 2, y1 + SIDE / 2
    turn, half = x1 - (COLUMN - SIDE), (COLUMN - SIDE) / 2
    bend = f"H{turn:.0f}C{turn + half:.0f} {y0:.0f} {x1 - half:.0f} {y1:.0f} {x1:.0f} {y1:.0f}"
    return f'<path class="wire" d="M{x0:.0f} {y0:.0f}{bend}"/>'


def skip(place: Position, middle: float) -> str:
    """The arc of a residual stage, past its node; "" for other types."""
    if not any(word in place.node.type for word in SKIPS):
        return ""
    x, y = corner(place, middle)
    gap = (COLUMN - SIDE) / 2
    arc = f"M{x - gap:.0f} {y + SIDE / 2:.0f}C{x - gap:.0f} {y - 22:.0f} "
    arc += f"{x + SIDE + gap:.0f} {y - 22:.0f} {x + SIDE + gap:.0f} {y + SIDE / 2:.0f}"
    return f'<path class="skip" d="{arc}"/>'


def stages(places: Sequence[Position]) -> str:
    """Above the strip, where the resolution changes: a line with the new one."""
    body, last, column = "", -1, -1
    for place in sorted(places, key=lambda place: (place.column, place.lane)):
        if place.column != column and place.node.height != last:
            column = place.column
            x = place.column * COLUMN + 4
            body += f'<path class="stage" d="M{x} 22V4H{x + 26}"/>'
            body += label_at(x + 6, 17, "tick", place.node.extent, "start")
            last = place.node.height
    return body


def box(place: Position, middle: float) -> str:
    """One node: picture, patch, name, channels; the whole of it a link."""
    node, (x, y) = place.node, corner(place, middle)
    at = f'x="{coordinate(x)}" y="{coordinate(y)}"'
    body = f'<rect class="node" {at} width="{SIDE}" height="{SIDE}" rx="3"/>'
    if node.picture:
        body += f'<image {at} width="{SIDE}" height="{SIDE}" href="{escape(node.picture)}"/>'
    if node.patch:
        inset = f'x="{coordinate(x + SIDE - 22)}" y="{coordinate(y + SIDE - 22)}"'
        body += f'<rect class="mat" {inset} width="24" height="24"/>'
        inset = f'x="{coordinate(x + SIDE - 20)}" y="{coordinate(y + SIDE - 20)}"'
        picture = f'<image {inset} width="20" height="20" preserveAspectRatio="xMidYMid slice" '
        body += f'{picture}href="{escape(node.patch)}"/>'
    named = (branch_of(node.name) or ("", ""))[1] and node.name.rsplit("branch", 1)[-1]
    name = f"branch{named}" if named else node.name
    name = name if len(name) <= 13 else f"{name[:4]}…{name[-8:]}"
    body += label_at(x + SIDE / 2, y + SIDE + 14, "name", name)
    label = f"{node.name}, {node.type}, {node.channels} channels, {node.height} by {node.width}"
    label += f", in {node.elsewhere}" if node.elsewhere else ""
    return f'<a href="{escape(node.href)}" aria-label="{text(label)}">{body}</a>'
