"""A direction is judged among channels of its layer too, drawn once."""

from dataclasses import replace

import numpy as np

from atlas.ranking.evidence import Judge, judge_layer
from atlas.ranking.rivals import drawn, place_among_channels
from atlas.records.evidence import Observation
from atlas.records.statistics import LayerStats
from tests.store_records import stats

IMAGES = 6


def stats_of(columns: list[list[float]]) -> LayerStats:
    """Statistics of a layer whose channels answer so to six images."""
    values = np.array(columns, np.float32).T
    count = len(columns)
    return replace(
        stats(channels=max(count, 3), images=IMAGES),
        activations=values.astype(np.float16),
        finite=np.ones(count, np.bool_),
        mean=values.mean(0),
    )


def observed() -> Observation:
    """An observer of one depth of two channels, which sees how far an image is from the middle."""
    x = np.arange(IMAGES, dtype=np.float32)
    return Observation(
        observer="seer",
        weights_sha256="0" * 64,
        widths=(2,),
        features=np.stack([x, x**2], 1),
    )


RISING, FALLING = [0.0, 1, 2, 3, 4, 5], [5.0, 4, 3, 2, 1, 0]
JUDGING = np.arange(IMAGES) > 0


def judge(columns: list[list[float]]) -> Judge:
    return Judge(observed(), JUDGING, stats_of(columns))


def test_place_counts_the_channels_that_the_prediction_fits_better() -> None:
    own = judge([RISING, FALLING, [1.0, 0, 1, 0, 1, 0]])
    layer = judge([FALLING, [0.0, 1, 0, 1, 0, 1]])
    last = observed().features[-1]  # a picture like the last image predicts what rises
    evidence = judge_layer(own, {"octaves": {0: last, 1: last}}, [0, 1])
    found = place_among_channels(evidence, own, layer)
    assert found.rivals == 2
    assert found.among["octaves"][0] == 1
    assert found.among["octaves"][1] == 2  # the zigzag fits better than what falls; falling ties


def test_as_many_channels_are_drawn_as_there_are_other_directions() -> None:
    layer = judge([RISING, FALLING, [2.0] * IMAGES, RISING, FALLING])
    assert drawn(layer, 3).tolist() == drawn(layer, 3).tolist()
    assert len(drawn(layer, 3)) == 3
    assert drawn(layer, 99).tolist() == [0, 1, 3, 4], "one never varies"
