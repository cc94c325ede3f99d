"""What a unit's page and a layer's page show of meanings."""

from dataclasses import dataclass

from ...records.meanings import Meanings
from .. import meaning_sentences
from ..meaning_views import MeaningsView
from ..text import number
from ..views import LayerView, UnitView

SHOWN = 8
"""Images of a meaning on the page of its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeaningsPanel:
    """The part of a unit's page: heading, sentence, and the meanings if there are several."""

    title: str
    sentence: str
    view: MeaningsView
    shown: int = SHOWN

    def score(self, place: int) -> str:
        """What is said under the picture of the meaning at a place."""
        made = self.view.meanings[place].rendering
        if made is None:
            return "not rendered"
        return (
            f"REACH {number(made.scores.reach)}{'' if made.status == 'ok' else f', {made.status}'}"
        )


def meanings_panel(found: MeaningsView | None, observer: str) -> MeaningsPanel | None:
    """What the page of a unit shows of its meanings; None where none were looked for."""
    if found is None:
        return None
    return MeaningsPanel(
        title=meaning_sentences.meanings_title(found),
        sentence=meaning_sentences.meanings_sentence(found, observer),
        view=found,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeanings:
    """The part of a layer's page: a sentence, and the units that have several."""

    sentence: str
    units: tuple[UnitView, ...]


def layer_meanings(layer: LayerView) -> LayerMeanings | None:
    """What the page of a layer says of meanings; None where none were looked for."""
    found: list[Meanings] = list(layer.atlas.meanings.values())
    if not found:
        return None
    several = [one for one in layer.units if one.meanings and one.meanings.count > 1]
    return LayerMeanings(
        sentence=meaning_sentences.split_sentence(found),
        units=tuple(sorted(several, key=lambda one: one.meanings.chance if one.meanings else 1)),
    )
