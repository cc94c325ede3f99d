"""What an observer recognises of a layer, as data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...records.evidence import LayerEvidence, Place
from .encode import Double, record
from .units import Count


@dataclass(frozen=True, kw_only=True)
class FoundData:
    """How units are recognised by one kind of picture.

    Attributes:
        judged, first: how many have a place, and the first one.
        median: of the places.
        share: mean of (place − ½) / channels.
        swapped: median of place / channels where each picture is judged as another unit's.
    """

    judged: Count
    first: Count
    median: Double
    share: Double
    swapped: Double


@dataclass(frozen=True, kw_only=True)
class EvidenceData:
    """What an observer recognises of a layer.

    Attributes:
        judges: judging images.
        live: channels that vary on them: as many places there are.
        chance: mean place of a unit drawn at random.
        photographs: by the nine best photographs of each unit.
    """

    observer: str
    judges: Count
    live: Count
    chance: Double
    recipes: dict[str, FoundData]
    photographs: FoundData


def evidence_data(evidence: LayerEvidence | None) -> EvidenceData | None:
    """What the observer recognises of a layer; None where none judges."""
    if evidence is None:
        return None
    swapped = evidence.swapped
    return record(
        EvidenceData,
        evidence,
        recipes={
            name: found_data(evidence, places, swapped.get(name, math.nan))
            for name, places in evidence.pictures.items()
        },
        photographs=found_data(evidence, evidence.photographs, math.nan),
    )


def found_data(evidence: LayerEvidence, places: Mapping[int, Place], swapped: float) -> FoundData:
    """How units are recognised by one kind of picture."""
    known = [place.ident for place in places.values() if place.ident]
    shares = [(ident - 0.5) / evidence.live for ident in known]
    return record(
        FoundData,
        judged=len(known),
        first=known.count(1),
        median=evidence.median(places),
        share=sum(shares) / len(shares) if shares else math.nan,
        swapped=swapped,
    )
