"""Tuning curves on the page of a unit, in words and charts (tuning.html)."""

from dataclasses import dataclass

from markupsafe import Markup

from ...records.network import ModelInfo
from ...records.tuning import UnitTuning
from .. import tuning_charts, tuning_sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPanel:
    """A tuning curve: its title, chart and sentence."""

    title: str
    chart: Markup
    sentence: str


def tuning_panels(tuning: UnitTuning | None, model: ModelInfo) -> list[TuningPanel]:
    """The tuning curves of a unit; none where they are not known, no hues without colours."""
    if tuning is None:
        return []
    cycles = float(min(model.shape))
    stripes = tuning_sentences.orientation_sentence(tuning)
    tones = tuning_sentences.frequency_sentence(tuning)
    hues = tuning_sentences.hue_sentence(tuning)
    levels = tuning_sentences.luminance_sentence(tuning)
    orientation = tuning_charts.orientation_chart(tuning.orientations, tuning.orientation, stripes)
    frequency = tuning_charts.frequency_chart(tuning.frequencies, tuning.frequency, cycles, tones)
    luminance = tuning_charts.luminance_chart(tuning.luminances, levels)
    found = [
        panel("Orientation", orientation, stripes),
        panel("Spatial frequency", frequency, tones),
        panel("Luminance", luminance, levels),
    ]
    if len(tuning.hues.at):
        hue = tuning_charts.hue_chart(tuning.hues, tuning.hue, hues)
        found.insert(2, panel("Hue", hue, hues))
    return found


def panel(title: str, chart: str, sentence: str) -> TuningPanel:
    """A tuning curve."""
    return TuningPanel(title=title, chart=Markup(chart), sentence=sentence)
