"""Like units stand side by side, and every unit stands somewhere once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking.grid import arrange_alike, walk_strips
from tests.ranking.test_similar import planted, stats_of


def neighbours(grid: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of places side by side or one above the other."""
    beside = np.concatenate([grid[:, :-1].ravel(), grid[:-1].ravel()])
    others = np.concatenate([grid[:, 1:].ravel(), grid[1:].ravel()])
    both = (beside >= 0) & (others >= 0)
    return list(zip(beside[both].tolist(), others[both].tolist(), strict=True))


def patches(grid: NDArray[np.int64], group_of: list[int]) -> int:
    """How many connected patches the groups fall into; as many as groups at best."""
    patch = list(range(len(group_of)))
    for _ in patch:
        for one, other in neighbours(grid):
            if group_of[one] == group_of[other]:
                patch[one] = patch[other] = min(patch[one], patch[other])
    return len(set(patch))


@pytest.mark.parametrize(("groups", "members"), [(2, 2), (3, 5), (7, 6), (20, 3), (9, 20)])
def test_planted_groups_stand_together_in_both_directions(groups: int, members: int) -> None:
    values, group_of = planted(groups, members, groups)
    grid = arrange_alike(stats_of("a", values), range(len(group_of)))
    assert patches(grid, group_of) == groups


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24, 40, 57])
def test_every_unit_stands_on_the_grid_once_and_no_row_or_column_is_empty(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(30, count))
    channels = tuple(np.random.default_rng(0).permutation(count).tolist())
    grid = arrange_alike(stats_of("a", values), channels)
    assert sorted(grid[grid >= 0].tolist()) == list(range(count))
    assert (grid >= 0).any(0).all()
    assert (grid >= 0).any(1).all()


def test_the_same_units_always_stand_on_the_same_places() -> None:
    stats = stats_of("a", planted(5, 6, 1)[0])
    first = arrange_alike(stats, range(30))
    assert (first == arrange_alike(stats, range(30))).all()


def test_no_unit_makes_an_empty_grid() -> None:
    assert arrange_alike(stats_of("a", np.zeros((4, 3))), ()).size == 0


def test_units_that_never_vary_stand_last() -> None:
    values, _ = planted(2, 4, 0)
    values[:, 5] = 0
    grid = arrange_alike(stats_of("a", values), range(8))
    assert grid[list(walk_strips(*grid.shape))[7]] == 5


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 9), (3, 5), (4, 8), (5, 9), (13, 27)])
def test_a_walk_visits_every_cell_once_by_steps_to_near_cells(rows: int, columns: int) -> None:
    cells = list(walk_strips(rows, columns))
    assert sorted(cells) == [(row, column) for row in range(rows) for column in range(columns)]
    steps = np.abs(np.diff(np.array(cells), axis=0)) if len(cells) > 1 else np.zeros((0, 2))
    assert (steps[:, 1] <= 1).all()
    assert (steps.sum(1) > 1).sum() <= round(rows / 4), "only where a strip ends"
