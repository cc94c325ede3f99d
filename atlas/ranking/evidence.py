"""IDENT and PREDICT: does a picture tell someone else what its unit answers to? numpy only.

An observer, a network that had no part in the picture, looks at the picture and at judging images,
which nothing of the picture has used. From the picture it predicts how much each of these excites
the unit; IDENT is the place of the unit among the channels of its layer when the prediction is
compared with what they really answer. Start at `identify`.

Source: the metric of the comparison is Pearson's correlation over all judging images, one of the
few that pass the sanity checks of NeuronEval (arXiv 2506.05774).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..records.evidence import NOWHERE, LayerEvidence, Observation, Place
from ..records.samples import SampleSet, judging_images
from ..records.statistics import LayerStats

LEAST_JUDGES = 60
"""Distinct judging images below which the places of units are mostly chance."""

PHOTOGRAPHS = 9
"""Best images of a unit that are judged as its picture is."""


def distinct_judges(samples: SampleSet) -> int:
    """Number of distinct files among the judging images."""
    judging = judging_images(samples)
    return len({one.sha256 for one, judges in zip(samples.samples, judging, strict=True) if judges})


class Judge:
    """The judging images of a layer as the observer sees them, and what its channels answer there.

    Args:
        natural: what the observer makes of all natural images.
        judging: (N,) which of them judge.
        stats: of the layer over the same images.

    Attributes:
        live: (C,) channels that vary on the judging images; the others are in nobody's way.
    """

    def __init__(self, natural: Observation, judging: NDArray[np.bool_], stats: LayerStats) -> None:
        self.natural = natural
        self.training = ~judging
        self.stats = stats
        self.views = looks(natural.features, natural)
        answers = stats.activations[judging].astype(np.float64)
        self.live = np.asarray(stats.finite & (answers.std(0) > 0))
        self.photographs = self.views[judging]
        self.answers = standardised(answers.T)  # (C, J)

    def identify(self, features: NDArray[np.float32], channels: Sequence[int]) -> list[Place]:
        """The place of each unit by its picture.

        Args:
            features: (U, D) what the observer makes of the pictures.
            channels: (U,) whose they are.
        """
        return self.place(looks(features, self.natural), channels)

    def by_photographs(self, channels: Sequence[int]) -> list[Place]:
        """The place of each unit by its best images among those that do not judge."""
        answers = self.stats.activations[self.training][:, list(channels)]
        best = np.argsort(-answers, axis=0, kind="stable")[:PHOTOGRAPHS].T  # (U, 9)
        return self.place(of_length_one(self.views[self.training][best].mean(1)), channels)

    def place(self, views: NDArray[np.float64], channels: Sequence[int]) -> list[Place]:
        """The place of each unit by its view (U, D)."""
        columns = np.array(channels, np.int64)
        fits = self.fits(views, self.answers)  # (U, C)
        own = np.take_along_axis(fits, columns[:, None], 1)
        ahead = ((fits > own) & self.live).sum(1)
        return [
            Place(ident=1 + int(before), predict=float(fit)) if alive else NOWHERE
            for before, fit, alive in zip(ahead, own[:, 0], self.live[columns], strict=True)
        ]

    def fits(self, views: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """(U, R): how well what is predicted from views (U, D) fits standardised answers (R, J)."""
        guesses = standardised(views @ self.photographs.T)  # (U, J)
        return np.asarray(guesses @ answers.T / len(self.photographs))


def judge_layer(
    judge: Judge,
    pictures: Mapping[str, Mapping[int, NDArray[np.float32]]],
    shown: Sequence[int],
) -> LayerEvidence:
    """What the observer recognises of the units of a layer.

    Args:
        judge: of the layer.
        pictures: recipe → channel → (D,) what the observer makes of its picture.
        shown: channels whose photographs are judged too.
    """
    places, swapped = {}, {}
    for recipe, seen in pictures.items():
        channels, features = list(seen), np.stack(list(seen.values()))
        places[recipe] = dict(zip(channels, judge.identify(features, channels), strict=True))
        if len(channels) > 1:
            swapped[recipe] = judge.identify(np.roll(features, 1, axis=0), channels)
    live = int(judge.live.sum())
    return LayerEvidence(
        observer=judge.natural.observer,
        judges=len(judge.photographs),
        live=live,
        pictures=places,
        photographs=dict(zip(shown, judge.by_photographs(shown), strict=True)),
        swapped={
            recipe: float(np.median([one.ident / live for one in found if one.ident] or [np.nan]))
            for recipe, found in swapped.items()
        },
        features=pictures,
    )


def looks(features: NDArray[np.float32], natural: Observation) -> NDArray[np.float64]:
    """φ: each depth standardised over the natural images, of length 1, all beside one another.

    Args:
        features: (U, D) spatial means of the observer's depths on some images.
        natural: the same of the natural images, and how many channels each depth has.

    Returns:
        (U, D) rows of length 1 (0 where all depths are as on the average image).
    """
    wide = natural.features.astype(np.float64)
    mean, spread = wide.mean(0), wide.std(0)
    distances = (features - mean) / np.where(spread > 0, spread, 1)
    ends = np.cumsum(natural.widths)[:-1]
    parts = [of_length_one(part) for part in np.split(distances, ends, axis=1)]
    joined: NDArray[np.float64] = np.concatenate(parts, axis=1) / np.sqrt(len(parts))
    return joined


def of_length_one(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows over their Euclidean length; a zero row stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    divided: NDArray[np.float64] = rows / np.where(lengths > 0, lengths, 1)
    return divided


def standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of mean 0 and deviation 1; a constant row becomes zero."""
    centred = rows - rows.mean(1, keepdims=True)
    spread = centred.std(1, keepdims=True)
    divided: NDArray[np.float64] = centred / np.where(spread > 0, spread, 1)
    return divided
