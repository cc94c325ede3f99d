"""What an observer recognises by a picture, in sentences."""

import math
from collections.abc import Mapping, Sequence

from ..records.evidence import LARGEST_SHARE, LayerEvidence, Place
from .text import number, plural

EXPLAINED = {
    "ident": "Place of the unit among the channels of its layer when another network, the "
    "observer, sees nothing of it but this picture: from the picture it predicts how much each "
    "of some photographs, which nothing else has used, excites the unit, and the prediction is "
    "compared with what every channel really answers. 1 is best; by chance it is the middle of "
    "the layer.",
    "predict": "Correlation of that prediction with the unit’s real activations over these "
    "photographs.",
}
"""Scores that an observer gives."""


def ordinal(place: float) -> str:
    """`1st`, `22nd`, `113th`; half places, of medians, as `3.5th`."""
    if place != int(place):
        return f"{place:g}th"
    whole = int(place)
    ending = "th" if 10 <= whole % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(whole % 10, "th")
    return f"{whole}{ending}"


def ident_sentence(evidence: LayerEvidence, place: Place | None, photographs: Place | None) -> str:
    """Where a unit comes out by its picture, beside chance and its nine best photographs."""
    if place is None:
        return "Not measured: the observer has not seen this picture."
    if not place.ident:
        return "Not measured: the unit never varies on the judging photographs."
    chance = ordinal(math.floor(evidence.chance))
    sentence = (
        f"Shown only this picture, {evidence.observer} picks this unit as "
        f"{ordinal(place.ident)} of {evidence.live} (by chance: {chance})"
    )
    if photographs is None or not photographs.ident:
        return f"{sentence}."
    return f"{sentence}; shown its nine best photographs: {ordinal(photographs.ident)}."


def unidentified_sentence(
    evidence: LayerEvidence, place: Place | None, photographs: Place | None
) -> str:
    """Why a picture identifies nothing; "" where it does, or where nobody knows."""
    if place is None or not evidence.unidentified(place):
        return ""
    sentence = (
        f"Its place is behind the first {LARGEST_SHARE:.0%} of the layer, so this picture tells "
        "little that holds for photographs."
    )
    if photographs is None or not evidence.unidentified(photographs):
        return sentence
    return (
        f"{sentence} Its photographs are unidentified as well: {evidence.observer} cannot see what "
        "this unit sees."
    )


def predict_sentence(evidence: LayerEvidence, place: Place | None) -> str:
    """How well the prediction fits."""
    if place is None or not place.ident:
        return "Not measured."
    return (
        f"What {evidence.observer} predicts from the picture correlates by {number(place.predict)} "
        f"with the unit’s activations on {plural(evidence.judges, 'photograph')} that nothing else "
        "has used."
    )


def found_sentences(
    evidence: LayerEvidence | None, recipes: Sequence[str]
) -> list[tuple[str, str]]:
    """Name and sentence of each recipe of a layer, then of the photographs and of chance."""
    if evidence is None:
        return []
    rows = [
        (recipe, found(evidence, evidence.pictures[recipe]))
        for recipe in recipes
        if recipe in evidence.pictures
    ]
    chance = f"median {ordinal(math.floor(evidence.chance))} of {evidence.live}"
    swapped = [
        f"{ordinal(round(2 * evidence.swapped[recipe] * evidence.live) / 2)} by {recipe}"
        for recipe in recipes
        if recipe in evidence.swapped
    ]
    if swapped:
        chance += f"; each picture judged as another unit’s: {', '.join(swapped)}"
    return [*rows, ("nine photographs", found(evidence, evidence.photographs)), ("chance", chance)]


def found(evidence: LayerEvidence, places: Mapping[int, Place]) -> str:
    """`41 of 96 at the first place, median 3rd`."""
    known = [place for place in places.values() if place.ident]
    if not known:
        return "not measured"
    first = sum(place.ident == 1 for place in known)
    median = ordinal(evidence.median(places))
    return f"{first} of {len(known)} at the first place, median {median} of {evidence.live}"
