"""From derivatives to links: numbers of channels, and which of them are the largest."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.network import spatial_mean
from ..records.circuits import Link

LISTED = 5
"""Links of each kind and direction that are kept."""

Rows = dict[str, NDArray[np.float64]]
"""Layer → a number for each of its channels."""


def zeros_for(slope: Tensor | None, leaf: Tensor) -> Tensor:
    """A derivative; zero where there is none."""
    return torch.zeros_like(leaf) if slope is None else slope


def over_places(values: Tensor) -> NDArray[np.float64]:
    """(1, C, H, W) → (C,) sums over the places."""
    return values.double().sum((0, 2, 3)).cpu().numpy()


def as_row(maps: Tensor) -> NDArray[np.float64]:
    """(1, C, H, W) → (C,) spatial means."""
    return spatial_mean(maps)[0].double().cpu().numpy()


def average(rows: Sequence[Rows]) -> Rows:
    """Layer → mean of its rows."""
    return {name: np.asarray(np.mean([one[name] for one in rows], 0)) for name in rows[0]}


def extremes(effects: NDArray[np.float64], finite: NDArray[np.bool_]) -> list[int]:
    """The channels of a layer with the largest effects of each sign, ties by channel."""
    usable = np.where(finite & np.isfinite(effects), effects, 0)
    rises = [int(one) for one in np.argsort(-usable, kind="stable")[:LISTED] if usable[one] > 0]
    falls = [int(one) for one in np.argsort(usable, kind="stable")[:LISTED] if usable[one] < 0]
    return [*rises, *falls[::-1]]


def strongest(links: Iterable[Link]) -> tuple[Link, ...]:
    """The links of the largest effects of each sign, the greatest first and the least last."""
    order = sorted(links, key=lambda link: -link.effect)
    return (
        *[link for link in order if link.effect > 0][:LISTED],
        *[link for link in order if link.effect < 0][-LISTED:],
    )
