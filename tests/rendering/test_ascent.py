"""`ascent` and `class` agree with plain transcriptions of the loops of cs231n."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.rendering.ascent import gaussian_blur, render_ascent, unit_length
from atlas.rendering.job import Draft
from atlas.rendering.recipes import RECIPES
from atlas.rendering.sources import AscentRecipe
from tests.helpers import (
    job_of,
    layer_info,
    natural_stats,
    network_of,
    smooth_images,
    tiny_network,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def recipe_of(name: str, **changes: object) -> AscentRecipe:
    recipe = RECIPES[name]
    assert isinstance(recipe, AscentRecipe)
    return replace(recipe, **changes)  # type: ignore[arg-type]


def draw(
    recipe: AscentRecipe,
    layer: str,
    channels: list[int],
    size: int,
    plain: nn.Module | None = None,
    **changes: object,
) -> list[Draft]:
    """Render units of the tiny network, or of another one with four channels."""
    network = network_of(plain or tiny_network(), [layer], mean=MEAN, std=STD)
    count = {"relu2": 3, "scores": 2}.get(layer, 4)
    stats = natural_stats(network, layer_info(layer, count, 16), smooth_images(4))
    return render_ascent(network, job_of(recipe, layer, channels, stats, size, **changes))


# --- the loops of the sources --------------------------------------------------------------------


def blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, H, W) smoothed by σ = .5 in float64: five taps, the border mirrored with its pixels."""
    kernel = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 0.5**2))
    kernel /= kernel.sum()
    _, height, width = image.shape
    wide = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="symmetric")
    smooth = np.zeros_like(image)
    for i in range(5):
        for j in range(5):
            smooth += kernel[i] * kernel[j] * wide[:, i : i + height, j : j + width]
    return smooth


def score_gradient(plain: nn.Module, layer: str, channel: int, x: Tensor) -> Tensor:
    """Gradient of the mean of a channel: one unit, the whole network, a hook."""
    seen: list[Tensor] = []
    handle = plain.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output)
    )
    x = x.detach().clone().requires_grad_()
    plain(x)
    handle.remove()
    seen[0][0, channel].mean().backward()
    assert x.grad is not None
    return x.grad


def shown(x: Tensor) -> NDArray[np.float32]:
    """(3, S, S) in [0, 1] of normalised pixels (1, 3, S, S)."""
    image = x[0] * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    return np.asarray(image.clip(0, 1).numpy())


def class_loop(
    plain: nn.Module, layer: str, channel: int, size: int, steps: int, l2_sign: float = 1.0
) -> NDArray[np.float32]:
    """The class visualization of cs231n, step by step; `l2_sign` −1 is the mistaken one."""
    generator = torch.Generator().manual_seed(1000 + channel)
    img = torch.randn(3, size, size, generator=generator)[None]
    for t in range(steps):
        oy, ox = torch.randint(0, 17, (2,), generator=generator).tolist()
        img = torch.roll(torch.roll(img, oy, 2), ox, 3)
        g = score_gradient(plain, layer, channel, img) - l2_sign * 2 * 1e-3 * img
        img = img + 25 * g / g.norm()
        img = torch.roll(torch.roll(img, -oy, 2), -ox, 3)
        for colour in range(3):
            low, high = -MEAN[colour] / STD[colour], (1 - MEAN[colour]) / STD[colour]
            img[:, colour] = img[:, colour].clip(low, high)
        if t % 10 == 0:
            img = torch.from_numpy(blurred(img[0].double().numpy())).float()[None]
    return shown(img)


@pytest.mark.parametrize(("layer", "channel"), [("relu1", 3), ("relu2", 0), ("relu2", 1)])
def test_batched_class_recipe_is_the_loop_of_cs231n_after_all_steps(
    layer: str, channel: int
) -> None:
    """Measured: below 2e-6. At 48 px unit 0 of relu2 meets a tie of its max pooling after step
    50, which rounding decides, and goes another way."""
    for steps in (1, 2, 10, 11, 100):
        draft = draw(recipe_of("class", steps=steps), layer, [2, channel], 64)[1]
        wanted = class_loop(tiny_network(), layer, channel, 64, steps)
        np.testing.assert_allclose(draft.image, wanted, rtol=0, atol=2e-5, err_msg=str(steps))


def test_l2_term_of_the_wrong_sign_would_be_seen() -> None:
    (draft,) = draw(recipe_of("class"), "relu2", [1], 48)
    wrong = class_loop(tiny_network(), "relu2", 1, 48, 100, l2_sign=-1.0)
    assert np.abs(draft.image - wrong).max() > 0.1


def test_penalty_alone_takes_a_silent_unit_towards_the_mean_colour() -> None:
    """With the wrong sign it would end in black and white."""
    recipe = recipe_of("class", jitter=0, blur_every=0, steps=10)
    (draft,) = draw(recipe, "relu2", [2], 48)
    (before,) = draw(replace(recipe, learning_rate=0.0), "relu2", [2], 48)
    mean = np.array(MEAN, np.float32).reshape(3, 1, 1)
    assert draft.silent
    assert np.abs(draft.image - mean).mean() < 0.5 * np.abs(before.image - mean).mean()


def test_class_scores_are_units_like_others() -> None:
    """(N, K) scores seen as (N, K, 1, 1): their spatial mean is the score itself."""
    parts = dict(tiny_network().named_children())
    parts["scores"] = nn.Unflatten(1, (2, 1, 1))
    plain = nn.Sequential()
    for name, part in parts.items():
        plain.add_module(name, part)
    (draft,) = draw(recipe_of("class", steps=12), "scores", [1], 40, plain)
    wanted = class_loop(tiny_network(), "relu2", 1, 40, 12)
    np.testing.assert_allclose(draft.image, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("layer", "channel"), [("relu1", 0), ("relu2", 1)])
def test_batched_ascent_is_the_plain_loop_after_all_steps(layer: str, channel: int) -> None:
    recipe = recipe_of("ascent")
    draft = draw(recipe, layer, [2, channel], 40)[1]
    plain = tiny_network()
    generator = torch.Generator().manual_seed(1000 + channel)
    x = 0.1 * torch.randn(3, 40, 40, generator=generator)[None]
    start = shown(x)
    for _ in range(recipe.steps):
        x = x + recipe.learning_rate * score_gradient(plain, layer, channel, x)
    np.testing.assert_allclose(draft.image, shown(x), rtol=0, atol=1e-5)
    assert np.abs(draft.image - start).max() > 0.01


# --- its parts -----------------------------------------------------------------------------------


def test_blur_is_a_gaussian_of_five_taps_with_mirrored_borders() -> None:
    images = torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    wanted = np.stack([blurred(image.double().numpy()) for image in images])
    np.testing.assert_allclose(gaussian_blur(images, 0.5).numpy(), wanted, atol=1e-6)


def test_blur_keeps_a_plain_image_and_one_pixel() -> None:
    assert torch.allclose(gaussian_blur(torch.full((1, 3, 4, 4), 0.7), 0.5), torch.tensor(0.7))
    assert torch.allclose(gaussian_blur(torch.full((1, 3, 1, 1), 0.7), 0.5), torch.tensor(0.7))


def test_gradients_are_brought_to_length_one_each_by_itself() -> None:
    gradients = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e10, 0.0]]).view(3, 1, 1, 2)
    got = unit_length(gradients).flatten(1)
    assert torch.allclose(got, torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]))


def test_pixels_stay_within_black_and_white_between_blurs() -> None:
    recipe = recipe_of("class", learning_rate=1e6, steps=1, blur_every=0)
    (draft,) = draw(recipe, "relu1", [0], 32)
    assert set(np.unique(draft.image.round(4))) >= {0.0, 1.0}
    (again,) = draw(replace(recipe, steps=2, learning_rate=1e-9), "relu1", [0], 32)
    assert np.isfinite(again.image).all()


def test_half_the_rate_takes_half_the_first_step() -> None:
    still, whole, half = (
        draw(recipe_of("ascent", steps=1), "relu1", [0], 32, rate=rate)[0].image
        for rate in (0.0, 1.0, 0.5)
    )
    np.testing.assert_allclose(half - still, (whole - still) / 2, atol=1e-6)
    assert np.abs(whole - still).max() > 1e-4


@pytest.mark.parametrize("name", ["ascent", "class"])
def test_grey_network_gives_grey_pictures_of_three_colours(name: str) -> None:
    plain = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    network = network_of(plain, ["0"], mean=(0.449,), std=(0.226,))
    stats = natural_stats(network, layer_info("0", 4, 16), smooth_images(4))
    (draft,) = render_ascent(network, job_of(recipe_of(name, steps=11), "0", [1], stats, 30))
    assert draft.image.shape == (3, 30, 30)
    assert draft.finite
    assert np.array_equal(draft.image[0], draft.image[2])


@pytest.mark.parametrize("name", ["ascent", "class"])
def test_network_of_one_size_still_gives_a_picture_of_the_size_asked_for(name: str) -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(-1, 3, 16, 16)

    plain = nn.Sequential(Fixed(), nn.Conv2d(3, 4, 3))
    (draft,) = draw(recipe_of(name, steps=11), "1", [0], 40, plain)
    assert draft.image.shape == (3, 40, 40)
    assert draft.finite
    assert not draft.silent


def test_curve_is_the_score_at_every_step_and_there_is_one_octave() -> None:
    (draft,) = draw(recipe_of("ascent", steps=5), "relu1", [0], 32)
    assert draft.objective.shape == (5,)
    assert (np.diff(draft.objective) > 0).all()
    assert draft.octave_steps == (5,)
    assert len(draft.snapshots) == 1
