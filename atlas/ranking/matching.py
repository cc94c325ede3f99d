"""Two atlases over the same images: which unit of one fires when a unit of the other does.

Units are compared by their activations over the sample images, never by their pictures, so that
two networks of any architecture can stand side by side. `match_units` is the way in.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..records.atlas import LayerAtlas, ModelAtlas
from ..records.statistics import LayerStats
from ..records.units import Unit

FEWEST = 3
"""Images below which a correlation means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A unit of another atlas or layer, and how its activations correlate with one of ours."""

    unit: Unit
    correlation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One of our units and those of the other atlas that are most like it.

    Attributes:
        unit: ours.
        counterpart: of all channels of the other atlas's layers; None where ours never varies.
        shown: of the units that have a page there; None where there is none.
    """

    unit: Unit
    counterpart: Counterpart | None
    shown: Counterpart | None

    @property
    def correlation(self) -> float:
        """With the counterpart; 0 where there is none."""
        return self.counterpart.correlation if self.counterpart else 0.0


def match_units(ours: ModelAtlas, theirs: ModelAtlas) -> tuple[Match, ...]:
    """For each of our units the units of the other atlas that correlate most, least alike first.

    Raises:
        InputError: the atlases are not over the same images, or over too few.
    """
    check_comparable(ours, theirs)
    found = [match for layer in ours.layers for match in match_layer(layer, theirs.layers)]
    return tuple(sorted(found, key=lambda match: match.correlation))


def check_comparable(ours: ModelAtlas, theirs: ModelAtlas) -> None:
    """Raise an InputError unless both were ranked over the same images, enough of them."""
    names = [one.model.name for one in (ours, theirs)]
    if ours.samples.sha256 != theirs.samples.sha256:
        raise InputError(
            f"--compare: {names[0]} and {names[1]} are atlases over different images; build both "
            "with the same --images"
        )
    if len(ours.samples.samples) < FEWEST:
        raise InputError(f"--compare needs {FEWEST} sample images, there are fewer")


def match_layer(layer: LayerAtlas, others: Iterable[LayerAtlas]) -> list[Match]:
    """The matches of the units of one layer, in order of rank."""
    channels = np.array(layer.chosen, np.int64)
    own = standardised(layer.stats)[:, channels]  # (N, U)
    anyone, shown = Best(len(channels)), Best(len(channels))
    for other in others:
        table = own.T @ standardised(other.stats) / len(own)  # (U, C)
        dead = ~other.stats.finite | (other.stats.std == 0)
        table[:, dead] = -np.inf
        anyone.see(other.info.name, table)
        hidden = np.full_like(table, -np.inf)
        hidden[:, list(other.chosen)] = table[:, list(other.chosen)]
        shown.see(other.info.name, hidden)
    varies = layer.stats.std[channels] > 0
    return [
        Match(
            unit=Unit(layer=layer.info.name, channel=int(channel)),
            counterpart=anyone.counterpart(at) if varies[at] else None,
            shown=shown.counterpart(at) if varies[at] else None,
        )
        for at, channel in enumerate(channels)
    ]


class Best:
    """The most correlated unit seen so far, for each of some units; the first of several."""

    def __init__(self, units: int) -> None:
        self.correlation = np.full(units, -np.inf)
        self.layer = np.full(units, "", object)
        self.channel = np.full(units, -1)

    def see(self, layer: str, table: NDArray[np.float64]) -> None:
        """Take in the correlations (U, C) with the channels of a layer."""
        if not table.shape[1]:
            return
        best = table.argmax(1)
        value = table[np.arange(len(best)), best]
        better = value > self.correlation
        self.correlation[better] = value[better]
        self.layer[better] = layer
        self.channel[better] = best[better]

    def counterpart(self, at: int) -> Counterpart | None:
        """The best for a unit, if there is any."""
        if not np.isfinite(self.correlation[at]):
            return None
        unit = Unit(layer=str(self.layer[at]), channel=int(self.channel[at]))
        return Counterpart(unit=unit, correlation=float(self.correlation[at]))


def standardised(stats: LayerStats) -> NDArray[np.float64]:
    """(N, C) activations over the images with mean 0 and spread 1; zeros where they never vary."""
    values = stats.activations.astype(np.float64)
    values -= values.mean(0)
    spread = values.std(0)
    return np.asarray(values / np.where(spread > 0, spread, 1))
