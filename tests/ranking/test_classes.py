"""Choosing classes, their probabilities, and the images of each."""

import numpy as np
import pytest

from atlas.errors import UsageError
from atlas.ranking.classes import (
    class_name,
    class_probabilities,
    find_classes,
    likely_classes,
    probabilities,
    spread_classes,
    varied_samples,
)
from atlas.ranking.ranking import channel_statistics
from atlas.records.network import CLASSES
from atlas.records.samples import Sample
from atlas.records.statistics import LayerStats
from tests.helpers import layer_info

NAMES = ("tabby", "crane", "Tiger Cat", "crane")


def scores(table: list[list[float]]) -> LayerStats:
    """Statistics of class scores (N, K)."""
    means = np.array(table, np.float32)
    places = np.zeros(means.shape, np.int32)
    info = layer_info(CLASSES, means.shape[1], 1)
    return channel_statistics(info, 8, means=means, peaks=means, places=places, deviations=means)


def sample(index: int, file: str) -> Sample:
    return Sample(index=index, name=f"{file}#{index}", sha256=file, box=(0, 0, 1, 1))


def test_classes_are_found_by_index_name_and_in_any_case() -> None:
    assert find_classes("--classes", ("3", "tiger cat", "0"), NAMES, 4) == (3, 2, 0)


def test_a_name_that_two_classes_share_means_both_and_none_comes_twice() -> None:
    assert find_classes("--classes", ("crane", "1"), NAMES, 4) == (1, 3)


def test_a_number_that_is_a_name_is_the_name() -> None:
    """Folders 0, 1, 10, 2 in the order in which they are sorted."""
    assert find_classes("--classes", ("10", "2", "3"), ("0", "1", "10", "2"), 4) == (2, 3)
    assert find_classes("--classes", ("3",), ("zero", "one", "two", "three"), 4) == (3,)


def test_unknown_class_is_answered_with_the_closest_names() -> None:
    with pytest.raises(UsageError, match=r"no class .tabbi.*tabby.*0 to 3"):
        find_classes("--classes", ("tabbi",), NAMES, 4)
    with pytest.raises(UsageError, match="no class '4'"):
        find_classes("--classes", ("4",), NAMES, 4)
    with pytest.raises(UsageError, match="no class 'cat'; allowed: 0 to 3"):
        find_classes("--classes", ("cat",), (), 4)


def test_a_class_without_a_name_is_called_by_its_number() -> None:
    assert class_name(NAMES, 2) == "Tiger Cat"
    assert class_name((), 2) == "class 2"


def test_probabilities_are_the_softmax_of_the_scores() -> None:
    got = class_probabilities(scores([[0.0, 0.0], [np.log(3), 0.0]]), "logits")
    assert got == pytest.approx(np.array([[0.5, 0.5], [0.75, 0.25]]), abs=1e-3)


def test_classes_that_do_not_compete_have_a_probability_each() -> None:
    table = np.array([[0.0, np.log(3), -np.log(4)], [np.nan, 800.0, -800.0]])
    expected = np.array([[0.5, 0.75, 0.2], [0, 1, 0]])
    assert probabilities(table, "multilabel") == pytest.approx(expected)
    assert probabilities(table, "multilabel-logits") == pytest.approx(expected)


def test_no_finite_score_leaves_nothing_to_share() -> None:
    assert probabilities(np.full((1, 2), np.nan), "logits").tolist() == [[0, 0]]


def test_likely_classes_go_by_their_best_image_not_by_their_mean() -> None:
    table = [[2.0, 9.0, 0.0], [2.0, -9.0, 0.0], [2.0, -9.0, 0.0]]  # class 1: sure of one image
    assert likely_classes(scores(table), "logits").tolist() == [1, 0, 2]


def test_scores_that_are_not_finite_are_never_likely() -> None:
    table = [[np.nan, 1.0, 0.0], [2.0, -9.0, 0.0]]
    assert likely_classes(scores(table), "logits").tolist() == [2, 1]
    assert class_probabilities(scores(table), "logits")[:, 0].tolist() == [0, 0]


def test_spread_classes_hold_first_and_last_and_no_class_twice() -> None:
    assert spread_classes(1000) == (0, 111, 222, 333, 444, 555, 666, 777, 888, 999)
    assert spread_classes(3) == (0, 1, 2)


def test_samples_come_from_as_many_files_as_possible() -> None:
    samples = [sample(0, "a"), sample(1, "a"), sample(2, "a"), sample(3, "b"), sample(4, "c")]
    assert varied_samples(samples, 3) == (0, 3, 4)
    assert varied_samples(samples, 4) == (0, 1, 3, 4)
    assert varied_samples(samples, 9) == (0, 1, 2, 3, 4)


def files(*names: str) -> list[Sample]:
    """Distinct files of these paths."""
    rows = enumerate(names)
    return [Sample(index=index, name=one, sha256=one, box=(0, 0, 1, 1)) for index, one in rows]


def test_samples_come_from_every_folder_in_turn() -> None:
    samples = files("a/0", "a/1", "a/2", "b/0", "b/1", "c/d/0", "top")
    assert varied_samples(samples, 4) == (0, 3, 5, 6)
    assert varied_samples(samples, 6) == (0, 1, 3, 4, 5, 6)
    assert varied_samples(samples, 7) == (0, 1, 2, 3, 4, 5, 6)


def test_samples_are_spread_over_more_folders_than_are_wanted() -> None:
    samples = files(*(f"{folder}/{name}" for folder in "abcdefgh" for name in "01"))
    assert varied_samples(samples, 4) == (0, 4, 8, 12)  # a, c, e, g


def test_one_file_in_two_folders_counts_once() -> None:
    same = [
        Sample(index=0, name="a/0", sha256="x", box=(0, 0, 1, 1)),
        Sample(index=1, name="b/0", sha256="x", box=(0, 0, 1, 1)),
        Sample(index=2, name="b/1", sha256="y", box=(0, 0, 1, 1)),
    ]
    assert varied_samples(same, 2) == (0, 2)
