"""Drafts: what is remembered of a batch, unit by unit."""

import numpy as np
import pytest
import torch

from atlas.rendering.job import CURVE_POINTS, Log, last_finite


def log_of(steps: int) -> Log:
    """Two units whose objective is the step and minus the step."""
    log = Log(2, torch.device("cpu"))
    for step in range(steps):
        log.add(torch.tensor([float(step), -float(step)]))
    return log


def test_curve_is_even_from_the_first_step_to_the_last() -> None:
    log = log_of(128)
    log.end_octave(128, torch.zeros(2, 3, 8, 8))
    first, second = log.drafts(8)
    assert len(first.objective) == CURVE_POINTS
    assert first.objective[0] == 0
    assert first.objective[-1] == 127
    assert set(np.diff(first.objective)) <= {4.0, 5.0}
    assert np.array_equal(second.objective, -first.objective)


def test_short_curves_are_kept_whole() -> None:
    log = log_of(5)
    log.end_octave(5, torch.zeros(2, 3, 8, 8))
    assert log.drafts(8)[0].objective.tolist() == [0, 1, 2, 3, 4]


def test_octaves_and_snapshots_are_in_order() -> None:
    log = log_of(3)
    log.end_octave(2, torch.full((2, 3, 8, 8), 0.25))
    log.end_octave(1, torch.full((2, 3, 16, 16), 0.75))
    draft = log.drafts(16)[1]
    assert draft.octave_steps == (2, 1)
    assert [snapshot.shape for snapshot in draft.snapshots] == [(3, 8, 8), (3, 16, 16)]
    assert (draft.image == 0.75).all()


def test_unit_is_silent_only_if_it_never_moved() -> None:
    log = log_of(2)
    log.moved(torch.tensor([False, True]))
    log.moved(torch.tensor([False, False]))
    log.end_octave(2, torch.zeros(2, 3, 8, 8))
    assert [draft.silent for draft in log.drafts(8)] == [True, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_unit_that_met_a_bad_value_is_not_finite_and_its_neighbour_is(bad: float) -> None:
    log = log_of(1)
    log.add(torch.tensor([bad, 1.0]))
    log.add(torch.tensor([2.0, 2.0]))
    log.end_octave(3, torch.zeros(2, 3, 8, 8))
    assert [draft.finite for draft in log.drafts(8)] == [False, True]
    log = log_of(1)
    log.end_octave(1, torch.stack([torch.zeros(3, 8, 8), torch.full((3, 8, 8), bad)]))
    assert [draft.finite for draft in log.drafts(8)] == [True, False]


def test_last_finite_picture_stands_in_at_full_size() -> None:
    good = np.full((3, 8, 8), 0.25, np.float32)
    bad = np.full((3, 16, 16), np.nan, np.float32)
    image = last_finite([good, bad], 16)
    assert image.shape == (3, 16, 16)
    np.testing.assert_allclose(image, 0.25)
    assert (last_finite([bad], 16) == 0.5).all()
    assert last_finite([bad, good], 8) is good
