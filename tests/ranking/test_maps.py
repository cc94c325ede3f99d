"""The grid of a map: likes side by side, the same every time, positions by digests."""

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking.maps import (
    LARGEST_ROWS,
    Scale,
    choose_places,
    grid_shape,
    lay_out,
    nearest_of_files,
    of_length_one,
    sums_of,
)


def ring(count: int, channels: int = 6, seed: int = 0) -> NDArray[np.float64]:
    """Directions all around a circle, in the plane of the first two channels, with some noise."""
    random = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(count) / count
    rows = random.normal(0, 0.05, (count, channels))
    rows[:, 0] += np.cos(angles)
    rows[:, 1] += np.sin(angles)
    return rows


def test_like_positions_share_a_cell_and_neighbours_are_alike() -> None:
    rows, shape = ring(1200), (6, 8)
    cells = lay_out(rows, shape)
    sums, counts = sums_of(rows, cells, 48)
    means = of_length_one(sums).reshape(6, 8, -1)
    within = (of_length_one(rows) * of_length_one(sums)[cells]).sum(1)
    assert within.mean() > 0.98
    filled = counts.reshape(6, 8) > 0
    beside = (means[:, 1:] * means[:, :-1]).sum(2)[filled[:, 1:] & filled[:, :-1]]
    anywhere = means[filled] @ means[filled].T
    assert beside.mean() > anywhere.mean() + 0.5


def test_the_grid_is_the_same_every_time_and_at_any_length_of_the_rows() -> None:
    rows = ring(300)
    first = lay_out(rows, (3, 4))
    assert (lay_out(rows.copy(), (3, 4)) == first).all()
    assert (lay_out(4 * rows, (3, 4)) == first).all()


@pytest.mark.parametrize("channels", [2, 3])
def test_rows_that_are_all_alike_have_a_grid_too(channels: int) -> None:
    assert lay_out(np.ones((20, channels)), (2, 3)).shape == (20,)
    assert lay_out(np.zeros((20, channels)), (2, 3)).shape == (20,)


def test_places_depend_on_the_file_alone() -> None:
    digest, other = "1" * 64, "2" * 64
    assert choose_places(digest, 3, 5, 49).tolist() == choose_places(digest, 3, 5, 49).tolist()
    drawn = {
        tuple(choose_places(*which, 5, 49).tolist())
        for which in ((digest, 3), (digest, 4), (other, 3))
    }
    assert len(drawn) == 3
    assert choose_places(digest, 0, 9, 4).tolist() == [0, 1, 2, 3]
    assert len({*choose_places(digest, 0, 49, 49).tolist()}) == 49


@pytest.mark.parametrize(
    ("positions", "shape"),
    [(1, (2, 3)), (300, (3, 4)), (1200, (6, 8)), (8000, (12, 16)), (10**6, (LARGEST_ROWS, 16))],
)
def test_the_grid_grows_with_the_positions_up_to_192_cells(
    positions: int, shape: tuple[int, int]
) -> None:
    assert grid_shape(positions) == shape


def test_activations_are_standardised_over_positions_and_flat_channels_stay() -> None:
    activations = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    assert Scale.of(activations).standardise(activations).tolist() == [[-1, 0], [1, 0]]


def test_of_each_file_the_nearest_position_counts() -> None:
    rows = np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = nearest_of_files(rows, np.array([1.0, 0.0]), np.arange(4), ["a", "a", "b", "c"], 2)
    assert found == [1, 3]
