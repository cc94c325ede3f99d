"""Sentences about circuits."""

import math
import statistics
from collections.abc import Iterable

from ..records.circuits import Circuit, Kind, agreement, checked
from .text import number, plural

TITLES: dict[Kind, str] = {"fed_by": "Fed by", "feeds": "Feeds", "classes": "Raises and lowers"}

EXACT = 1e-3
"""Share of an activation below which what is left over is rounding."""


def seen_sentence(images: int, activation: float) -> str:
    """Return the sentence on where a circuit was seen."""
    where = "the image that excites it most" if images == 1 else f"its {images} best images"
    return f"Seen on {where}, where its activation is {number(activation)} on average."


def block_sentence(kind: Kind) -> str:
    """Return the sentence on the numbers of a list."""
    return {
        "fed_by": "How much of that it owes to each unit that feeds it directly: gradient × "
        "(activation − mean).",
        "feeds": "How far it moves the mean activation of units behind it, in spreads of each over "
        "the sample images.",
        "classes": "How far it moves the score of each class.",
    }[kind]


def error_sentence(error: float) -> str:
    """Return the sentence on completeness; "" where nothing feeds the unit."""
    if not math.isfinite(error):
        return ""
    if error < EXACT:
        return (
            "All that feeds it, and the constants of its block, add up to its activation but for "
            f"rounding (error {number(error)})."
        )
    return (
        f"All that feeds it, and the constants of its block, miss its activation by "
        f"{number(100 * error)}\u00a0%: the block is not piecewise linear."
    )


def agreement_sentences(circuits: Iterable[Circuit]) -> list[tuple[str, str, Kind]]:
    """How well predictions hold under ablation, for each kind that was checked: title, sentence."""
    found, rows = list(circuits), []
    for kind, title in TITLES.items():
        pairs = checked(found, kind)
        if pairs:
            value = agreement(pairs)
            fits = f"correlation {number(value)}" if math.isfinite(value) else "no correlation"
            rows.append((title, f"{fits} over {plural(len(pairs), 'checked link')}", kind))
    return rows


def median_error(circuits: Iterable[Circuit]) -> float:
    """Median completeness error of the circuits that have one; NaN where none has."""
    known = [one.error for one in circuits if math.isfinite(one.error)]
    return statistics.median(known) if known else math.nan
