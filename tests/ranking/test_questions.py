"""Which photographs a question shows, and which it asks about."""

import numpy as np
import pytest

from atlas.ranking.questions import LEAST_FILES, POOL, choose_pool, sort_out, spread


def test_the_groups_are_those_of_the_sorted_answers() -> None:
    answers = np.random.default_rng(0).permutation(40).astype(float)
    found = sort_out(answers, range(100, 140), range(40))
    assert found
    order = [100 + int(at) for at in np.argsort(-answers)]
    assert list(found.strong) == order[:9]
    assert list(found.high) == order[9:18]
    assert list(found.low) == order[22:31]
    assert list(found.weak) == order[:30:-1]


def test_no_file_is_in_two_groups_and_its_best_crop_stands_for_it() -> None:
    files = np.repeat(np.arange(12), 5)
    answers = np.random.default_rng(1).normal(size=60)
    found = sort_out(answers, range(60), files.tolist())
    assert found
    images = [*found.strong, *found.high, *found.low, *found.weak]
    assert len({int(files[one]) for one in images}) == len(images) == 12
    for one in images:
        assert answers[one] == answers[files == files[one]].max()


@pytest.mark.parametrize("count", [0, 1, LEAST_FILES - 1])
def test_too_few_files_ask_nothing(count: int) -> None:
    assert sort_out(np.arange(count), range(count), range(count)) is None


def test_a_unit_that_does_not_tell_images_apart_asks_nothing() -> None:
    assert sort_out(np.zeros(40), range(40), range(40)) is None
    half = np.array([1.0] * 9 + [0.0] * 31)
    assert sort_out(half, range(40), range(40)) is None, "what is asked about would be a tie"


def test_a_pool_holds_every_file_before_a_second_crop_of_one() -> None:
    files = np.repeat(np.arange(20), 3)
    pool = choose_pool(files, 25)
    assert len(pool) == 25
    assert set(files[pool]) == set(range(20))
    assert len(choose_pool(files, 5)) == 5
    assert len(choose_pool(np.arange(5000))) == POOL


def test_places_are_evenly_spread() -> None:
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    assert spread(3, 9).tolist() == [0, 1, 2]
    assert spread(5, 0).tolist() == []
