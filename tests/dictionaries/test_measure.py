"""What a dictionary explains, by numbers worked out by hand."""

import numpy as np
import pytest

from atlas.dictionaries.measure import answer, measure_code
from atlas.records.dictionary import Code


def code_of(encoder: list[list[float]], decoder: list[list[float]], threshold: float = 0.0) -> Code:
    rows = np.array(encoder, np.float32)
    return Code(
        encoder=rows,
        decoder=np.array(decoder, np.float32),
        bias=np.zeros(len(rows), np.float32),
        threshold=np.full(len(rows), threshold, np.float32),
        offset=np.zeros(rows.shape[1], np.float32),
    )


ROWS = np.array([[2, 0], [-2, 0], [0, 1], [0, -1]], np.float32)
"""Variance: 8 along the first channel, 2 along the second."""


def test_one_of_two_channels_explains_its_own_variance() -> None:
    code = code_of([[1, 0]], [[1, 0]], -np.inf)
    found = measure_code(code, ROWS, 0)
    assert found.explained == pytest.approx(0.8)
    assert found.shares.tolist() == pytest.approx([0.8])
    assert found.active.tolist() == [0.25]


def test_what_is_cut_off_is_not_explained() -> None:
    found = measure_code(code_of([[1, 0], [0, 1]], [[1, 0], [0, 1]]), ROWS, 0)
    assert found.explained == pytest.approx(0.5)
    assert answer(code_of([[1, 0]], [[1, 0]], 2.5), ROWS).max() == 0


def test_a_direction_that_always_answers_the_same_explains_nothing() -> None:
    code = code_of([[0, 0]], [[1, 1]], -np.inf)
    assert measure_code(code, ROWS, 0).shares.tolist() == [0]


def test_share_is_what_is_explained_less_where_a_direction_answers_its_mean() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(200, 5)).astype(np.float32)
    code = code_of(rng.normal(size=(3, 5)).tolist(), rng.normal(size=(3, 5)).tolist())
    found, answers = measure_code(code, rows, 0), answer(code, rows)
    total = float(((rows - rows.mean(0)) ** 2).sum())
    for direction in range(3):
        without = answers.copy()
        without[:, direction] = answers[:, direction].mean()
        explained = 1 - float(((rows - without @ code.decoder) ** 2).sum()) / total
        assert found.shares[direction] == pytest.approx(found.explained - explained, abs=1e-5)


def test_a_layer_that_does_not_vary_has_no_share() -> None:
    found = measure_code(code_of([[1, 0]], [[1, 0]]), np.ones((4, 2), np.float32), 0)
    assert np.isnan(found.explained)
    assert found.shares.tolist() == [0]
