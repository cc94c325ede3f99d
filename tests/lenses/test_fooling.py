"""Fooling images: the source's loop, judged by the picture that is saved."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from atlas.lenses import fooling
from atlas.lenses.fooling import choose_target, fool, is_taken_for, top_predictions
from atlas.network.network import spatial_mean
from atlas.records.lens import FoolingImage
from atlas.records.network import CLASSES
from tests.classifiers import MEAN, STD, classifier, conv_network, normalised, pictures


def fooled(plain: nn.Module, picture: NDArray[np.uint8], target: int) -> FoolingImage:
    network = classifier(plain)
    with network.tap({CLASSES: spatial_mean}) as run:
        return fool(network, run, picture, target)


def transcription(
    plain: nn.Module, picture: NDArray[np.uint8], target: int
) -> tuple[NDArray[np.uint8], int]:
    """The loop of the source for one image, up to the first saved picture that fools."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    x = normalised(picture)
    for step in range(101):
        rgb = ((x[0] * std + mean).clamp(0, 1) * 255).round()
        saved = rgb.byte().permute(1, 2, 0).numpy()
        if step == 100 or int(plain(normalised(saved)).argmax()) == target:
            return saved, step
        x.requires_grad_()
        plain(x)[0, target].backward()
        x = (x + 1.0 * x.grad / x.grad.norm()).detach()
    raise AssertionError


def reachable() -> tuple[NDArray[np.uint8], int]:
    """A picture, and a class that the plain loop pushes it to in a few steps."""
    (picture,) = pictures(1)
    for target in range(12):
        if 1 < transcription(conv_network().eval(), picture, target)[1] < 50:
            return picture, target
    raise AssertionError


def told(plain: nn.Module, picture: NDArray[np.uint8]) -> int:
    """Return the class that a plain network predicts for a picture."""
    return int(plain.eval()(normalised(picture)).argmax())


@pytest.mark.parametrize("target", [0, 3, 8, 11])
def test_loop_equals_a_transcription_of_the_source(target: int) -> None:
    for picture in pictures(3):
        one = fooled(conv_network(), picture, target)
        saved, steps = transcription(conv_network().eval(), picture, target)
        assert one.steps == steps
        assert np.array_equal(one.image, saved)


def test_whether_it_fools_is_what_the_saved_picture_says() -> None:
    found = [fooled(conv_network(), pictures(1)[0], target) for target in range(12)]
    for one in found:
        assert one.fooled == (told(conv_network(), one.image) == one.target)
        assert one.fooled == (one.predictions[0].index == one.target)
    assert any(one.fooled and one.steps > 1 for one in found)


def test_sizes_are_those_of_the_saved_difference() -> None:
    picture, target = reachable()
    one = fooled(conv_network(), picture, target)
    difference = [
        (int(a) - int(b)) / 255 for a, b in zip(one.image.flat, picture.flat, strict=True)
    ]
    assert one.steps > 0
    assert one.l2 == pytest.approx(sum(value**2 for value in difference) ** 0.5)
    assert one.linf == pytest.approx(max(map(abs, difference)))


def test_a_picture_that_is_the_target_already_needs_no_step() -> None:
    (picture,) = pictures(1)
    one = fooled(conv_network(), picture, told(conv_network(), picture))
    assert (one.fooled, one.steps, one.l2, one.linf) == (True, 0, 0, 0)
    assert np.array_equal(one.image, picture)


def test_a_class_of_constant_score_is_never_reached_and_changes_nothing() -> None:
    plain = conv_network()
    plain.classes.weight.data[2] = 0
    plain.classes.bias.data[2] = -1e4
    (picture,) = pictures(1)
    one = fooled(plain, picture, 2)
    assert (one.fooled, one.steps) == (False, 0)
    assert np.array_equal(one.image, picture)


def test_ascent_ends_after_a_hundred_steps() -> None:
    plain = conv_network()
    plain.classes.bias.data[2] = -1e4
    (picture,) = pictures(1)
    one = fooled(plain, picture, 2)
    assert (one.fooled, one.steps) == (False, 100)
    assert one.predictions[0].index == told(plain, one.image) != 2
    assert one.l2 > 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_leave_the_picture_as_it_is(value: float) -> None:
    plain = conv_network()
    plain.classes.weight.data[:] = value
    (picture,) = pictures(1)
    one = fooled(plain, picture, 2)
    assert (one.fooled, one.steps, one.predictions) == (False, 0, ())
    assert np.array_equal(one.image, picture)


def test_networks_that_begin_in_place_can_be_fooled() -> None:
    plain = nn.Sequential(nn.Hardtanh(-9, 9, inplace=True), conv_network())  # changes no value
    picture, target = reachable()
    changed = fooled(conv_network(), picture, target)
    assert np.array_equal(fooled(plain, picture, target).image, changed.image)


def test_a_network_of_one_channel_changes_all_colours_alike() -> None:
    picture = (pictures(1)[0] // 4 + 96).astype(np.uint8)  # far from 0 and 255
    network = classifier(conv_network(colours=1), mean=(0.5,))
    with network.tap({CLASSES: spatial_mean}) as run:
        scores = fooling.classify(network, run, picture)
        one = fool(network, run, picture, int(scores.argsort()[-2]))
    moved = one.image.astype(int) - picture
    assert one.steps > 0
    assert moved.any()
    assert np.array_equal(moved, np.repeat(moved[..., :1], 3, 2))


# --- targets and predictions --------------------------------------------------------------------


def test_target_is_the_least_likely_of_ten_classes_spread_over_all() -> None:
    scores = np.arange(19, dtype=np.float32)  # listed: 0, 2, 4 … 18
    assert choose_target(scores, None, "logits") == 0
    scores[[1, 6]] = -5, -3
    assert choose_target(scores, None, "logits") == 6


def test_target_is_never_the_predicted_class() -> None:
    assert (
        choose_target(np.ones(19, np.float32), None, "logits") == 2
    )  # all tie, and 0 is predicted
    assert choose_target(np.array([1, 0], np.float32), None, "logits") == 1
    assert choose_target(np.array([0, 1], np.float32), None, "logits") == 0


def test_target_has_a_finite_score_where_any_other_class_has() -> None:
    assert choose_target(np.array([np.nan, 1, 2, 3], np.float32), None, "logits") == 1
    assert choose_target(np.array([np.nan, 1], np.float32), None, "logits") == 0


def test_classes_that_do_not_compete_are_all_found_that_are_more_likely_than_not() -> None:
    scores = np.array([2, 0, -0.1, np.nan, 3], np.float32)
    found = [is_taken_for(class_, scores, "multilabel") for class_ in range(5)]
    assert found == [True, True, False, False, True]
    shares = [one.probability for one in top_predictions(scores, "multilabel")]
    assert shares == pytest.approx([1 / (1 + np.exp(-value)) for value in (3, 2, 0, -0.1)])


def test_target_of_classes_that_do_not_compete_is_one_that_is_not_found() -> None:
    assert choose_target(np.array([2, -1, -3, 1], np.float32), None, "multilabel") == 2
    assert choose_target(np.array([2, 1], np.float32), None, "multilabel") is None


def test_target_given_is_the_target() -> None:
    assert choose_target(np.zeros(5, np.float32), 4, "logits") == 4


def test_predictions_are_softmax_of_the_finite_scores() -> None:
    scores = np.log(np.array([1, 2, 3, 2, 8, 0.5], np.float32))
    scores[4] = np.nan
    found = top_predictions(scores, "logits")
    assert [one.index for one in found] == [2, 1, 3, 0, 5]
    expected = [3 / 8.5, 2 / 8.5, 2 / 8.5, 1 / 8.5, 0.5 / 8.5]
    assert [one.probability for one in found] == pytest.approx(expected)


def test_predictions_survive_scores_of_any_size() -> None:
    found = top_predictions(np.array([-3e38, 3e38, 3e38, np.inf], np.float32), "logits")
    assert [(one.index, one.probability) for one in found] == [(1, 0.5), (2, 0.5), (0, 0.0)]


def test_no_finite_score_means_no_prediction() -> None:
    unknown = np.full(4, np.nan, np.float32)
    assert top_predictions(unknown, "logits") == ()
    assert not is_taken_for(0, unknown, "logits")
