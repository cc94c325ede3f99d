"""Charts as inline SVG: histograms, the curve of an optimisation, the network as a strip.

The pages forbid inline styles, so shapes carry classes and `atlas.css` gives them colour; that is
also what makes them follow light and dark. Text of others is escaped here. Each function returns
markup of one `<svg>` element whose `aria-label` says in words what it shows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from .text import number, shown

WIDTH, HEIGHT = 480, 150
FLOOR = 118
"""Inner size of a chart, and the height of its horizontal axis."""

MARGIN, SPAN = 8, WIDTH - 16
"""Left end and length of a horizontal axis."""

BINS = 40

LETTER = 7
"""Width of a letter of a chart."""


def svg(width: float, height: float, kind: str, label: str, body: str, role: str = "img") -> str:
    """An `<svg>` that scales with its column and reads as one picture, or as a group of links."""
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {coordinate(width)} {coordinate(height)}" '
        f'width="{coordinate(width)}" height="{coordinate(height)}" role="{role}" '
        f'aria-label="{text(label)}">{body}</svg>'
    )


def coordinate(value: float) -> str:
    """A coordinate with one decimal, without a trailing zero."""
    return f"{value:.1f}".removesuffix(".0")


def text(value: str) -> str:
    """Text of others, harmless inside markup."""
    return escape(shown(value))


def label_at(x: float, y: float, kind: str, content: str, anchor: str = "middle") -> str:
    """A piece of text in a chart."""
    place = f'x="{coordinate(x)}" y="{coordinate(y)}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{text(content)}</text>'


def bars(counts: NDArray[np.int64]) -> str:
    """Bars whose height grows with the logarithm of a count, so that one image is still seen."""
    top = max(1.0, math.log1p(int(counts.max(initial=0))))
    step = SPAN / max(1, len(counts))
    shapes = []
    for place, count in enumerate(counts.tolist()):
        if count:
            tall = max(2.0, (FLOOR - 22) * math.log1p(count) / top)
            x, y = coordinate(MARGIN + place * step), coordinate(FLOOR - tall)
            size = f'width="{coordinate(max(1.0, step - 1))}" height="{coordinate(tall)}"'
            shapes.append(f'<rect x="{x}" y="{y}" {size}><title>{count}</title></rect>')
    return "".join(shapes)


def axis(low: str, high: str) -> str:
    """The horizontal axis with words at its two ends."""
    line = f'<path class="axis" d="M{MARGIN} {FLOOR}.5H{MARGIN + SPAN}"/>'
    start = label_at(MARGIN, FLOOR + 16, "tick", low, "start")
    return line + start + label_at(MARGIN + SPAN, FLOOR + 16, "tick", high, "end")


def histogram(
    counts: NDArray[np.int64],
    ends: tuple[float, float],
    marks: Iterable[tuple[str, float]],
    axis_name: str,
    label: str,
) -> str:
    """Bars between two ends of an axis, and lines at marked values.

    Args:
        counts: of each bar.
        ends: of the axis.
        marks: word and value of each line.
        axis_name: what the values are.
        label: the picture in words.
    """
    low, high = ends
    body = bars(counts) + axis(number(low), number(high))
    for row, (name, value) in enumerate(marks):
        body += mark(MARGIN + (value - low) / (high - low) * SPAN, name, row)
    body += label_at(WIDTH / 2, HEIGHT - 2, "tick", axis_name)
    return svg(WIDTH, HEIGHT, "histogram", label, body)


def mark(x: float, content: str, row: int = 0) -> str:
    """A vertical line with a word at its top, kept inside the chart."""
    anchor = "start" if x < 60 else "end" if x > WIDTH - 60 else "middle"
    line = f'<path class="mark" d="M{coordinate(x)} {16 + 12 * row}V{FLOOR}"/>'
    return line + label_at(x, 12 + 12 * row, "mark", content, anchor)


def activation_histogram(
    values: NDArray[np.float32], renderings: Sequence[tuple[str, float]], axis_name: str
) -> str:
    """Draw a unit's histogram of activations over the natural images, its renderings marked.

    Args:
        values: (N,) activation on each natural image; what is not finite is left out.
        renderings: recipe and the activation on its rendering.
        axis_name: what `values` are.
    """
    finite = values[np.isfinite(values)]
    marks = [(name, value) for name, value in renderings if math.isfinite(value)]
    if not len(finite):
        return svg(WIDTH, HEIGHT, "histogram", "No finite activation on any natural image.", "")
    low = float(min([finite.min(), *(value for _, value in marks)]))
    high = float(max([finite.max(), *(value for _, value in marks)]))
    if high - low < 1e-6 * max(abs(low), abs(high), 1e-30):  # bins need room between numbers
        low, high = low - 0.5, low + 0.5
    counts = np.histogram(finite, BINS, (low, high))[0]
    said = "; ".join(f"{name} at {number(value)}" for name, value in marks)
    label = f"Activations of {len(finite)} natural images from {number(float(finite.min()))} to "
    label += number(float(finite.max())) + (f"; rendering {said}" if said else "")
    return histogram(counts, (low, high), marks, axis_name, label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Values up to one and above that of the next interval, as a histogram shows them.

    Attributes:
        name: short, above the bars.
        label: in words.
        link: where they lead.
        value: the largest of them.
    """

    name: str
    label: str
    link: str
    value: float


def interval_histogram(
    values: NDArray[np.float32], intervals: Sequence[Interval], axis_name: str
) -> str:
    """Draw a histogram whose bars link to something about their interval.

    A bar with values of several intervals leads to the one that most of them are in.

    Args:
        values: (N,) finite, N > 0.
        intervals: the highest first; the first one begins at the maximum of the values.
        axis_name: what the values are.
    """
    low, high = float(values.min()), float(values.max())
    ends = (low, high) if high > low else (low - 0.5, low + 0.5)
    borders = np.array([one.value for one in reversed(intervals)], np.float32)
    owner = len(intervals) - 1 - np.searchsorted(borders, values)
    place = np.clip((values - ends[0]) / (ends[1] - ends[0]) * BINS, 0, BINS - 1).astype(int)
    shape = len(intervals), BINS
    table = np.bincount(owner * BINS + place, minlength=shape[0] * BINS).reshape(shape)
    counts, owned = table.sum(0), table.argmax(0) == np.arange(len(intervals))[:, None]
    body = "".join(
        interval_link(one, np.where(own, counts, 0), int(counts.max()))
        for one, own in zip(intervals, owned, strict=True)
    )
    body += axis(number(ends[0]), number(ends[1]))
    body += label_at(WIDTH / 2, HEIGHT - 2, "tick", axis_name)
    label = f"Histogram of {len(values)} values from {number(low)} to {number(high)}: {axis_name}"
    return svg(WIDTH, HEIGHT, "histogram", label, body, "group")


def interval_link(interval: Interval, counts: NDArray[np.int64], largest: int) -> str:
    """The bars of an interval as a link, its name above them where there is room; "" without any.

    Args:
        interval: the interval.
        counts: of each bar, 0 for those of other intervals.
        largest: count of the tallest bar of all.
    """
    filled = np.flatnonzero(counts)
    if not len(filled):
        return ""
    step = SPAN / BINS
    left, right = (MARGIN + step * end for end in (filled[0], filled[-1] + 1))
    tall = (FLOOR - 22) * np.log1p(counts) / math.log1p(largest)
    bars = "".join(
        f"M{coordinate(MARGIN + place * step)} {FLOOR}v-{coordinate(max(2.0, tall[place]))}"
        f"h{coordinate(step - 1)}V{FLOOR}"
        for place in filled.tolist()
    )
    room = f"M{coordinate(left)} 0H{coordinate(right)}V{FLOOR}H{coordinate(left)}"
    body = f'<path class="room" d="{room}"/><path d="{bars}"/>'
    if right - left > LETTER * len(interval.name):
        body += label_at((left + right) / 2, 12, "tick", interval.name)
    address = f'href="{escape(interval.link)}" aria-label="{text(interval.label)}"'
    return f"<a {address}>{body}</a>"


REACH_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, math.inf)
"""Borders of the bins of `reach_histogram`: fine around 1, where a picture becomes good enough."""


def reach_histogram(reaches: Sequence[float]) -> str:
    """Draw the histogram of the REACH of a layer's renderings; bars left of 1 are weak.

    Args:
        reaches: REACH of each rendering; negative counts as 0, not finite is left out.
    """
    finite = np.array([max(0.0, value) for value in reaches if math.isfinite(value)])
    counts = np.histogram(finite, np.array(REACH_EDGES))[0].tolist()
    top = max(1, *counts)
    shapes = []
    for place, count in enumerate(counts):
        tall = 40 * count / top
        kind = "low" if REACH_EDGES[place] < 1 else "high"
        shape = f'x="{place * 14 + 2}" y="{coordinate(46 - tall)}" height="{coordinate(tall)}"'
        between = f"REACH {REACH_EDGES[place]:g} to {REACH_EDGES[place + 1]:g}: {count}"
        shapes.append(f'<rect class="{kind}" {shape} width="12"><title>{between}</title></rect>')
    shapes.append('<path class="axis" d="M0 46.5H158"/>')
    for place, name in ((0, "0"), (4, "1"), (6, "2"), (8, "4"), (10, "8")):
        shapes.append(label_at(place * 14 + 1, 58, "tick", name))
    low = sum(counts[:4])
    label = f"REACH of {len(finite)} renderings: {low} below 1, {len(finite) - low} at 1 or above"
    return svg(158, 62, "reach", label, "".join(shapes))


def octave_curve(objective: NDArray[np.float32], octave_steps: Sequence[int]) -> str:
    """The objective from the first step to the last, octaves divided by lines.

    Args:
        objective: (T,) values at evenly spaced steps.
        octave_steps: steps of each octave.
    """
    values = np.where(np.isfinite(objective), objective, np.nan).astype(float)
    if len(values) < 2 or np.isnan(values).all():
        return ""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    spread = high - low if high > low else 1.0
    x = np.linspace(MARGIN, MARGIN + SPAN, len(values))
    y = FLOOR - 4 - (values - low) / spread * (FLOOR - 26)
    dots = [f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if not math.isnan(b)]
    total, body = max(1, sum(octave_steps)), ""
    for place, before in enumerate(np.cumsum([0, *octave_steps[:-1]]).tolist()):
        start = MARGIN + before / total * SPAN
        body += f'<path class="border" d="M{coordinate(start)} 4V{FLOOR}"/>' if place else ""
        body += label_at(start + 4, 13, "tick", f"octave {place + 1}", "start")
    body += f'<polyline class="curve" points="{" ".join(dots)}"/>'
    body += label_at(MARGIN + SPAN, FLOOR - 6, "tick", f"lowest {number(low)}", "end")
    body += label_at(MARGIN, 26, "tick", f"highest {number(high)}", "start")
    body += axis("step 0", f"step {sum(octave_steps)}")
    label = f"Objective over {sum(octave_steps)} steps, from {number(values[0])} to "
    return svg(WIDTH, HEIGHT, "octaves", label + number(values[-1]), body)
