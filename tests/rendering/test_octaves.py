"""Octaves: the loop of the Fourier recipes, and how silent images are brought to life."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.rendering import climb
from atlas.rendering.adam import Adam
from atlas.rendering.kinds import FourierRecipe
from atlas.rendering.octaves import first_images, render_octaves
from atlas.rendering.parameterization import spectrum_scale
from atlas.rendering.recipes import RECIPES, doubling
from tests.helpers import (
    job_of,
    layer_info,
    natural_stats,
    network_of,
    smooth_images,
    tiny_network,
)


def octaves(*steps: int, **changes: object) -> FourierRecipe:
    """The default recipe with other octaves, at 1/2^n … 1/2, 1 of the size."""
    recipe = RECIPES["octaves"]
    assert isinstance(recipe, FourierRecipe)
    shares = doubling(*steps)
    return replace(recipe, octaves=shares or recipe.octaves, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "sides"),
    [(224, (56, 112, 224)), (225, (56, 112, 224)), (100, (24, 50, 100)), (16, (8, 8, 16))],
)
def test_sides_of_octaves_are_even_and_at_least_8(size: int, sides: tuple[int, ...]) -> None:
    assert octaves().sides(size) == sides


@pytest.mark.parametrize("size", range(32, 130, 7))
def test_octaves_never_shrink(size: int) -> None:
    sides = octaves().sides(size)
    assert list(sides) == sorted(sides)
    assert all(side % 2 == 0 for side in sides)


def test_objective_rises_and_every_octave_leaves_a_snapshot() -> None:
    network = network_of(tiny_network(), ["relu1"])
    stats = natural_stats(network, layer_info("relu1", 4, 16), smooth_images(8))
    drafts = render_octaves(network, job_of(octaves(10, 8, 6), "relu1", [0, 1], stats, 32))
    for draft in drafts:
        assert draft.octave_steps == (10, 8, 6)
        assert [one.shape[1] for one in draft.snapshots] == [8, 16, 32]
        assert draft.objective[-1] > draft.objective[0] + 1
        assert draft.image.min() >= 0
        assert draft.image.max() <= 1
        assert draft.finite
        assert not draft.silent


def test_one_step_is_adam_on_the_gradient_of_the_standardised_channel() -> None:
    """Without geometry, against a spectrum optimised by hand in the test."""
    plain = tiny_network()
    network = network_of(plain, ["relu1"])
    stats = natural_stats(network, layer_info("relu1", 4, 16), smooth_images(8))
    still = {"shift": 0.0, "zoom": 0.0, "rotation": 0.0}
    recipe = octaves(3, **still, tint_rate=1.0, learning_rate=0.05, adaptivity=1.0)
    draft = render_octaves(network, job_of(recipe, "relu1", [2], stats, 16))[0]
    generator = torch.Generator().manual_seed(1002)
    parameters = (0.01 * torch.randn(3, 16, 9, 2, generator=generator)).requires_grad_()
    scale = spectrum_scale(16, recipe.exponent)
    mix = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]]) / 0.461952
    adam = torch.optim.Adam([parameters], lr=0.05)

    def image() -> Tensor:
        spectrum = torch.view_as_complex(parameters) * scale
        plane = torch.fft.irfft2(spectrum, s=(16, 16), norm="ortho") / 4
        return torch.sigmoid(torch.tensordot(mix, plane, 1))

    for step in range(3):
        maps = plain.get_submodule("relu1")(plain.get_submodule("conv1")(image()[None]))
        value = (maps[0, 2].mean() - float(stats.mean[2])) / float(stats.std[2])
        assert draft.objective[step] == pytest.approx(value.item(), rel=1e-3)
        adam.zero_grad()
        (-value).backward()
        adam.step()
    # where a gradient is nearly zero Adam takes rounding for a direction: hence not exactly
    np.testing.assert_allclose(draft.image, image().detach().numpy(), atol=2e-2)
    assert np.abs(draft.image - image().detach().numpy()).mean() < 1e-4


def test_every_octave_climbs_with_the_rate_and_adaptivity_of_its_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    class Noted(Adam):
        def __init__(self, *given: Any) -> None:
            made.append(given[1:])
            super().__init__(*given)

    monkeypatch.setattr(climb, "Adam", Noted)
    network = network_of(tiny_network(), ["relu1"])
    stats = natural_stats(network, layer_info("relu1", 4, 16), smooth_images(8))
    recipe = octaves(3, 2, learning_rate=0.07, adaptivity=0.5)
    render_octaves(network, job_of(recipe, "relu1", [2], stats, 16))
    assert made == [(0.07, 3, 0.5), (0.07, 2, 0.5)]


def test_example_is_what_the_first_octave_starts_from() -> None:
    network = network_of(tiny_network(), ["relu1"])
    stats = natural_stats(network, layer_info("relu1", 4, 16), smooth_images(8))
    start = np.stack(smooth_images(2, 32, seed=9))
    examples = dict(enumerate(start))
    job = job_of(octaves(1), "relu1", [0, 1], stats, 32, examples=examples, start="example")
    first = first_images(job, (16, 16), job.generators(), network).images()
    small = torch.from_numpy(start).permute(0, 3, 1, 2).float() / 255
    assert (first - F.avg_pool2d(small, 2)).abs().max() < 0.1, "but for a little noise"


def test_network_of_one_size_sees_averages_of_larger_pictures() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(-1, 3, 16, 16)

    plain = nn.Sequential(Fixed(), *tiny_network().children())[:3]
    network = network_of(plain, ["2"])
    stats = natural_stats(network, layer_info("2", 4, 16), smooth_images(8))
    draft = render_octaves(network, job_of(octaves(20, 20, 20), "2", [3], stats, 64))[0]
    assert draft.image.shape == (3, 64, 64)
    picture = torch.from_numpy(draft.image)[None]
    with torch.no_grad():
        seen = float(plain(F.avg_pool2d(picture, 4))[0, 3].mean())
    assert seen > stats.max[3], "the whole picture counts, not every fourth pixel"
