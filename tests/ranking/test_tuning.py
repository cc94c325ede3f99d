"""What channels of known weights prefer is what was written into the weights."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.ranking.activations import observe
from atlas.ranking.stimuli import draw, make_stimuli
from atlas.ranking.tuning import analyse
from atlas.records.tuning import Responses, Stimulus, Tuning
from atlas.stages.tune import summed_up
from tests.helpers import layer_info, network_of

SIDE = 64
GREY = (1 / 3, 1 / 3, 1 / 3)
LUMINANCE = (0.299, 0.587, 0.114)


def gabor(angle: float, frequency: float, phase: float = 0.0, size: int = 21) -> Tensor:
    """(size, size) weights that sum to 0: stripes at an angle, counter-clockwise from level."""
    row, column = np.mgrid[:size, :size] - size // 2
    turned = math.radians(angle)
    across = -row * math.cos(turned) - column * math.sin(turned)
    window = np.exp(-(row**2 + column**2) / (2 * (0.4 / frequency) ** 2))
    weights = window * np.cos(2 * math.pi * frequency * across + math.radians(phase))
    return torch.from_numpy(weights - window * (weights.sum() / window.sum())).float()


def network(
    kernels: Sequence[Tensor], colours: Sequence[Sequence[float]], *after: nn.Module
) -> nn.Module:
    """One convolution whose kernels look at sums of the colours, and what comes after it."""
    size = kernels[0].shape[0]
    layer = nn.Conv2d(3, len(kernels), size, padding=size // 2, padding_mode="replicate")
    weights = [
        kernel * torch.tensor(colour).view(3, 1, 1)
        for kernel, colour in zip(kernels, colours, strict=True)
    ]
    layer.load_state_dict({"weight": torch.stack(weights), "bias": torch.zeros(len(kernels))})
    return nn.Sequential(layer, *after)


def tuned(
    plain: nn.Module, turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None
) -> Tuning:
    """The tuning of the last module's channels; `turn` changes every picture."""
    last = str(len(list(plain.children())) - 1)
    stimuli = make_stimuli((SIDE, SIDE), 3)
    pictures = [draw(one, (SIDE, SIDE), 3) for one in stimuli]
    pictures = [np.ascontiguousarray(turn(one)) if turn else one for one in pictures]
    layer = layer_info(last, plain[0].out_channels, SIDE)  # type: ignore[index]
    table = observe(network_of(plain, [last], SIDE), [layer], pictures).tables[last]
    return analyse(summed_up(last, table), stimuli, (SIDE, SIDE))


def apart(one: float, other: float, period: float) -> float:
    return abs((one - other + period / 2) % period - period / 2)


ANGLES = (0, 22.5, 37, 67.5, 90, 112.5, 150, 171)
FREQUENCIES = (0.06, 0.09, 0.13, 0.2)


@pytest.mark.parametrize("after", [(), (nn.ReLU(),)], ids=["signed", "rectified"])
def test_gabor_weights_give_back_their_angle(after: tuple[nn.Module, ...]) -> None:
    kernels = [gabor(angle, 0.12) for angle in ANGLES]
    found = tuned(network(kernels, [GREY] * 8, *after)).prefers
    for angle, got in zip(ANGLES, found.orientation.tolist(), strict=True):
        assert apart(angle, got, 180) < 4
    assert found.orientation_selectivity.min() > 0.5


@pytest.mark.parametrize("after", [(), (nn.ReLU(),)], ids=["signed", "rectified"])
@pytest.mark.parametrize("phase", [0.0, 90.0])
def test_gabor_weights_give_back_their_frequency(
    after: tuple[nn.Module, ...], phase: float
) -> None:
    kernels = [gabor(30, one, phase, 41) for one in FREQUENCIES]
    found = tuned(network(kernels, [GREY] * 4, *after)).prefers
    np.testing.assert_allclose(found.frequency, FREQUENCIES, rtol=0.15)
    np.testing.assert_allclose(found.cycles, SIDE * found.frequency, rtol=1e-6)


def test_turned_stimuli_turn_the_curve() -> None:
    plain = network([gabor(20, 0.1), gabor(75, 0.2)], [GREY] * 2, nn.ReLU())
    before, after = tuned(plain), tuned(plain, np.rot90)  # a quarter, counter-clockwise
    shifted = np.roll(before.orientations.responses, -4, 0)  # of eight orientations
    np.testing.assert_allclose(after.orientations.responses, shifted, rtol=0.02, atol=2e-3)
    for one, other in zip(before.prefers.orientation, after.prefers.orientation, strict=True):
        assert apart(one - 90, other, 180) < 1
    mirrored = tuned(plain, np.fliplr).prefers.orientation
    for one, other in zip(before.prefers.orientation, mirrored, strict=True):
        assert apart(180 - one, other, 180) < 1


@pytest.mark.parametrize("colour", [GREY, LUMINANCE], ids=["alike", "as luminance"])
@pytest.mark.parametrize("after", [(), (nn.ReLU(),)], ids=["signed", "rectified"])
def test_a_grey_weighted_network_has_colour_index_0_and_no_hue(
    colour: tuple[float, ...], after: tuple[nn.Module, ...]
) -> None:
    blob = torch.outer(torch.hann_window(9), torch.hann_window(9))
    kernels = [gabor(40, 0.1, size=9), gabor(120, 0.2, 90, size=9), blob]
    found = tuned(network(kernels, [colour] * 3, *after)).prefers
    assert found.colour.tolist() == [0, 0, 0]
    assert np.isnan(found.hue).all()


@pytest.mark.parametrize("after", [(), (nn.ReLU(),)], ids=["signed", "rectified"])
def test_a_linear_channel_gives_back_its_hue(after: tuple[nn.Module, ...]) -> None:
    point = torch.ones(1, 1)
    hues = (0, 75, 120, 200, 240, 330)
    colours = [[math.cos(math.radians(hue - own)) for own in (0, 120, 240)] for hue in hues]
    colours += [[1, 0, 0], [0, 0, 1]]  # one colour alone: also brighter for white
    found = tuned(network([point] * 8, colours, *after)).prefers
    for hue, got in zip((*hues, 0, 240), found.hue.tolist(), strict=True):
        assert apart(hue, got, 360) < 3
    np.testing.assert_allclose(found.hue_selectivity, math.pi / 4, rtol=0.05)  # half a cosine
    assert found.colour[:6].min() > 0.95
    assert found.colour[6:].min() > 0.1
    assert found.colour[6:].max() < 0.9
    assert found.luminance[6:].tolist() == [1, 1]


def test_a_channel_that_hues_only_lower_has_a_negative_colour_index() -> None:
    class Against(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return 1 - maps.abs()

    found = tuned(network([torch.ones(1, 1)], [[1, -0.5, -0.5]], Against())).prefers
    assert found.colour[0] < -0.95
    assert math.isnan(found.hue[0])


def test_brightness_raises_one_channel_lowers_another_and_does_not_count_for_a_third() -> None:
    blob = torch.outer(torch.hann_window(9), torch.hann_window(9))
    found = tuned(network([blob, -blob, gabor(0, 0.2, size=9)], [GREY] * 3)).prefers
    assert found.luminance[:2].tolist() == [1, -1]
    assert math.isnan(found.luminance[2])


def test_round_weights_have_a_frequency_and_no_orientation() -> None:
    row, column = np.mgrid[:21, :21] - 10
    square = (row**2 + column**2) / 2
    ring = np.exp(-square / 2**2) / 2**2 - np.exp(-square / 4**2) / 4**2
    found = tuned(network([torch.from_numpy(ring).float()], [GREY])).prefers
    assert math.isnan(found.orientation[0])
    assert found.orientation_selectivity[0] < 0.05
    peak = math.sqrt(math.log(4**2 / 2**2) / (2 * math.pi**2 * (4**2 - 2**2)))
    assert found.frequency[0] == pytest.approx(peak, rel=0.15)  # of the two transforms' difference


def test_sign_and_constant_of_a_channel_do_not_change_its_stripes() -> None:
    class Other(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return 3 - 2 * maps

    kernels = [gabor(30, 0.1), gabor(100, 0.2)]
    one, other = tuned(network(kernels, [GREY] * 2)), tuned(network(kernels, [GREY] * 2, Other()))
    np.testing.assert_allclose(other.prefers.orientation, one.prefers.orientation, atol=0.5)
    top = one.orientations.responses.max()
    np.testing.assert_allclose(
        other.orientations.responses / 2, one.orientations.responses, atol=0.03 * float(top)
    )


# --- by numbers -----------------------------------------------------------------------------------

STIMULI = make_stimuli((32, 32), 3)


def answered(answer: Callable[[Stimulus], float]) -> Tuning:
    """The tuning of one channel whose mean is a function of the stimulus."""
    means = np.array([[answer(one)] for one in STIMULI])
    table = np.stack([means, means, means, np.zeros_like(means)], 2).astype(np.float32)
    return analyse(summed_up("layer", table), STIMULI, (32, 32))


def test_selectivity_is_one_minus_the_circular_variance() -> None:
    def answer(one: Stimulus) -> float:
        return 0.0 if one.kind != "grating" else 1 + math.cos(math.radians(2 * one.orientation))

    found = answered(answer).prefers
    assert found.orientation[0] == pytest.approx(0, abs=0.1)
    assert found.orientation_selectivity[0] == pytest.approx(0.5, abs=1e-3)  # Σ cos² / Σ 1

    one_only = answered(lambda one: float(one.orientation == 22.5 and one.kind == "grating"))
    assert one_only.prefers.orientation[0] == pytest.approx(22.5, abs=0.1)
    assert one_only.prefers.orientation_selectivity[0] == pytest.approx(1, abs=1e-3)


def test_phases_are_averaged() -> None:
    def answer(one: Stimulus) -> float:
        return {0.0: 3.0, 90.0: 1.0}.get(one.phase, 0.0)

    np.testing.assert_allclose(answered(answer).orientations.responses, 2, rtol=1e-3)


def test_a_channel_that_never_moves_prefers_nothing() -> None:
    for value in (0.0, -3.0):
        numbers = answered(lambda _, value=value: value).of(0)  # type: ignore[misc]
        found = [numbers.orientation, numbers.frequency, numbers.hue, numbers.colour]
        assert all(map(math.isnan, [*found, numbers.luminance, numbers.cycles]))


def test_stripes_that_hardly_count_beside_other_stimuli_are_no_preference() -> None:
    def answer(one: Stimulus) -> float:
        return 0.1 * (one.orientation == 90) if one.kind == "grating" else 10 * (one.hue == 60)

    numbers = answered(answer).of(0)
    assert math.isnan(numbers.orientation)
    assert math.isnan(numbers.frequency)
    assert numbers.hue == 60


def test_values_that_are_not_finite_take_one_channel_out_alone() -> None:
    means = np.array([[one.orientation == 45, one.orientation == 45] for one in STIMULI], float)
    means[3, 0] = np.nan
    table = np.stack([means, means, means, np.zeros_like(means)], 2).astype(np.float32)
    responses = summed_up("layer", table)
    assert not responses.means[:, 0].any()
    found = analyse(responses, STIMULI, (32, 32)).prefers.orientation
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(45, abs=0.1)


def test_networks_without_hues_have_no_colour_index() -> None:
    stimuli = make_stimuli((32, 32), 1)
    means = np.array([[one.orientation == 45] for one in stimuli], np.float16)
    responses = Responses(
        layer="layer", means=means, deviations=means * 0, scale=np.ones(1, np.float32)
    )
    found = analyse(responses, stimuli, (32, 32))
    assert found.hues.responses.shape == (0, 1)
    assert np.isnan([found.prefers.hue, found.prefers.colour]).all()
    assert found.prefers.orientation[0] == pytest.approx(45, abs=0.1)
