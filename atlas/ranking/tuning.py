"""From responses to synthetic stimuli to tuning curves and preferences. numpy only.

`analyse` is the way in; docs/methods.md has the formulas.
"""

import numpy as np
from numpy.typing import NDArray

from ..records.tuning import Curve, Preferences, Responses, Stimulus, Tuning
from ..shapes import Shape
from .stimuli import FREQUENCIES, GREY, HUES, LEVELS, ORIENTATIONS, PHASES

Values = NDArray[np.float64]

LEAST_SELECTIVITY = 0.1
"""Selectivities below are no preference: a circular variance above .9 is as good as round."""

LEAST_SHARE = 1 / 64
"""Responses below this share of the channel's largest one count as none: 8-bit pixels alone make
differences of up to 1/90 of the contrast."""

ROUNDING = 1 / 256
"""The same as a share of the largest activation, of which 16 bits keep 11 digits."""

GRATINGS = FREQUENCIES * len(ORIENTATIONS) * len(PHASES)


def analyse(responses: Responses, stimuli: tuple[Stimulus, ...], shape: Shape) -> Tuning:
    """The tuning of every channel of a layer.

    Args:
        responses: of the layer.
        stimuli: the S that it answered to, by `make_stimuli`.
        shape: of the network's input.
    """
    kinds = np.array([one.kind for one in stimuli])
    scale = responses.scale.astype(np.float64)
    means, deviations = responses.means * scale, responses.deviations * scale  # (S, C)
    grey = next(row for row, one in enumerate(stimuli) if one.level == GREY)
    changes = means - means[grey]
    sizes = response_sizes(changes, deviations, grey)
    least = np.maximum(sizes.max(0) * LEAST_SHARE, scale * ROUNDING)
    floor = np.maximum(least, sizes.std(0))
    hues, levels = changes[kinds == "hue"], changes[kinds == "luminance"]
    colourful = np.minimum(sizes[kinds == "hue"], sizes[kinds == "isoluminant hue"])
    grey_shapes = sizes[~np.isin(kinds, ("luminance", "hue", "isoluminant hue"))]
    stripes, tones = grating_curves(sizes[:GRATINGS])
    across = np.array([one.frequency for one in stimuli[: GRATINGS : GRATINGS // FREQUENCIES]])
    orientation, orientation_selectivity = preferred(stripes, 2 * np.array(ORIENTATIONS))
    frequency = np.where(tones.max(0) > floor, best_frequency(tones, across), np.nan)
    oriented = (stripes.max(0) > floor) & (orientation_selectivity >= LEAST_SELECTIVITY)
    hue, hue_selectivity = preferred_hue(hues, colourful, least, floor)
    return Tuning(
        responses=responses,
        prefers=Preferences(
            orientation=single(np.where(oriented, orientation / 2 % 180, np.nan)),
            orientation_selectivity=single(
                np.where(stripes.max(0) > floor, orientation_selectivity, np.nan)
            ),
            frequency=single(frequency),
            cycles=single(frequency * min(shape)),
            hue=single(hue),
            hue_selectivity=single(hue_selectivity),
            colour=single(colour_index(hues, colourful, grey_shapes, least)),
            luminance=single(luminance_index(levels, floor)),
        ),
        orientations=curve(ORIENTATIONS, stripes),
        frequencies=curve(across, tones),
        hues=curve(HUES[: len(hues)], hues),
        luminances=curve(LEVELS, levels),
    )


def response_sizes(changes: Values, deviations: Values, grey: int) -> Values:
    """(S, C) root mean square by which a map moves away from what it is on grey.

    The square of the change of its mean, plus what its variance gains. A map whose stripes of
    positive and negative values cancel in the mean has a response too, as have signed channels.
    """
    gained = deviations**2 - deviations[grey] ** 2
    return np.asarray(np.sqrt(np.maximum(changes**2 + gained, 0)))


def grating_curves(sizes: Values) -> tuple[Values, Values]:
    """By orientation at the best frequency (O, C), by frequency at the best orientation (F, C).

    Args:
        sizes: (F · O · 2, C) responses to the gratings.
    """
    channels = np.arange(sizes.shape[1])
    table = sizes.reshape(FREQUENCIES, len(ORIENTATIONS), len(PHASES), -1).mean(2)  # (F, O, C)
    stripes = table[table.max(1).argmax(0), :, channels].T  # (O, C)
    return stripes, table[:, stripes.argmax(0), channels]


def preferred(responses: Values, angles: Values) -> tuple[Values, Values]:
    """Direction in degrees and length, 0 to 1, of the mean vector of responses of no sign (P, C).

    1 − length is the circular variance. Source: Ringach, Shapley and Hawken 2002.
    """
    vector = (responses * np.exp(1j * np.radians(angles))[:, None]).sum(0)
    total = responses.sum(0)
    length = np.abs(vector) / np.where(total > 0, total, 1)
    return np.degrees(np.angle(vector)) % 360, length


def best_frequency(tones: Values, across: Values) -> Values:
    """(C,) top of the parabola through the highest of the responses (F, C) and its neighbours.

    Over the logarithm of the frequency; at both ends the frequency itself.
    """
    best, channels = tones.argmax(0), np.arange(tones.shape[1])
    inner = best.clip(1, FREQUENCIES - 2)
    below, top, above = (tones[inner + step, channels] for step in (-1, 0, 1))
    bend = below - 2 * top + above
    shift = (below - above) / (2 * np.where(bend < 0, bend, 1))
    shift = np.where((bend < 0) & (inner == best), shift, 0)
    return np.asarray(across[best] * (across[1] / across[0]) ** shift)


def preferred_hue(
    hues: Values, colourful: Values, least: Values, floor: Values
) -> tuple[Values, Values]:
    """Hue in degrees and selectivity (C,) of what raises the mean; NaN without a preference.

    Args:
        hues: (H, C) changes of the mean.
        colourful: (H, C) size of the response, whatever is taken for equally bright.
        least, floor: (C,) that count as a response, and that rise above the spread.
    """
    raised = np.maximum(hues, 0)
    hue, selectivity = preferred(raised, np.array(HUES[: len(hues)]))
    answers = (colourful.max(0, initial=0) > floor) & (raised.max(0, initial=0) > least)
    selectivity = np.where(answers, selectivity, np.nan)
    return np.where(selectivity >= LEAST_SELECTIVITY, hue, np.nan), selectivity


def colour_index(hues: Values, colourful: Values, shapes: Values, least: Values) -> Values:
    """(C,) share of colour in the largest responses to colour and to grey shapes.

    0 where colour does not count; negative where hues only lower the mean; NaN without colours or
    without any response.

    Args:
        hues, colourful, least: as of `preferred_hue`.
        shapes: (G, C) responses to grey shapes.
    """
    if not len(hues):
        return np.full(len(least), np.nan)
    by_colour, by_shape = (
        np.where(one > least, one, 0) for one in (colourful.max(0), shapes.max(0))
    )
    total = by_colour + by_shape
    share = np.where(total > 0, by_colour / np.where(total > 0, total, 1), np.nan)
    lowers = (hues.max(0) <= least) & (hues.min(0) < -least)
    return np.where(lowers, -share, share)


def luminance_index(levels: Values, floor: Values) -> Values:
    """(C,) (white − black) / (|white| + |black|), changes of the mean on plain pictures (L, C)."""
    black, white = levels[0], levels[-1]
    total = np.abs(black) + np.abs(white)
    index = (white - black) / np.where(total > 0, total, 1)
    return np.where(np.abs(levels).max(0) > floor, index, np.nan)


def curve(at: object, responses: Values) -> Curve:
    """A curve as it is kept."""
    return Curve(at=np.asarray(at, np.float32), responses=single(responses))


def single(values: Values) -> NDArray[np.float32]:
    """Numbers in 32 bits."""
    return values.astype(np.float32)
