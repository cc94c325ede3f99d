"""Meanings: planted unions fall apart, pure units and random images do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking import meanings
from atlas.ranking.meanings import (
    BEST,
    CHANCE,
    LEAST_GROUP,
    Null,
    best_images,
    by_size,
    first_of_files,
    others_of,
    silhouettes,
    split_sets,
)
from atlas.ranking.ranking import channel_statistics
from tests.helpers import layer_info

Views = NDArray[np.float64]


def of_length_one(rows: Views) -> Views:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def cloud(random: np.random.Generator, count: int, centre: int = -1) -> Views:
    """Views of images without order, or of a kind of thing: near an axis."""
    rows = random.normal(size=(count, 24)) * np.linspace(2, 0.3, 24)
    if centre >= 0:
        rows[:, centre] += 6
    return of_length_one(rows)


@pytest.fixture(scope="module")
def null() -> Null:
    """Of 300 images without order."""
    return Null(cloud(np.random.default_rng(0), 300), BEST, np.random.default_rng(1))


@pytest.mark.parametrize("sizes", [(32,), (16, 16), (26, 6), (12, 10, 10), (8, 8, 8, 8)])
def test_a_union_of_detectors_has_as_many_meanings_as_parts(
    null: Null, sizes: tuple[int, ...]
) -> None:
    random = np.random.default_rng(len(sizes))
    for _ in range(10):
        views = np.concatenate([cloud(random, size, 12 + at) for at, size in enumerate(sizes)])
        split = null.split(views)
        assert split.meanings == len(sizes)
        assert (split.chance <= CHANCE) == (len(sizes) > 1)
        parts = np.repeat(np.arange(len(sizes)), sizes)
        own = [np.bincount(split.groups[parts == at]).max() for at in range(len(sizes))]
        assert sum(own) >= BEST - 1  # k-means takes one for another's now and then


def test_at_most_a_twentieth_of_random_sets_is_split(null: Null) -> None:
    """Sets of the images behind the null, and of others like them; 3 standard errors above .05."""
    random = np.random.default_rng(5)
    pool = cloud(np.random.default_rng(0), 300)
    for draw in (
        lambda: pool[random.permutation(300)[:BEST]],
        lambda: cloud(random, BEST),
    ):
        wrong = sum(null.split(draw()).meanings > 1 for _ in range(400))
        assert wrong / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_chance_is_that_of_the_null_itself(null: Null) -> None:
    """Of the sets of the null, each is among the most clearly split as often as its place says."""
    assert np.mean(null.smallest <= np.quantile(null.smallest, 0.05)) == pytest.approx(
        0.05, abs=0.01
    )


def test_exceptions_are_no_meaning(null: Null) -> None:
    random = np.random.default_rng(2)
    some = LEAST_GROUP - 1
    views = np.concatenate([cloud(random, BEST - some, 12), cloud(random, some, 13)])
    assert null.split(views).meanings == 1


def test_the_silhouette_is_that_of_its_definition() -> None:
    random = np.random.default_rng(3)
    views = cloud(random, 15)
    groups = np.array([0] * 5 + [1] * 5 + [2] * 5)
    distances = 1 - views @ views.T
    single = []
    for at in range(15):
        own = [
            distances[at, other]
            for other in range(15)
            if other != at and groups[other] == groups[at]
        ]
        others = [
            distances[at, groups == group].mean() for group in range(3) if group != groups[at]
        ]
        inside, outside = np.mean(own), min(others)
        single.append((outside - inside) / max(outside, inside))
    found = silhouettes(distances[None], groups[None], 3)
    assert found == pytest.approx([np.mean(single)])


def test_a_set_is_split_as_it_is_alone() -> None:
    random = np.random.default_rng(4)
    grams = np.stack([one @ one.T for one in (cloud(random, BEST) for _ in range(6))])
    together, scores = split_sets(grams, 3)
    for at in range(6):
        alone, score = split_sets(grams[at : at + 1], 3)
        assert (alone[0] == together[at]).all()
        assert score == pytest.approx(scores[at : at + 1])


def test_groups_are_numbered_by_size_and_then_by_their_first_image() -> None:
    assert by_size(np.array([2, 2, 0, 1, 1, 1])).tolist() == [1, 1, 2, 0, 0, 0]
    assert by_size(np.array([3, 1, 3, 1])).tolist() == [0, 1, 0, 1]


def test_of_a_file_the_best_image_counts() -> None:
    assert first_of_files([4, 2, 0, 1], ["a", "b", "c", "d", "c"]) == [4, 0, 1]


def test_best_images_are_usable_and_of_different_files() -> None:
    peaks = np.array([[1, 9], [5, 8], [4, 7], [3, 6], [5, 5]], np.float32)
    means = peaks / np.array([[1, 1], [1, 1], [1, 1], [1, 1], [2, 1]], np.float32)
    nowhere = np.zeros(peaks.shape, np.int32)
    stats = channel_statistics(layer_info("l", 2, 8), 8, means, peaks, nowhere, peaks)
    usable = np.array([True, True, True, False, True])
    assert best_images(stats, 0, usable, ["a", "b", "c", "d", "c"]) == [1, 4, 0]
    assert best_images(stats, 1, usable, ["a", "a", "c", "d", "e"]) == [0, 2, 4]


def test_images_belong_to_the_meaning_that_they_are_most_like() -> None:
    views = np.eye(3)[[0, 0, 1, 1]]
    natural = of_length_one(np.array([[2.0, 1, 0], [1.0, 2, 0], [1.0, 0, 5]]))
    assert others_of(views, (0, 0, 1, 1), 0, natural).tolist() == [False, True, False]
    assert others_of(views, (0, 0, 1, 1), 1, natural).tolist() == [True, False, True]


def test_fewer_sets_give_coarser_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanings, "SETS", 9)
    pool = cloud(np.random.default_rng(0), 80)
    split = Null(pool, BEST, np.random.default_rng(1)).split(cloud(np.random.default_rng(2), BEST))
    assert split.chance in [one / 10 for one in range(1, 11)]
