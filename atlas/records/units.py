"""A unit, and the picture that was made of it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["ok", "weak", "dead", "nonfinite", "failed"]

Start = Literal["noise", "example"]

CHANGES = 8
"""Fixed transforms under which every picture is scored again."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Unit:
    """One channel of one layer, written `inception4a:225`."""

    layer: str
    channel: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Measures of how far to trust a rendering, taken on its finished 8-bit image.

    Attributes:
        activation: spatial mean of the unit on the rendering.
        reach: (activation − mean) / (max − mean) over the sample images; 1 = as good as the best.
        select: rank of the unit among its layer's channels by standardised activation, from 1.
        robust: median over 8 fixed transforms of reach(transformed) / reach.
        hf: share of energy above .25 cycles per pixel, over the natural median.
        ranks: `select` under each of the eight transforms; zeros where not measured.
        confidence: probability that the classifier gives the picture; NaN but for classes.

    For classes `select` and `ranks` go by the score itself: 1 is top-1, up to 5 is top-5.
    """

    activation: float
    reach: float
    select: int
    robust: float
    hf: float
    ranks: tuple[int, ...] = (0,) * CHANGES
    confidence: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The finished image of a unit by one recipe, and how it came about.

    Attributes:
        unit: what it shows.
        recipe: the recipe's name, with its variant where there is one.
        image: (3, H, W) float16 RGB in [0, 1]; (C, H, W) for networks of 2 or more than 3 channels.
        snapshots: (O, C, h, w) float16, the image after each octave; O = 0 where not kept.
        status: see `scoring.judge`; `reason` says in words why it is not "ok" ("" when it is).
        scores: measured on the 8-bit rounding of `image`.
        objective: (T,) float32, value of the objective at evenly spaced steps, first to last.
        octave_steps: steps of each octave, so that the curve can be divided.
        seed: of this rendering's generator, derived from unit, weights, recipe and --seed.
        start: what the optimisation started from.
        attempts: renderings tried for this unit until this one was kept.
        seconds: wall time per unit of the batch it was rendered in.
        precision: arithmetic of the network during optimisation, e.g. "fp32".
    """

    unit: Unit
    recipe: str
    image: NDArray[np.float16]
    snapshots: NDArray[np.float16]
    status: Status
    reason: str
    scores: Scores
    objective: NDArray[np.float32]
    octave_steps: tuple[int, ...]
    seed: int
    start: Start
    attempts: int
    seconds: float
    precision: str
