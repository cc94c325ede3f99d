"""Synthetic stimuli: pictures of which everything is known, at the size of a network's input.

`make_stimuli` lists them, `draw` makes the picture of one. All patterns have the luminance of mean
grey on average and the same contrast, so that responses to them can be compared.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..images.tensors import LUMINANCE
from ..records.tuning import Stimulus
from ..shapes import Picture, Shape

STIMULI_VERSION = 1
"""Raised whenever a stimulus of the same properties looks otherwise, or others are shown."""

GREY = 0.5
"""Mean luminance, of 1 for white."""

CONTRAST = 0.175
"""Root mean square difference of a pattern's numbers from grey, of 1 for white."""

CHROMA = CONTRAST * 2
"""Amplitude of each colour over the circle of hues: on half of the pixels it has that contrast."""

ORIENTATIONS = tuple(180 / 8 * place for place in range(8))
PHASES = (0.0, 90.0)
FREQUENCIES = 6
HUES = tuple(30.0 * place for place in range(12))
LEVELS = tuple(place / 8 for place in range(9))
OPENINGS = (45.0, 90.0)
RADII = 6
SEEDS = 6

FINEST = 0.4
"""Highest frequency in cycles per pixel: at .5 a grating may vanish between the pixels."""

Pattern = NDArray[np.floating]


def make_stimuli(shape: Shape, channels: int) -> tuple[Stimulus, ...]:
    """The stimuli for an input of this height and width; without hues unless it has 3 channels.

    The gratings come first, by frequency, then orientation, then phase.
    """
    side = min(shape)
    return (
        *gratings(side),
        *(Stimulus(kind="luminance", level=level) for level in LEVELS),
        *shapes(side),
        *(Stimulus(kind="noise", seed=seed) for seed in range(SEEDS)),
        *(hues() if channels == 3 else ()),
    )


def frequencies(side: int) -> list[float]:
    """Frequencies in cycles per pixel, evenly spaced in octaves from two cycles per input on."""
    found: list[float] = np.geomspace(min(2 / side, FINEST / 4), FINEST, FREQUENCIES).tolist()
    return found


def gratings(side: int) -> list[Stimulus]:
    """Stripes of every frequency, orientation and phase."""
    return [
        Stimulus(kind="grating", frequency=frequency, orientation=orientation, phase=phase)
        for frequency in frequencies(side)
        for orientation in ORIENTATIONS
        for phase in PHASES
    ]


def shapes(side: int) -> list[Stimulus]:
    """Corners by opening, curves by radius, bright and dark dots, checkers."""
    radii = np.geomspace(side / 50, side / 5, RADII).tolist()
    directions = (0.0, 90.0, 180.0, 270.0)
    return [
        *(
            Stimulus(kind="corner", opening=opening, orientation=direction)
            for opening in OPENINGS
            for direction in directions
        ),
        *(Stimulus(kind="curve", size=radius) for radius in radii),
        *(Stimulus(kind="dots", size=sign * radius) for radius in radii[:3] for sign in (1, -1)),
        *(Stimulus(kind="checkers", size=side / parts) for parts in (56, 28, 14, 7)),
    ]


def hues() -> list[Stimulus]:
    """Hues twice: by equal mean of the three numbers, and by equal luminance.

    What is as bright as grey depends on who looks. A channel that weighs the colours alike answers
    to the second ones only, one that weighs them as luminance does to the first ones only.
    """
    return [
        *(Stimulus(kind="hue", hue=hue) for hue in HUES),
        *(Stimulus(kind="isoluminant hue", hue=hue) for hue in HUES),
    ]


# --- pictures -------------------------------------------------------------------------------------


def draw(stimulus: Stimulus, shape: Shape, planes: int) -> Picture:
    """The picture (H, W, planes) of a stimulus: colours in 8 bits, other channels in 16, alike."""
    pattern = PATTERNS[stimulus.kind](stimulus, shape)
    shares = GREY + pattern[..., None] * colour_of(stimulus)
    kind = np.uint8 if planes == 3 else np.uint16
    picture = np.rint(shares.clip(0, 1) * np.iinfo(kind).max).astype(kind)
    return np.repeat(picture, planes // picture.shape[2], axis=2)


def colour_of(stimulus: Stimulus) -> NDArray[np.float64]:
    """(3,) what 1 in a pattern adds to each colour; (1,) for grey, which is alike in all."""
    if np.isnan(stimulus.hue):
        return np.ones(1)
    colour = CHROMA * np.cos(np.radians(stimulus.hue - np.array([0, 120, 240])))
    return colour - colour @ LUMINANCE if stimulus.kind == "isoluminant hue" else colour


def places(shape: Shape) -> tuple[Pattern, Pattern]:
    """Distance of the pixels from the middle, upwards (H, 1) and to the right (1, W)."""
    height, width = shape
    up = (height - 1) / 2 - np.arange(height)
    right = np.arange(width) - (width - 1) / 2
    return up[:, None], right[None]


def tiled(shape: Shape, side: float) -> tuple[Pattern, Pattern]:
    """The same from the middle of the nearest of many tiles of this side."""
    up, right = places(shape)
    return (up + side / 2) % side - side / 2, (right + side / 2) % side - side / 2


def even(pattern: Pattern) -> Pattern:
    """A pattern with mean 0 and the contrast of all; a plain one is grey."""
    spread = float(pattern.std())
    return np.asarray((pattern - pattern.mean()) / (spread or 1.0) * CONTRAST)


def inked(distance: Pattern) -> Pattern:
    """1 where a distance to the edge of something is inside, below 0; soft over one pixel."""
    return even((0.5 - distance).clip(0, 1))


def draw_grating(stimulus: Stimulus, shape: Shape) -> Pattern:
    """Stripes that run along their orientation."""
    up, right = places(shape)
    angle, phase = np.radians([stimulus.orientation, stimulus.phase])
    across = up * np.cos(angle) - right * np.sin(angle)
    return even(np.sin(2 * np.pi * stimulus.frequency * across + phase))


def draw_luminance(stimulus: Stimulus, shape: Shape) -> Pattern:
    """A plain picture."""
    return np.full(shape, stimulus.level - GREY)


def draw_corner(stimulus: Stimulus, shape: Shape) -> Pattern:
    """Many corners: two bright strokes each, from one point."""
    side = min(shape) / 4
    up, right = tiled(shape, side)
    ways = np.radians(stimulus.orientation + stimulus.opening / 2 * np.array([-1, 1]))
    length, start = 0.55 * side, 0.275 * side * np.cos(np.radians(stimulus.opening / 2))
    middle = np.radians(stimulus.orientation)
    up, right = up + start * np.sin(middle), right + start * np.cos(middle)
    strokes = []
    for way in ways:
        along = (right * np.cos(way) + up * np.sin(way)).clip(0, length)
        strokes.append(np.hypot(right - along * np.cos(way), up - along * np.sin(way)))
    return inked(np.minimum(*strokes) - max(0.5, side / 16))


def draw_curve(stimulus: Stimulus, shape: Shape) -> Pattern:
    """Many rings: bright strokes of one radius."""
    radius = stimulus.size
    return inked(np.abs(np.hypot(*tiled(shape, 2.6 * radius)) - radius) - max(0.5, radius / 8))


def draw_dots(stimulus: Stimulus, shape: Shape) -> Pattern:
    """Many discs, bright or dark."""
    radius = abs(stimulus.size)
    discs = inked(np.hypot(*tiled(shape, 3 * radius)) - radius)
    return discs if stimulus.size > 0 else -discs


def checkers(shape: Shape, side: float) -> Pattern:
    """1 and 0 like on a board, with fields of this side."""
    height, width = shape
    rows, columns = np.arange(height) // side, np.arange(width) // side
    return np.asarray((rows[:, None] + columns[None]) % 2, np.float64)


def draw_checkers(stimulus: Stimulus, shape: Shape) -> Pattern:
    """A board of bright and dark fields."""
    return even(checkers(shape, max(1.0, stimulus.size)))


def draw_noise(stimulus: Stimulus, shape: Shape) -> Pattern:
    """Noise whose amplitude falls with the frequency as on photographs (Field 1987)."""
    white = np.random.default_rng(stimulus.seed).standard_normal(shape)
    down, across = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    frequency = np.maximum(np.hypot(down, across), 1 / max(shape))
    return even(np.asarray(np.fft.irfft2(np.fft.rfft2(white) / frequency, shape)))


def draw_hue(_stimulus: Stimulus, shape: Shape) -> Pattern:
    """A board of coloured and grey fields."""
    return checkers(shape, max(1.0, min(shape) / 8))


PATTERNS: Mapping[str, Callable[[Stimulus, Shape], Pattern]] = {
    "grating": draw_grating,
    "luminance": draw_luminance,
    "corner": draw_corner,
    "curve": draw_curve,
    "dots": draw_dots,
    "checkers": draw_checkers,
    "noise": draw_noise,
    "hue": draw_hue,
    "isoluminant hue": draw_hue,
}
"""Kind → what draws (H, W) differences from grey, of 1 for white; of hues, shares of the colour."""
