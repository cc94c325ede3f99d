"""The spectrum on the page of a unit: its strips in words, and the histogram above them."""

from dataclasses import dataclass

from markupsafe import Markup

from .. import charts
from ..draw_spectrum import has_places
from ..spectrum_sentences import share_sentence, spectrum_sentence, strip_name, strip_ticks
from ..views import LayerView, StripView, UnitView


@dataclass(frozen=True, slots=True, kw_only=True)
class StripRow:
    """A strip on the page, with its anchor, its name and the sentence on its interval."""

    anchor: str
    name: str
    sentence: str
    strip: StripView


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumPanel:
    """The spectrum on the page of a unit.

    Attributes:
        histogram: of the peaks, its bars linked to the strips.
        rows: the strongest strip, the weakest beside it, then those between.
        sentence: on what strips show.
    """

    histogram: Markup
    rows: tuple[StripRow, ...]
    sentence: str


def spectrum_panel(unit: UnitView, layer: LayerView, images: int) -> SpectrumPanel | None:
    """Put the spectrum of a unit into words and a chart; None where it has none.

    Args:
        unit: of this layer.
        layer: with the peaks.
        images: sample images of the atlas.
    """
    if not unit.spectrum:
        return None
    rows = [
        StripRow(
            anchor=f"p{strip.percentile}",
            name=strip_name(strip),
            sentence=share_sentence(unit.spectrum, place),
            strip=strip,
        )
        for place, strip in enumerate(unit.spectrum)
    ]
    placed = has_places(layer.atlas)
    return SpectrumPanel(
        histogram=peak_histogram(unit, layer, rows),
        rows=(rows[0], *rows[1:][-1:], *rows[1:-1]),
        sentence=spectrum_sentence(len(layer.atlas.stats.rows), images, placed),
    )


def peak_histogram(unit: UnitView, layer: LayerView, rows: list[StripRow]) -> Markup:
    """Draw the histogram of a unit's peaks over the images, linked to its strips."""
    peaks = layer.atlas.stats.peaks_over_rows(unit.channel)
    intervals = [
        charts.Interval(
            name=strip_ticks(row.strip),
            label=row.name,
            link=f"#{row.anchor}",
            value=row.strip.value,
        )
        for row in rows
    ]
    return Markup(charts.interval_histogram(peaks, intervals, "peak on a sample image"))
