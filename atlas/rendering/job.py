"""What goes into the optimisation of a batch of units, and what comes out of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..records import LayerStats
from ..shapes import Picture, in_proportion, resize

CURVE_POINTS = 32
"""Values of the objective kept per rendering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One unit's picture before it is scored.

    Attributes:
        image: (C, H, W) float32 in [0, 1]; after a failure, the last finite one.
        snapshots: the image after each octave, (C, h, w) each.
        objective: (CURVE_POINTS or fewer,) float32, evenly spaced from the first to the last step.
        octave_steps: steps of each octave.
        finite: False if the objective or the image met NaN or infinity.
        silent: True if the image's gradient was zero at every step.
    """

    image: NDArray[np.float32]
    snapshots: tuple[NDArray[np.float32], ...]
    objective: NDArray[np.float32]
    octave_steps: tuple[int, ...]
    finite: bool
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The units of one layer that are rendered in one batch.

    Attributes:
        layer, channels: the units.
        seeds: one a unit.
        size: longer side of the finished pictures in pixels.
        natural: statistics of the layer, and of the other layers that the objective reads.
        start: (N, H, W, C) images to start from, or None for noise.
        rate: factor on the learning rate; below 1 after values that were not finite.
        precision: arithmetic of the network, e.g. "fp32".
        magnitude: (C, H, W//2+1) float32, mean magnitude of natural spectra; empty where unused.
        others: earlier pictures of the units that a facet is to differ from, each (N, H, W, C).
        attempt: how often the units were tried before, from 0; later ones are steeper in spectrum
            and less diverse.
    """

    layer: str
    channels: tuple[int, ...]
    seeds: tuple[int, ...]
    size: int
    natural: Mapping[str, LayerStats]
    start: Picture | None
    rate: float
    precision: str
    magnitude: NDArray[np.float32]
    others: tuple[NDArray[np.uint8], ...]
    attempt: int


class Log:
    """What is remembered of each unit while a batch is optimised; no step waits for it.

    Attributes:
        top: (N,) objective above the natural mean at which no gradient could move an image.
    """

    def __init__(self, units: int, device: torch.device) -> None:
        self.values: list[Tensor] = []
        self.images: list[Tensor] = []
        self.octave_steps: list[int] = []
        self.finite = torch.ones(units, dtype=torch.bool, device=device)
        self.ever_moved = torch.zeros(units, dtype=torch.bool, device=device)
        self.top = torch.full((units,), math.inf, device=device)

    def add(self, value: Tensor) -> None:
        self.values.append(value)
        self.finite &= torch.isfinite(value)

    def moved(self, moved: Tensor) -> None:
        self.ever_moved |= moved

    def stuck(self, value: Tensor, stuck: Tensor) -> None:
        above = stuck & (value > 0)
        self.top = torch.where(above, torch.minimum(self.top, value), self.top)

    def end_octave(self, steps: int, images: Tensor) -> None:
        self.octave_steps.append(steps)
        self.images.append(images.cpu())
        self.finite &= torch.isfinite(images).flatten(1).all(1)

    def drafts(self, size: int) -> list[Draft]:
        values = torch.stack(self.values).cpu().numpy().astype(np.float32)  # (T, N)
        points = np.linspace(0, len(values) - 1, min(CURVE_POINTS, len(values))).round().astype(int)
        curve = values[points]
        drafts = []
        for i in range(values.shape[1]):
            snapshots = tuple(images[i].numpy() for images in self.images)
            drafts.append(
                Draft(
                    image=last_finite(snapshots, size),
                    snapshots=snapshots,
                    objective=np.ascontiguousarray(curve[:, i]),
                    octave_steps=tuple(self.octave_steps),
                    finite=bool(self.finite[i]),
                    silent=not bool(self.ever_moved[i]),
                )
            )
        return drafts


def has_gradient(gradients: Tensor) -> Tensor:
    """(N,) whether an image has any gradient; NaN is one, and shows that something is wrong."""
    return gradients.flatten(1).abs().amax(1) != 0


def last_finite(snapshots: Sequence[NDArray[np.float32]], size: int) -> NDArray[np.float32]:
    """The last snapshot without NaN at the full size, or mid-grey where there is none."""
    final = snapshots[-1]
    if np.isfinite(final).all():
        return final
    for snapshot in reversed(snapshots):
        if np.isfinite(snapshot).all():
            side = max(size, *final.shape[1:])
            shape = in_proportion(side, (final.shape[1], final.shape[2]))
            image = resize(snapshot.transpose(1, 2, 0), shape, cv2.INTER_CUBIC)
            return np.ascontiguousarray(image.clip(0, 1).transpose(2, 0, 1), np.float32)
    return np.full_like(final, 0.5)
