"""Sentences about the meanings of units."""

from collections.abc import Sequence

from ..records.meanings import Meanings
from .meaning_views import MeaningsView
from .text import number, percent, plural

LARGEST_CHANCE = 0.05
"""Of a false split, up to which a unit has several meanings (`ranking.meanings.CHANCE`)."""

COUNTS = {1: "One meaning", 2: "Two meanings", 3: "Three meanings", 4: "Four meanings"}


def meanings_title(found: MeaningsView) -> str:
    """`Two meanings`."""
    return COUNTS[found.count]


def meanings_sentence(found: MeaningsView, observer: str) -> str:
    """Say into how many groups the images of a unit fall, and how sure that is."""
    images = f"The {plural(found.looked_at, 'image')} that excite it most"
    chance = f"{percent(found.chance)} of sets of random images fall apart as clearly"
    if found.count == 1:
        return f"{images} do not fall into groups that {observer} tells apart: {chance}."
    return (
        f"{images} fall into {found.count} groups, as {observer} sees them. {chance}: that is the "
        "chance of a false split."
    )


def split_sentence(found: Sequence[Meanings]) -> str:
    """Say how many units of a layer have several meanings, and how many would have by chance."""
    several = sum(one.count > 1 for one in found)
    return (
        f"{several} of {plural(len(found), 'unit')} have several meanings; about "
        f"{number(round(LARGEST_CHANCE * len(found), 1))} would be split by chance."
    )
