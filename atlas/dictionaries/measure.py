"""How well a dictionary describes a layer: `measure_code`. numpy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records.dictionary import Code

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a code explains at P positions; the fields are those of `Dictionary`."""

    explained: float
    shuffled: float
    shares: Matrix
    active: Matrix


def measure_code(code: Code, activations: Matrix, seed: int) -> Measured:
    """Measure a code.

    Args:
        code: the directions.
        activations: (P, C) at positions on which it was not found.
        seed: of the shuffling.
    """
    answers = answer(code, activations)
    rest = activations - answers @ code.decoder - code.offset
    return Measured(
        explained=explained(rest, activations),
        shuffled=explained_by(code, shuffled(activations, seed)),
        shares=shares(code, answers, rest, activations),
        active=np.asarray((answers > 0).mean(0), np.float32),
    )


def answer(code: Code, activations: Matrix) -> Matrix:
    """(P, K): what directions answer to activations (P, C)."""
    found = activations @ code.encoder.T + code.bias
    return np.where(found > code.threshold, found, np.float32(0))


def explained_by(code: Code, activations: Matrix) -> float:
    """Share of the variance of activations that a code explains."""
    rest = activations - answer(code, activations) @ code.decoder - code.offset
    return explained(rest, activations)


def explained(rest: Matrix, activations: Matrix) -> float:
    """1 − what is left of activations over their variance; NaN where they have none."""
    total = variance(activations)
    return 1 - float((rest.astype(np.float64) ** 2).sum()) / total if total > 0 else float("nan")


def variance(activations: Matrix) -> float:
    """Sum over the channels of squared distances from their means."""
    wide = activations.astype(np.float64)
    return float(((wide - wide.mean(0)) ** 2).sum())


def shares(code: Code, answers: Matrix, rest: Matrix, activations: Matrix) -> Matrix:
    """(K,): share of the variance that is explained less where a direction answers its mean."""
    total = variance(activations)
    if total <= 0:
        return np.zeros(code.directions, np.float32)
    lost = answers.astype(np.float64) - answers.mean(0, dtype=np.float64)  # (P, K)
    along = rest.astype(np.float64) @ code.decoder.T.astype(np.float64)
    lengths = (code.decoder.astype(np.float64) ** 2).sum(1)
    more = (2 * lost * along + lost**2 * lengths).sum(0)
    return np.asarray(more / total, np.float32)


def shuffled(activations: Matrix, seed: int) -> Matrix:
    """Each channel by itself in another order of the positions: nothing goes together any more."""
    return np.random.default_rng(seed).permuted(activations, axis=0)
