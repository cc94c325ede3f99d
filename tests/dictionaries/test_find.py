"""Directions that were planted are found, by an encoder that is a function of one position."""

import numpy as np
import pytest

from atlas.dictionaries import find
from atlas.dictionaries.find import find_code
from atlas.dictionaries.measure import answer, measure_code
from atlas.records.dictionary import Code
from atlas.records.wanted import FITTED

pytest.importorskip("sklearn")

K, CHANNELS = 4, 12


def planted(signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are sparse sums of four directions of length 1, and the directions."""
    rng = np.random.default_rng(0)
    sources = rng.exponential(1, (2000, K)) * (rng.random((2000, K)) < 0.15)
    if signed:
        directions = np.linalg.qr(rng.normal(size=(CHANNELS, CHANNELS)))[0][:K]
    else:
        directions = np.kron(np.eye(K), np.ones(CHANNELS // K)) / np.sqrt(CHANNELS // K)
    return (sources @ directions).astype(np.float32), directions.astype(np.float32)


def cosines(code: Code, directions: np.ndarray) -> np.ndarray:
    """The largest cosine of each planted direction with a found one."""
    rows = code.decoder / np.linalg.norm(code.decoder, axis=1, keepdims=True)
    return np.asarray((directions @ rows.T).max(1))


@pytest.mark.parametrize(("method", "signed"), [("nmf", False), ("semi-nmf", True)])
def test_planted_directions_are_recovered(method: str, signed: bool) -> None:
    rows, directions = planted(signed)
    code = find_code(method, rows[:1500], K, 0)  # type: ignore[arg-type]
    assert (cosines(code, directions) > 0.95).all()
    assert measure_code(code, rows[1500:], 0).explained > 0.95


@pytest.mark.parametrize("method", FITTED)
def test_shuffled_activations_are_explained_less(method: str) -> None:
    rows, _ = planted(signed=False)
    found = measure_code(find_code(method, rows, K, 0), rows, 0)  # type: ignore[arg-type]
    assert found.explained > found.shuffled + 0.2


@pytest.mark.parametrize("method", FITTED)
def test_the_same_activations_give_the_same_bytes(method: str) -> None:
    rows, _ = planted(signed=False)
    one, other = (find_code(method, rows, K, 0) for _ in range(2))  # type: ignore[arg-type]
    assert all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in Code.__slots__
    )


def test_answers_of_semi_nmf_are_as_sparse_as_what_was_planted() -> None:
    rows, _ = planted(signed=True)
    code = find_code("semi-nmf", rows, K, 0)
    assert (answer(code, rows) > 0.05).mean() < 0.25  # 0.15 of the sources are on


def test_kmeans_answers_by_how_much_nearer_a_centre_is_than_centres_on_average() -> None:
    corners = np.array([[0, 0], [0, 4], [4, 0], [4, 4]], np.float32)
    rows = np.repeat(corners, 10, axis=0)
    code = find_code("kmeans", rows, 4, 0)
    found = answer(code, np.array([[0, 0]], np.float32))[0]
    # squared distances 0, 16, 16, 32: 16 on average, so only the nearest is above 0
    np.testing.assert_allclose(np.sort(found), [0, 0, 0, 16], atol=1e-3)


def test_pca_gives_signed_scores_and_all_of_the_variance_with_all_directions() -> None:
    rows, _ = planted(signed=True)
    code = find_code("pca", rows, CHANNELS, 0)
    scores = answer(code, rows)
    assert scores.min() < 0 < scores.max()
    np.testing.assert_allclose(scores @ code.decoder + code.offset, rows, atol=1e-4)


def test_encoder_does_not_run_away_on_a_channel_that_is_hardly_ever_on() -> None:
    rng = np.random.default_rng(1)
    rows, _ = planted(signed=False)
    rare = np.zeros((len(rows), 400), np.float32)
    rare[rng.integers(0, 1000, 400), np.arange(400)] = 1  # each once among those that are seen
    rare[1500:] = 3 * (rng.random((500, 400)) < 0.01)
    wide = np.hstack([10 * rows, rare]).astype(np.float32)
    code = find_code("nmf", wide[:1000], K, 0)
    assert measure_code(code, wide[1500:], 0).explained > 0.5


def test_steps_of_the_encoder_come_closer_than_the_linear_map() -> None:
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(500, 6)).astype(np.float32)
    wanted = np.maximum(inputs @ rng.normal(size=(6, 3)) - 1, 0).astype(np.float32)
    inputs -= inputs.mean(0)
    first = find.linear_map(inputs, wanted)

    def missed(weights: np.ndarray, bias: np.ndarray) -> float:
        return float(((np.maximum(inputs @ weights + bias, 0) - wanted) ** 2).mean())

    assert missed(*find.rectified(inputs, wanted, first)) < 0.1 * missed(*first)
