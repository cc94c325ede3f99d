"""Circuits: which units feed a unit, which ones it feeds, which classes it raises and lowers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["fed_by", "feeds", "classes"]
KINDS: tuple[Kind, ...] = get_args(Kind)

NO_KERNEL = np.zeros((0, 0), np.float32)
"""The kernel between two units that no single convolution joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A unit or class on one end of a connection; numbers are means over the images of a circuit.

    Attributes:
        layer, channel: which it is.
        effect: predicted by derivatives: how much more there is of the one fed than if the feeding
            unit were at its mean. In units of the one fed, for `feeds` over its spread.
        change: the same by ablation: how much is lost where the feeding unit is set to its mean.
            NaN where it was not checked.
        product: gradient × activation of a unit that feeds this one; NaN for others.
        kernel: (k, k) float32, weights of the one convolution between them; (0, 0) where there is
            none.
    """

    layer: str
    channel: int
    effect: float
    change: float = math.nan
    product: float = math.nan
    kernel: NDArray[np.float32] = field(default_factory=lambda: NO_KERNEL, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What surrounds one unit, on the images that excite it most.

    Attributes:
        channel: of its layer.
        images: indices of the sample images.
        activation: mean over them of the activation at its peak.
        error: share of that which contributions, means and constants do not add up to; NaN where
            nothing feeds it.
        links: of each kind first those that raise, most first, then those that lower, most last.
        reasons: kind → why it has no links.
    """

    channel: int
    images: tuple[int, ...]
    activation: float
    error: float
    links: Mapping[Kind, tuple[Link, ...]]
    reasons: Mapping[Kind, str]

    def of(self, kind: Kind) -> tuple[Link, ...]:
        """The links of a kind."""
        return self.links.get(kind, ())


def checked(circuits: Iterable[Circuit], kind: Kind) -> list[tuple[float, float]]:
    """Predicted and true effect of every link of a kind that was checked by ablation."""
    links = (link for one in circuits for link in one.of(kind))
    return [(one.effect, one.change) for one in links if math.isfinite(one.change)]


def agreement(pairs: list[tuple[float, float]]) -> float:
    """Pearson correlation of predicted and true effects; NaN for fewer than three or equal ones."""
    if len(pairs) < 3:
        return math.nan
    deviations = np.array(pairs, np.float64) - np.mean(pairs, 0)
    lengths = np.sqrt((deviations**2).sum(0))
    if not lengths.all():
        return math.nan
    return float((deviations[:, 0] * deviations[:, 1]).sum() / lengths.prod())
