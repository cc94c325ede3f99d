"""Charts of circuits as inline SVG: kernels, and predictions against what ablation found."""

from collections.abc import Sequence

import numpy as np

from .charts import coordinate, svg
from .heatmaps import paint
from .text import number

CELL = 6
"""Side of one weight of a kernel."""

SIDE, EDGE = 150, 8
"""Side of a plot of predictions, and what is left free around its points."""


def draw_kernel(kernel: Sequence[Sequence[float]], scale: float) -> str:
    """Draw the weights of a kernel, zero black, the largest of its list in the lightest colour.

    Args:
        kernel: rows of weights.
        scale: the largest absolute weight that is to be compared with it.
    """
    weights = np.array(kernel)
    colours = paint(weights / (scale or 1))
    height, width = weights.shape
    cells = "".join(
        f'<rect x="{CELL * x}" y="{CELL * y}" width="{CELL}" height="{CELL}" '
        f'fill="#{bytes(colours[y, x]).hex()}"/>'
        for y in range(height)
        for x in range(width)
    )
    low, high = number(float(weights.min())), number(float(weights.max()))
    label = f"Kernel {height} × {width}, weights from {low} to {high}"
    return svg(CELL * width, CELL * height, "kernel", label, cells)


def draw_agreement(pairs: Sequence[tuple[float, float]], title: str) -> str:
    """Draw predicted (across) and true effects (up) of links; a line where both are equal."""
    points = np.array(pairs, np.float64)
    reach = float(np.abs(points).max()) or 1.0
    places = EDGE + (SIDE - 2 * EDGE) * (points / reach + 1) / 2
    dots = "".join(
        f'<circle cx="{coordinate(x)}" cy="{coordinate(SIDE - y)}" r="2"/>' for x, y in places
    )
    low, middle, high = EDGE, SIDE // 2, SIDE - EDGE
    frame = (
        f'<path class="axis" d="M{low} {middle}H{high}M{middle} {low}V{high}"/>'
        f'<path class="border" d="M{low} {high}L{high} {low}"/>'
    )
    label = f"{title}: predicted and true effects of {len(pairs)} links, up to {number(reach)}"
    return svg(SIDE, SIDE, "agreement", label, frame + dots)
