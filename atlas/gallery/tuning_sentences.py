"""What a unit prefers of synthetic stimuli, in sentences."""

import math

from ..records.network import ModelInfo
from ..records.tuning import UnitTuning
from .text import number

WEAK = "its largest response here is not above the spread of its responses to all stimuli"

HUES = ("red", "orange", "yellow", "lime", "green", "spring green", "cyan", "azure", "blue")
HUE_NAMES = (*HUES, "violet", "magenta", "rose")
"""Names of the hues at every 30°."""


def hue_name(hue: float) -> str:
    """The name of the nearest of the twelve hues."""
    return HUE_NAMES[round(hue / 30) % len(HUE_NAMES)]


def orientation_sentence(tuning: UnitTuning) -> str:
    """Say which stripes a unit prefers."""
    selectivity = tuning.orientation_selectivity
    if not math.isfinite(selectivity):
        return f"No preferred orientation: {WEAK}."
    said = f"selectivity {number(selectivity)} of 1"
    if not math.isfinite(tuning.orientation):
        return f"No preferred orientation: {said}."
    angle = round(tuning.orientation) % 180
    return f"Prefers stripes at {angle}° (0° level, 90° upright), {said}."


def frequency_sentence(tuning: UnitTuning) -> str:
    """Say how wide the stripes are that a unit prefers."""
    if not math.isfinite(tuning.frequency):
        return f"No preferred frequency: {WEAK}."
    ends = tuning.frequencies.at[[0, -1]].tolist()
    end = dict(zip(ends, ("the widest stripes shown, ", "the finest stripes shown, "), strict=True))
    return (
        f"Prefers {end.get(tuning.frequency, '')}{number(tuning.frequency)} cycles per pixel, "
        f"{number(tuning.cycles)} per input: a bright and a dark stripe take "
        f"{number(1 / tuning.frequency)} px."
    )


def hue_sentence(tuning: UnitTuning) -> str:
    """Say which hue raises a unit most, and whether colour counts at all."""
    if math.isfinite(tuning.hue):
        selectivity = number(tuning.hue_selectivity)
        said = f"Raised most by {hue_name(tuning.hue)} ({round(tuning.hue) % 360}°), selectivity "
        return f"{said}{selectivity} of 1. {colour_sentence(tuning.colour)}"
    return f"No preferred hue. {colour_sentence(tuning.colour)}"


def colour_sentence(colour: float) -> str:
    """Say what the colour index means."""
    if not math.isfinite(colour):
        return "It answers to no stimulus."
    means = "hues only lower it" if colour < 0 else "0: grey shapes alone count, 1: colours alone"
    return f"Colour index {number(colour)} ({means})."


def luminance_sentence(tuning: UnitTuning) -> str:
    """Say how a unit goes with the brightness of plain pictures."""
    if not math.isfinite(tuning.luminance):
        return f"Brightness alone hardly moves it: {WEAK}."
    black, white = tuning.luminances.responses[[0, -1]].tolist()
    way = "White raises it more than black" if white > black else "Black raises it more than white"
    if black * white > 0:
        way = f"Black and white both {'raise' if white > 0 else 'lower'} it"
    most = float(abs(tuning.luminances.responses).max())
    return f"{way}, by up to {number(most)} (luminance index {number(tuning.luminance)})."


def stimuli_sentence(count: int, model: ModelInfo) -> str:
    """Say what the curves were measured with."""
    said = f"Measured with {count} synthetic pictures and no photograph."
    if model.channels == 1:
        return f"{said} The network sees no colours, so there are no hues."
    if model.channels != 3:
        return f"{said} Each shows the same in all {model.channels} channels; there are no hues."
    return said
