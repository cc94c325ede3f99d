"""Dictionaries and their directions, in sentences."""

import math

from ..records.dictionary import Dictionary
from ..records.evidence import LayerEvidence
from .direction_views import DirectionView
from .evidence_sentences import ordinal
from .text import number, percent, plural

METHODS = {
    "nmf": "non-negative matrix factorisation: parts that only ever add up",
    "semi-nmf": "semi-NMF: directions of any sign that only ever add up, few at a time",
    "kmeans": "k-means: how much nearer a position is to this centre than to the average one",
    "pca": "principal components: signed answers, the largest variance first",
    "file": "a file: how its directions were found, this atlas does not know",
}


def method_sentence(dictionary: Dictionary) -> str:
    """How directions were found, and on what they were measured."""
    found = f", found in {plural(dictionary.fitted, 'sample image')}" if dictionary.fitted else ""
    return (
        f"Directions of {dictionary.parent}{found}, by {METHODS[dictionary.method]}. Measured at "
        f"{plural(dictionary.positions, 'position')} of {plural(dictionary.judged, 'image')}"
        f"{' that had no part in them' if dictionary.fitted else ''}."
    )


def explained_sentence(dictionary: Dictionary) -> str:
    """How much of the layer a dictionary explains and leaves out, beside shuffled activations."""
    if math.isnan(dictionary.explained):
        return "The layer does not vary on these images."
    return (
        f"All {dictionary.code.directions} directions together explain "
        f"{percent(dictionary.explained)} of the layer’s variance and leave out "
        f"{percent(1 - dictionary.explained)}; of the same activations, each channel shuffled by "
        f"itself, they explain {percent(dictionary.shuffled)}."
    )


def share_sentence(direction: DirectionView) -> str:
    """What a direction explains of its layer."""
    if math.isnan(direction.explained):
        return "The layer does not vary on these images."
    return (
        f"Without it the dictionary would explain {percent(direction.share)} of the layer’s "
        f"variance less; all its directions together explain {percent(direction.explained)} and "
        f"leave out {percent(1 - direction.explained)}."
    )


def active_sentence(direction: DirectionView) -> str:
    """How sparse a direction is."""
    return f"It answers above 0 at {percent(direction.active)} of the positions."


def parts_sentence(direction: DirectionView) -> str:
    """What the weights are."""
    return (
        f"Weights of the direction at length 1: their squares add up to 1, those of the "
        f"{plural(len(direction.parts), 'channel')} here to {number(direction.covered)}. "
        "A channel with a negative weight answers less where the direction answers."
    )


def among_sentence(evidence: LayerEvidence | None, recipe: str, channel: int) -> str:
    """Where a direction comes out among channels drawn from its layer; "" where nobody judged."""
    place = evidence.among.get(recipe, {}).get(channel) if evidence else None
    if evidence is None or place is None:
        return ""
    return (
        f"Among {plural(evidence.rivals, 'channel')} drawn from its layer, in place of the other "
        f"directions: {ordinal(place)} of {evidence.rivals + 1}."
    )
