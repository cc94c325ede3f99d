"""The request for pictures of some units, and what an optimisation makes of it.

A `Job` goes from the worker down to the optimisation of a batch; on the way `attempts.py` takes
units out of it and counts its attempts. A `Draft` comes back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..files.digests import fingerprint
from ..images.tensors import decode_square
from ..records.maps import Directions
from ..records.statistics import LayerStats
from ..records.units import Start, Unit
from ..shapes import Picture, in_proportion, resize
from .kinds import Recipe, digest

CURVE_POINTS = 32
"""Values of the objective kept per rendering."""

R = TypeVar("R", bound=Recipe, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """Facts about real images that all jobs of a run share.

    Attributes:
        stats: statistics of the layers to be rendered and of their companions, in forward order.
        companions: names of the building blocks, whose company a unit keeps.
        training: (N,) which of the images behind the statistics pictures may be made with; the
            others judge them.
        hf: median share of high-frequency energy.
        magnitude: (C, H, W//2+1) float32, mean magnitude of the sample images' spectra at contrast
            1 and the size of the pictures; empty where no recipe needs it.
    """

    stats: Mapping[str, LayerStats]
    companions: tuple[str, ...]
    training: NDArray[np.bool_]
    hf: float
    magnitude: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[R]):
    """Units of one layer to be rendered by one recipe.

    Attributes:
        recipe: how.
        layer, channels: the units.
        parent: the layer that theirs is a dictionary of; "" where it is none.
        size: longer side of the finished pictures in pixels.
        seed: of the whole atlas.
        weights: SHA-256 of the network's weights, on which seeds depend.
        batch: largest number of units optimised together.
        precision: arithmetic of the network, e.g. "fp32".
        nature: what real images say.
        examples: channel → the sample image that excites it most: of colours a JPEG, else its
            pixels (H, W, C).
        earlier: channel → pictures (H, W, C) uint8 that a facet is to differ from; channels of
            which one has failed are left out.
        aside: channel → (T,) which of the images of `nature.training` belong to other meanings of
            the unit than the one that is to be shown.
        directions: of a layer's map, whose cells are the `channels` then.
        snapshots: keep the picture after each octave.
        attempt: how often the units were tried before, from 0; later ones are steeper in spectrum
            and less diverse.
        loosened: how many of these times real images excited them more than the picture did: each
            time they keep less company instead of being steeper.
        start: from noise, or from the `examples`.
        rate: factor on the learning rate; below 1 after values that were not finite.
    """

    recipe: R
    layer: str
    channels: tuple[int, ...]
    size: int
    seed: int
    weights: str
    batch: int
    precision: str
    nature: Nature
    examples: Mapping[int, bytes | Picture]
    earlier: Mapping[int, Sequence[NDArray[np.uint8]]]
    parent: str = ""
    aside: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    directions: Directions | None = None
    snapshots: bool = False
    attempt: int = 0
    loosened: int = 0
    start: Start = "noise"
    rate: float = 1.0

    @property
    def units(self) -> list[Unit]:
        """One a channel."""
        return [Unit(layer=self.layer, channel=channel) for channel in self.channels]

    @property
    def stats(self) -> LayerStats:
        """Statistics of the layer."""
        return self.nature.stats[self.layer]

    @property
    def natural(self) -> dict[str, LayerStats]:
        """Statistics of all layers that the recipe reads, in forward order."""
        counted = {*self.nature.companions, self.layer, self.parent}
        order = [name for name in self.nature.stats if name in counted]
        names = self.recipe.layers_read(self.layer, order)
        return {name: self.nature.stats[name] for name in names}

    @property
    def seeds(self) -> list[int]:
        """One a unit: 63 bits from (weights, unit, recipe, size, seed, attempt), nothing else.

        A direction starts as the channel of its number, so that both are the same where they are.
        """
        parts = [digest(self.recipe), self.size, self.seed, self.attempt]
        units = [replace(unit, layer=self.parent or self.layer) for unit in self.units]
        return [int(fingerprint([self.weights, str(unit), *parts])[:16], 16) >> 1 for unit in units]

    def generators(self) -> list[torch.Generator]:
        """One a unit, from its seed."""
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def example(self, channel: int) -> Picture:
        """Pixels (H, W, C) of the sample image that excites a channel most."""
        image = self.examples[channel]
        return decode_square(image) if isinstance(image, bytes) else image

    def earlier_rounds(self) -> list[tuple[NDArray[np.uint8], ...]]:
        """The earlier pictures, recipe by recipe, each for all units.

        Raises:
            ValueError: one of them has failed.
        """
        if any(channel not in self.earlier for channel in self.channels):
            raise ValueError("a picture that it is to differ from has failed")
        return list(zip(*(self.earlier[channel] for channel in self.channels), strict=True))


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


class Log:
    """Values recorded of each unit while a batch is optimised; no step waits for them.

    Attributes:
        top: (N,) objective above the natural mean at which no gradient could move an image.
    """

    def __init__(self, units: int, device: torch.device) -> None:
        self.values: list[Tensor] = []
        self.images: list[Tensor] = []
        self.octave_steps: list[int] = []
        self.ever_moved = torch.zeros(units, dtype=torch.bool, device=device)
        self.top = torch.full((units,), math.inf, device=device)

    @property
    def state(self) -> list[Tensor]:
        """Everything that a step changes but the values."""
        return [self.ever_moved, self.top]

    def add(self, value: Tensor) -> None:
        self.values.append(value)

    def take_back(self, steps: int) -> None:
        del self.values[-steps:]

    def moved(self, moved: Tensor) -> None:
        self.ever_moved |= moved

    def stuck(self, value: Tensor, stuck: Tensor) -> None:
        above = stuck & (value > 0)
        self.top.copy_(torch.where(above, torch.minimum(self.top, value), self.top))

    def end_octave(self, steps: int, images: Tensor) -> None:
        self.octave_steps.append(steps)
        self.images.append(images.cpu())

    def drafts(self, size: int) -> list[Draft]:
        values = torch.stack(self.values).cpu().numpy().astype(np.float32)  # (T, N)
        finite = np.asarray(np.isfinite(values).all(axis=0))
        silent = (~self.ever_moved).tolist()
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
                    finite=bool(finite[i]) and all(np.isfinite(one).all() for one in snapshots),
                    silent=silent[i],
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
