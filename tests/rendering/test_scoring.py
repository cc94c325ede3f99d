"""Scores: REACH, SELECT, ROBUST and HF by hand, natural ends for both signs, the gates."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.network.network import Network
from atlas.ranking.ranking import channel_statistics
from atlas.records.network import CLASSES
from atlas.records.statistics import LayerStats
from atlas.records.units import Scores
from atlas.rendering.scoring import (
    high_frequency,
    judge,
    reach_of,
    score_images,
    select_gate,
    transformed,
)
from tests.helpers import layer_info, network_of, smooth_images

GOOD = Scores(activation=2.0, reach=1.0, select=3, robust=0.6, hf=3.0)


class Colours(nn.Module):
    """Its channels are the colours, then a constant: every activation is a mean of pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([images, torch.full_like(images[:, :1], 7.0)], 1)


def colours(side: int = 16) -> Network:
    return network_of(nn.Sequential(Colours(), nn.Identity()), ["0"], side)


def flat(red: int, green: int, blue: int, side: int = 16) -> NDArray[np.uint8]:
    return np.full((side, side, 3), (red, green, blue), np.uint8)


def natural(rows: list[list[float]]) -> LayerStats:
    """Statistics of images whose colour means are given, and of the constant channel."""
    means = np.array([[*row, 7.0] for row in rows], np.float32)
    return channel_statistics(
        layer_info("0", 4, 16), 16, means, means, np.zeros(means.shape, np.int32), means
    )


STATS = natural([[0.2, 0.1, 0.5], [0.4, 0.3, 0.5], [0.3, 0.5, 0.2]])


def score(picture: NDArray[np.uint8], channel: int, side: int = 16) -> Scores:
    (scores,) = score_images(colours(side), "0", [channel], [picture], STATS, 0.5)
    return scores


# --- classes -------------------------------------------------------------------------------------


class Scorer(nn.Module):
    """Class scores (N, 3): red, green, and a third that is .6 on every picture."""

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean((2, 3))
        return torch.stack([means[:, 0], means[:, 1], torch.full_like(means[:, 0], 0.6)], 1)


def class_score(picture: NDArray[np.uint8], channel: int) -> Scores:
    means = np.array([[0.9, 0.1, 0.6], [0.5, 0.2, 0.6]], np.float32)
    info = layer_info(CLASSES, 3, 1)
    stats = channel_statistics(info, 16, means, means, np.zeros(means.shape, np.int32), means)
    network = network_of(nn.Sequential(Scorer()), [CLASSES], 16)
    (scores,) = score_images(network, CLASSES, [channel], [picture], stats, 0.5)
    return scores


def test_classes_are_ranked_by_the_score_itself_not_by_its_distance_from_nature() -> None:
    green = flat(0, 128, 0)  # scores 0, .502, .6: far above green's nature, yet second
    assert class_score(green, 1).select == 2
    assert class_score(flat(0, 255, 0), 1).select == 1


def test_ranks_are_those_under_the_eight_transforms() -> None:
    assert class_score(flat(0, 128, 0), 1).ranks == (2,) * 8
    assert class_score(flat(0, 255, 0), 1).ranks == (1,) * 8
    assert len(score(flat(255, 0, 0), 0).ranks) == 8


def test_confidence_is_the_softmax_of_the_own_class_and_only_for_classes() -> None:
    scores = np.exp([0, 1, 0.6])
    assert class_score(flat(0, 255, 0), 1).confidence == pytest.approx(scores[1] / scores.sum())
    assert math.isnan(score(flat(255, 0, 0), 0).confidence)


def test_a_class_has_to_come_first() -> None:
    second = replace(GOOD, select=2)
    assert judge(second, True, False)[0] == "ok"
    assert judge(second, True, False, largest_select=1) == (
        "weak",
        "SELECT 2 is above 1: others respond more",
    )


def test_a_class_by_itself_has_to_be_more_likely_than_not_in_whatever_place() -> None:
    gate = select_gate(CLASSES, "multilabel")
    assert judge(replace(GOOD, select=40, confidence=0.5), True, False, gate) == ("ok", "")
    assert judge(replace(GOOD, confidence=0.49), True, False, gate) == (
        "weak",
        "CONFIDENCE 0.49 is below 0.5: the network does not find the class in it",
    )


def test_only_classes_have_gates_of_their_own() -> None:
    assert select_gate(CLASSES, "probabilities") == 1
    assert select_gate("relu1", "multilabel") == select_gate("relu1", "logits") == 3


# --- REACH, SELECT, ROBUST -----------------------------------------------------------------------


@pytest.mark.parametrize(("red", "reach"), [(102, 1.0), (255, 7.0), (0, -3.0)])
def test_reach_is_distance_from_the_mean_over_that_of_the_best_image(
    red: int, reach: float
) -> None:
    scores = score(flat(red, 0, 0), 0)  # red: mean .3, maximum .4
    assert scores.activation == pytest.approx(red / 255, rel=1e-5)
    assert scores.reach == pytest.approx(reach, rel=1e-4)


def test_every_picture_is_scored_for_its_own_channel() -> None:
    pictures = [flat(102, 0, 255), flat(102, 127, 0), flat(0, 0, 255)]
    scores = score_images(colours(), "0", [0, 1, 2], pictures, STATS, 0.5)
    assert [one.reach for one in scores] == pytest.approx(
        [1.0, (127 / 255 - 0.3) / 0.2, (1 - 0.4) / 0.1], rel=1e-4
    )
    alone = [score(picture, channel) for channel, picture in enumerate(pictures)]
    for one, other in zip(scores, alone, strict=True):
        assert one.select == other.select
        assert one.reach == pytest.approx(other.reach, rel=1e-5)


def test_select_is_the_rank_by_standardised_activation() -> None:
    # spreads: red .0816, green .163, blue .141; z of (.4, .75, .9): 1.22, 2.76, 3.54, constant 0
    picture = flat(102, 191, 230)
    assert [score(picture, channel).select for channel in range(4)] == [3, 2, 1, 4]


def test_ties_in_select_share_the_better_rank() -> None:
    even = natural([[0.2, 0.2, 0.2], [0.4, 0.4, 0.4]])
    scores = score_images(colours(), "0", [0, 1, 2], [flat(200, 200, 200)] * 3, even, 0.5)
    assert [one.select for one in scores] == [1, 1, 1]


def test_robust_is_one_where_no_transform_changes_the_response() -> None:
    assert score(flat(200, 0, 0), 0).robust == pytest.approx(1.0, abs=0.01)  # JPEG moves a level


def test_robust_is_the_median_over_eight_transforms() -> None:
    class Corner(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[:, :1, :2, :2]  # sees four pixels only

    side = 64
    picture = smooth_images(1, side)[0].copy()
    picture[:3, :3] = 255
    network = network_of(nn.Sequential(Corner(), nn.Identity()), ["0"], side)
    means = np.array([[0.1], [0.5]], np.float32)
    stats = channel_statistics(
        layer_info("0", 1, 2), side, means, means, np.zeros((2, 1), np.int32), means
    )
    (scores,) = score_images(network, "0", [0], [picture], stats, 0.5)
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    copies = transformed(images, [picture])
    assert len(copies) == 8
    seen = [float(copy[0, 0, :2, :2].mean()) for copy in copies]
    kept = sorted((value - 0.3) / 0.2 / scores.reach for value in seen)
    assert scores.reach == pytest.approx((1 - 0.3) / 0.2, rel=1e-5)
    assert scores.robust == pytest.approx((kept[3] + kept[4]) / 2, rel=1e-4)
    assert scores.robust < 0.9


def test_picture_below_the_natural_mean_is_not_robust() -> None:
    assert score(flat(0, 0, 0), 0).robust == 0


def test_channel_that_never_varies_has_finite_scores() -> None:
    scores = score(flat(10, 20, 30), 3)
    assert scores.reach == 0
    assert scores.robust == 0
    assert all(map(math.isfinite, (scores.reach, scores.robust, scores.hf)))
    zero = np.zeros(1, np.float32)
    assert np.isfinite(reach_of(zero, zero, zero)).all()


def test_picture_of_another_size_is_fitted_to_the_input() -> None:
    assert score(flat(102, 0, 0, 50), 0).reach == pytest.approx(1.0, rel=1e-4)


def test_what_a_unit_dislikes_is_measured_towards_the_natural_minimum() -> None:
    # red: mean .3, minimum .2, spread .0816; green .3, spread .163; blue .4, spread .141
    picture = flat(51, 0, 255)  # z: red −1.22, green −1.84, blue 4.24, constant 0
    (scores,) = score_images(colours(), "0", [0], [picture], STATS, 0.5, sign=-1)
    assert scores.activation == pytest.approx(0.2, rel=1e-5)
    assert scores.reach == pytest.approx(1.0, rel=1e-2), "the minimum is kept in half precision"
    assert scores.select == 2


def test_activations_that_overflow_have_scores_that_do_not() -> None:
    huge = np.array([3e38, -3e38, np.inf], np.float32)
    zero = np.zeros(3, np.float32)
    assert np.isfinite(reach_of(huge, zero, zero)).all()
    assert np.isnan(reach_of(zero + np.nan, zero, zero)).all()


# --- HF ------------------------------------------------------------------------------------------


def grating(cycles_y: int, cycles_x: int, side: int = 64) -> NDArray[np.uint8]:
    y, x = np.mgrid[:side, :side] / side
    wave = 127.5 + 100 * np.cos(2 * np.pi * (cycles_y * y + cycles_x * x))
    return np.round(wave)[..., None].repeat(3, 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("cycles", "share"), [((10, 0), 0), ((0, 10), 0), ((24, 0), 1), ((0, 24), 1), ((20, 20), 1)]
)
def test_grating_has_its_energy_on_its_side_of_a_quarter_cycle(
    cycles: tuple[int, int], share: float
) -> None:
    assert high_frequency(grating(*cycles)[None])[0] == pytest.approx(share, abs=1e-3)


def test_share_is_that_of_the_full_spectrum() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    noise[1] = noise[1, :, :1]  # rows only: all its energy lies in the first column
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    frequency = np.fft.fftfreq(32)
    high = np.hypot(frequency[:, None], frequency) > 0.25
    for image, got in zip(noise, high_frequency(noise), strict=True):
        grey = image.astype(float).mean(2)
        grey = (grey - grey.mean()) * window * window[:, None]
        power = np.abs(np.fft.fft2(grey)) ** 2
        assert got == pytest.approx(power[high].sum() / power.sum(), rel=1e-5)


def test_flat_picture_has_no_high_frequencies() -> None:
    assert high_frequency(np.stack([flat(128, 128, 128), flat(3, 50, 99)])).max() < 1e-9


def test_hf_score_is_over_the_natural_median() -> None:
    network = colours(64)
    scores = [
        score_images(network, "0", [0], [grating(24, 0)], STATS, median)[0].hf
        for median in (0.5, 0.02, 0.0)
    ]
    assert scores[:2] == pytest.approx([2.0, 50.0], rel=1e-3)
    assert math.isfinite(scores[2])


# --- gates ---------------------------------------------------------------------------------------


def test_scores_at_the_gates_are_ok() -> None:
    assert judge(GOOD, finite=True, silent=False) == ("ok", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reach": 0.994}, "REACH 0.99 is below 1: real images excite it more"),
        ({"select": 4}, "SELECT 4 is above 3: others respond more"),
        ({"robust": 0.5}, "ROBUST 0.50 is below 0.6: small changes weaken it"),
        ({"hf": 3.5}, "HF 3.50 is above 3: more fine noise than photographs"),
    ],
)
def test_each_gate_makes_a_picture_weak_and_says_so(change: dict[str, float], reason: str) -> None:
    assert judge(replace(GOOD, **change), finite=True, silent=False) == ("weak", reason)


def test_all_failed_gates_are_named() -> None:
    status, reason = judge(replace(GOOD, reach=0.1, hf=9.0), finite=True, silent=False)
    assert status == "weak"
    assert [part.split()[0] for part in reason.split("; ")] == ["REACH", "HF"]


def test_scores_that_are_not_numbers_never_pass() -> None:
    nan = float("nan")
    status, reason = judge(
        Scores(activation=nan, reach=nan, select=1, robust=nan, hf=nan), finite=True, silent=False
    )
    assert status == "weak"
    assert reason.count(";") == 2


def test_nonfinite_comes_before_dead_and_dead_before_the_gates() -> None:
    assert judge(GOOD, finite=False, silent=True)[0] == "nonfinite"
    assert judge(GOOD, finite=True, silent=True)[0] == "dead"
    assert all(judge(GOOD, finite=f, silent=True)[1] for f in (True, False))
