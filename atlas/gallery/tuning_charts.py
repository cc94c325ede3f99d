"""Tuning curves as inline SVG: circles for what goes around, lines for what goes along."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..records.tuning import Curve
from .charts import coordinate, label_at, svg
from .text import number

SIDE = 170
RADIUS = 62
"""Inner size of a round chart, and the radius of its rim, which is the largest response."""

WIDTH, TOP, BOTTOM = 190, 16, 128
LEFT, RIGHT = 10, 180
"""Inner size of a chart of a line, and the ends of its axes."""

Point = tuple[float, float]


def orientation_chart(curve: Curve, preferred: float, label: str) -> str:
    """Draw responses by orientation around a circle, twice: stripes turned by 180° are the same.

    Args:
        curve: of one unit.
        preferred: orientation in degrees, marked by a line that lies as the stripes do; NaN: none.
        label: the picture in words.
    """
    angles = np.concatenate([curve.at, curve.at + 180])
    body = polygon(angles, np.tile(curve.responses, 2))
    if math.isfinite(preferred):
        body += spoke(preferred, RADIUS) + spoke(preferred + 180, RADIUS)
    for degrees in (0, 45, 90, 135):
        x, y = around(degrees, RADIUS + 13)
        anchor = {0: "start", 45: "start", 90: "middle", 135: "end"}[degrees]
        body += label_at(
            x - 6 * (anchor == "start") + 6 * (anchor == "end"),
            y + 4,
            "tick",
            f"{degrees}°",
            anchor,
        )
    return svg(SIDE, SIDE, "polar", label, body + rim(curve))


def hue_chart(curve: Curve, preferred: float, label: str) -> str:
    """Draw how far hues raise a unit, around a circle of these hues; see `orientation_chart`."""
    body = polygon(curve.at, np.maximum(curve.responses, 0))
    if math.isfinite(preferred):
        body += spoke(preferred, RADIUS)
    for hue in curve.at.tolist():
        x, y = around(hue, RADIUS + 10)
        body += dot(x, y, 5, colour(hue))
    return svg(SIDE, SIDE, "polar", label, body + rim(curve))


def frequency_chart(curve: Curve, preferred: float, cycles: float, label: str) -> str:
    """Draw responses over the logarithm of the frequency.

    Args:
        curve: of one unit.
        preferred: frequency in cycles per pixel, marked; NaN for none.
        cycles: pixels of the shorter side of the input: cycles per input for one per pixel.
        label: the picture in words.
    """
    places = np.log(curve.at)
    ends = float(places[0]), float(places[-1])
    body = line(spread(places, ends), heights(curve.responses))
    if math.isfinite(preferred):
        (x,) = spread(np.array([math.log(preferred)]), ends)
        anchor = "start" if x < 40 else "end" if x > WIDTH - 40 else "middle"
        body += f'<path class="mark" d="M{coordinate(x)} {TOP}V{BOTTOM}"/>'
        body += label_at(x, TOP - 4, "mark", number(preferred * cycles), anchor)
    body += axis(number(float(curve.at[0]) * cycles), number(float(curve.at[-1]) * cycles))
    return svg(WIDTH, SIDE, "line", label, body + axis_name("cycles per input"))


def luminance_chart(curve: Curve, label: str) -> str:
    """Draw what plain pictures change, from black to white, around the line of mean grey."""
    x, y = spread(curve.at, (0.0, 1.0)), heights(np.append(curve.responses, 0))
    body = f'<path class="border" d="M{LEFT} {coordinate(y[-1])}H{RIGHT}"/>'
    body += line(x, y[:-1])
    for place, level, height in zip(x, curve.at.tolist(), y, strict=False):
        body += dot(place, height, 4, hexadecimal([level] * 3))
    return svg(WIDTH, SIDE, "line", label, body + axis("black", "white") + axis_name("luminance"))


# --- round --------------------------------------------------------------------------------------


def around(degrees: float, radius: float) -> Point:
    """The point of a round chart at an angle, counter-clockwise from the right."""
    angle = math.radians(degrees)
    return SIDE / 2 + radius * math.cos(angle), SIDE / 2 - radius * math.sin(angle)


def polygon(degrees: NDArray[np.float32], responses: NDArray[np.float32]) -> str:
    """The closed curve of responses, the largest at the rim."""
    shares = responses / (float(responses.max(initial=0)) or 1.0)
    points = [around(at, RADIUS * share) for at, share in zip(degrees, shares, strict=True)]
    return f'<polygon class="area" points="{joined(points)}"/>'


def rim(curve: Curve) -> str:
    """The circle around, and in the corner the response that it stands for."""
    middle, top = SIDE / 2, float(curve.responses.max(initial=0))
    circle = f'<circle class="rim" cx="{middle:g}" cy="{middle:g}" r="{RADIUS}"/>'
    return circle + label_at(SIDE, SIDE - 2, "tick", f"rim {number(max(top, 0))}", "end")


def spoke(degrees: float, radius: float) -> str:
    """A marked line from the middle."""
    x, y = around(degrees, radius)
    return f'<path class="mark" d="M{SIDE / 2:g} {SIDE / 2:g}L{coordinate(x)} {coordinate(y)}"/>'


def colour(hue: float) -> str:
    """A hue as its stimulus shows it, on the circle of equal means."""
    shares = [0.5 + 0.35 * math.cos(math.radians(hue - own)) for own in (0, 120, 240)]
    return hexadecimal(shares)


def hexadecimal(shares: Sequence[float]) -> str:
    """Red, green and blue from 0 to 1 as `#rrggbb`."""
    return "#" + "".join(f"{round(255 * share):02x}" for share in shares)


def dot(x: float, y: float, radius: float, fill: str) -> str:
    """A disc of a colour of its own: that of a stimulus, in light and dark alike."""
    place = f'cx="{coordinate(x)}" cy="{coordinate(y)}"'
    return f'<circle class="dot" {place} r="{radius}" fill="{fill}"/>'


# --- along ----------------------------------------------------------------------------------------


def spread(values: NDArray[np.floating], ends: tuple[float, float]) -> list[float]:
    """Values between two ends as positions across."""
    low, high = ends
    places: list[float] = (LEFT + (values - low) / (high - low) * (RIGHT - LEFT)).tolist()
    return places


def heights(values: NDArray[np.float32]) -> list[float]:
    """Responses as positions down, 0 among them, the largest at the top."""
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    places: list[float] = (BOTTOM - (values - low) / ((high - low) or 1) * (BOTTOM - TOP)).tolist()
    return places


def line(x: Sequence[float], y: Sequence[float]) -> str:
    """A line through points."""
    return f'<polyline class="curve" points="{joined(list(zip(x, y, strict=True)))}"/>'


def joined(points: Sequence[Point]) -> str:
    """Points as SVG lists them."""
    return " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)


def axis(low: str, high: str) -> str:
    """The horizontal axis with words at its two ends."""
    shape = f'<path class="axis" d="M{LEFT} {BOTTOM}.5H{RIGHT}"/>'
    start = label_at(LEFT, BOTTOM + 16, "tick", low, "start")
    return shape + start + label_at(RIGHT, BOTTOM + 16, "tick", high, "end")


def axis_name(name: str) -> str:
    """What a horizontal axis shows."""
    return label_at((LEFT + RIGHT) / 2, BOTTOM + 32, "tick", name)
