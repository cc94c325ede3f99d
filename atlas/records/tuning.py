"""Responses of the channels of a layer to synthetic stimuli, and what they prefer."""

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

StimulusKind = Literal[
    "grating",
    "luminance",
    "corner",
    "curve",
    "dots",
    "checkers",
    "noise",
    "hue",
    "isoluminant hue",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stimulus:
    """A synthetic picture of which everything is known; NaN stands for what its kind has not.

    Attributes:
        kind: what it shows.
        orientation: degrees from 0 to 180, counter-clockwise: of stripes, 0 for level ones, 90 for
            upright ones; of a corner, from 0 to 360: where it opens to, 0 to the right.
        frequency: of stripes, in cycles per pixel.
        phase: of stripes, in degrees.
        size: in pixels: radius of curves and dots (negative for dark ones), side of checkers.
        opening: of a corner, in degrees.
        level: of luminance, from 0 (black) to 1 (white).
        hue: in degrees, 0 red, 120 green, 240 blue.
        seed: of noise.
    """

    kind: StimulusKind
    orientation: float = math.nan
    frequency: float = math.nan
    phase: float = math.nan
    size: float = math.nan
    opening: float = math.nan
    level: float = math.nan
    hue: float = math.nan
    seed: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """Maps of every channel of one layer on S stimuli, summarised (C channels).

    Attributes:
        layer: its name.
        means: (S, C) float16, spatial mean over `scale`; zeros where any value was not finite.
        deviations: (S, C) float16, spatial standard deviation over `scale`.
        scale: (C,) float32.
    """

    layer: str
    means: NDArray[np.float16]
    deviations: NDArray[np.float16]
    scale: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Responses along one property of the stimuli.

    Attributes:
        at: (P,) float32, its values.
        responses: (P, C), or (P,) of one channel, float32.
    """

    at: NDArray[np.float32]
    responses: NDArray[np.float32]

    def of(self, channel: int) -> "Curve":
        """The curve of one channel."""
        return Curve(at=self.at, responses=np.ascontiguousarray(self.responses[:, channel]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What channels prefer, (C,) float32 each; NaN where a channel has no preference.

    Attributes:
        orientation: of stripes, in degrees from 0 (level) to 180; 90 is upright.
        orientation_selectivity: from 0 (all alike) to 1 (one only).
        frequency: of stripes, in cycles per pixel.
        cycles: the same in cycles per input, along its shorter side.
        hue: in degrees, 0 red, 120 green, 240 blue.
        hue_selectivity: as of the orientation.
        colour: from −1 (colours alone count, and lower it) over 0 (they do not count) to 1.
        luminance: from −1 (the darker the higher) to 1 (the brighter the higher).
    """

    orientation: NDArray[np.float32]
    orientation_selectivity: NDArray[np.float32]
    frequency: NDArray[np.float32]
    cycles: NDArray[np.float32]
    hue: NDArray[np.float32]
    hue_selectivity: NDArray[np.float32]
    colour: NDArray[np.float32]
    luminance: NDArray[np.float32]


PREFERENCES = tuple(field.name for field in fields(Preferences))
"""Names of the numbers, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTuning:
    """What one unit prefers, as of `Preferences`, and the curves that say so, as of `Tuning`."""

    orientation: float
    orientation_selectivity: float
    frequency: float
    cycles: float
    hue: float
    hue_selectivity: float
    colour: float
    luminance: float
    orientations: Curve
    frequencies: Curve
    hues: Curve
    luminances: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Tuning of every channel of one layer.

    Attributes:
        responses: behind it.
        prefers: what each channel prefers.
        orientations: size of the response to stripes of the best frequency, by orientation.
        frequencies: the same at the best orientation, by frequency.
        hues: mean activation minus that on grey, by hue; without points where there are no colours.
        luminances: the same of plain pictures, by level.
    """

    responses: Responses
    prefers: Preferences
    orientations: Curve
    frequencies: Curve
    hues: Curve
    luminances: Curve

    def of(self, channel: int) -> UnitTuning:
        """The tuning of one channel."""
        numbers = {name: float(getattr(self.prefers, name)[channel]) for name in PREFERENCES}
        return UnitTuning(
            **numbers,
            orientations=self.orientations.of(channel),
            frequencies=self.frequencies.of(channel),
            hues=self.hues.of(channel),
            luminances=self.luminances.of(channel),
        )
