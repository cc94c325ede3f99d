"""The recipes that grow agree with plain transcriptions of the loops of their sources."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.rendering.pixels import places_of
from atlas.rendering.pyramid import (
    edges,
    grey_noise,
    pyramid_loss,
    render_pixels,
    render_upscaled,
    resize_bilinear,
    scale_up,
    scharr,
)
from atlas.rendering.recipes import RECIPES
from atlas.rendering.sources import PixelRecipe, UpscaleRecipe
from tests.helpers import (
    job_of,
    layer_info,
    natural_stats,
    network_of,
    smooth_images,
    tiny_network,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pyramid(name: str = "pyramid", **changes: object) -> PixelRecipe:
    recipe = RECIPES[name]
    assert isinstance(recipe, PixelRecipe)
    return replace(recipe, **changes)  # type: ignore[arg-type]


def visualizer(**changes: object) -> UpscaleRecipe:
    recipe = RECIPES["filter-visualizer"]
    assert isinstance(recipe, UpscaleRecipe)
    return replace(recipe, **changes)  # type: ignore[arg-type]


# --- the article's loop --------------------------------------------------------------------------


def article_sizes() -> list[int]:
    sizes = [28]
    while len(sizes) < 46:
        sizes.append(round(1.05 * sizes[-1]))
    return sizes


def article_size(
    plain: nn.Module,
    layer: str,
    channel: int,
    image: Tensor,
    size: int,
    jitter: torch.Generator | None = None,
    levels: tuple[int, ...] = (1,),
) -> Tensor:
    """One size of the loop as the article tells it: one unit, the whole network, a hook.

    Args:
        image: (3, S, S) in [0, 1], what the size before ended with.
        jitter, levels: what `pyramid+` adds; rolls by ± 8 px are drawn from `jitter`.

    Returns:
        (3, size, size) in [0, 1].
    """
    seen: list[Tensor] = []
    handle = plain.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output)
    )
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    kernel_x = torch.tensor([[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]])
    if image.shape[1] != size:
        pixels = cv2.resize(image.permute(1, 2, 0).contiguous().numpy(), (size, size))
        image = torch.from_numpy(pixels).permute(2, 0, 1)
    x = ((image - mean) / std)[None].clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=0.4)
    for _ in range(20):
        adam.zero_grad()
        seen.clear()
        shown = x
        if jitter is not None:
            down, right = torch.randint(-8, 9, (2,), generator=jitter).tolist()
            shown = torch.roll(torch.roll(x, down, 2), right, 3)
        plain(shown)
        penalties = []
        for level in levels:
            side = size // level
            squares = shown[:, :, : side * level, : side * level]
            coarse = squares.reshape(1, 3, side, level, side, level).mean((3, 5))
            maps = [
                F.conv2d(coarse[:, colour : colour + 1], kernel[None, None], padding=1)
                for colour in range(3)
                for kernel in (kernel_x, kernel_x.T)
            ]
            penalties.append((torch.cat(maps) ** 2).mean() ** 0.5)
        loss = (
            -0.5 * (seen[0][0, channel] ** 2).mean() ** 0.5
            + (shown**2).mean() ** 0.5
            + sum(penalties) / len(penalties)
        )
        loss.backward()
        adam.step()
    handle.remove()
    return (x.detach()[0] * std + mean).clip(0, 1)


def compare(
    plain: nn.Module, layer: str, channels: int, channel: int, size: int, name: str = "pyramid"
) -> int:
    """Check every size of a rendering against the article's; returns how many there were.

    Each size starts from what the engine's size before ended with: Adam's first steps take only
    the sign of a gradient, so rounding would otherwise grow from size to size. For the same reason
    a few pixels may differ by more than rounding; measured: median below 2e-6, RMS below 5e-4.
    """
    network = network_of(plain, [layer], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info(layer, channels, 16), smooth_images(4))
    others = [one for one in range(channels) if one != channel][:1]
    drafts = render_pixels(network, job_of(pyramid(name), layer, [*others, channel], stats, size))
    generator = torch.Generator().manual_seed(1000 + channel)
    image = torch.rand(3, 28, 28, generator=generator)
    jitter, levels = (generator, (1, 2, 4)) if name == "pyramid+" else (None, (1,))
    for side, got in zip(article_sizes(), drafts[-1].snapshots, strict=False):
        wanted = article_size(plain, layer, channel, image, side, jitter, levels).numpy()
        assert got.shape == wanted.shape
        difference = np.abs(got - wanted)
        assert np.median(difference) < 1e-5, side
        assert np.quantile(difference, 0.9) < 1e-4, side
        assert np.sqrt((difference**2).mean()) < 2e-3, side
        image = torch.from_numpy(got)
    return len(drafts[-1].snapshots)


def test_batched_pyramid_is_the_articles_loop_at_every_size() -> None:
    assert compare(tiny_network(), "relu2", 3, 1, size=40) == 10


def test_batched_pyramid_plus_is_that_loop_with_jitter_and_three_levels() -> None:
    assert compare(tiny_network(), "relu2", 3, 1, size=40, name="pyramid+") == 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "channels", "channel", "name"),
    [("relu1", 4, 3, "pyramid"), ("relu2", 3, 0, "pyramid"), ("relu2", 3, 0, "pyramid+")],
)
def test_all_46_sizes_are_the_articles(layer: str, channels: int, channel: int, name: str) -> None:
    assert article_sizes()[-1] == 249
    assert compare(tiny_network(), layer, channels, channel, size=224, name=name) == 46


def test_loss_is_minus_half_the_channel_plus_pixels_plus_edges() -> None:
    activations = torch.tensor([[[[9.0]], [[3.0]]], [[[4.0]], [[9.0]]]])  # units 1 and 0
    pixels = torch.zeros(2, 3, 3, 3)
    pixels[0, 0, 1, 1] = 1.0
    loss = pyramid_loss(activations, pixels, places_of([1, 0], pixels.device), pyramid())
    # one white pixel: RMS of 27 pixels; edges: 2 · (4 · 9 + 2 · 100) over 6 maps of 9
    wanted = -0.5 * 3 + (1 / 27) ** 0.5 + (472 / 54) ** 0.5
    assert float(loss[0]) == pytest.approx(wanted, rel=1e-6)
    assert float(loss[1]) == pytest.approx(-0.5 * 4)


def test_scharr_of_a_ramp_is_32_per_step() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 5, 5)
    edges = scharr(ramp)
    assert edges.shape == (1, 6, 5, 5)
    assert torch.equal(edges[0, ::2, 1:4, 1:4], torch.full((3, 3, 3), 32.0))
    assert not edges[0, 1::2, 1:4, 1:4].any()


def test_edges_are_the_mean_over_their_levels() -> None:
    pixels = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    levels = [edges(pixels, (level,)) for level in (1, 2, 4)]
    assert torch.allclose(edges(pixels, (1, 2, 4)), sum(levels) / 3)  # type: ignore[arg-type]


def test_coarser_levels_average_squares_and_leave_an_odd_border_out() -> None:
    pixels = torch.zeros(1, 1, 7, 7)
    pixels[0, 0, 2:4, 2:4] = 1.0  # at 2 px: one white pixel in the middle of 3 × 3
    pixels[0, 0, 6] = 9.0
    # 4 · 9 + 2 · 100 for each of two derivatives, over 2 maps of 9
    assert float(edges(pixels, (2,))) == pytest.approx((472 / 18) ** 0.5)


def test_resizing_is_that_of_opencv() -> None:
    images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    wanted: NDArray[np.float32] = np.stack(
        [cv2.resize(image.permute(1, 2, 0).numpy(), (31, 31)) for image in images]
    )
    assert torch.equal(resize_bilinear(images, 31), torch.from_numpy(wanted).permute(0, 3, 1, 2))
    assert resize_bilinear(images, 28) is images


def test_grey_network_gives_grey_pictures_of_three_colours() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    network = network_of(plain, ["0"], mean=(0.449,), std=(0.226,))
    stats = natural_stats(network, layer_info("0", 2, 16), smooth_images(4))
    draft = render_pixels(network, job_of(pyramid(sizes=3), "0", [1], stats, 224))[0]
    assert draft.image.shape == (3, 30, 30)
    assert draft.finite
    assert np.array_equal(draft.image[0], draft.image[2])


def test_network_of_one_size_still_gives_a_picture() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(-1, 3, 16, 16)

    network = network_of(nn.Sequential(Fixed(), nn.Conv2d(3, 2, 3)), ["1"], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info("1", 2, 14), smooth_images(4))
    draft = render_pixels(network, job_of(pyramid(sizes=3), "1", [0], stats, 224))[0]
    assert draft.image.shape == (3, 30, 30)
    assert draft.finite
    assert not draft.silent


# --- the loop of FilterVisualizer ----------------------------------------------------------------


def fastai_loop(
    plain: nn.Module, layer: str, channel: int, sizes: int, blur: int | None
) -> list[NDArray[np.float32]]:
    """The loop as fastai users know it: one unit, the whole network, a hook, torch's own Adam.

    Returns:
        (S, S, 3) colours at the end of each size, not cut off.
    """
    seen: list[Tensor] = []
    handle = plain.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output)
    )
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    generator = torch.Generator().manual_seed(1000 + channel)
    noise = torch.randint(150, 180, (3, 56, 56), generator=generator)
    size, img = 56, noise.permute(1, 2, 0).numpy().astype(np.uint8) / np.float32(255)
    outputs = []
    for _ in range(sizes):
        x = torch.from_numpy(((img - mean) / std).transpose(2, 0, 1).copy())[None]
        x.requires_grad_()
        adam = torch.optim.Adam([x], lr=0.1, weight_decay=1e-6)
        for _ in range(20):
            adam.zero_grad()
            seen.clear()
            plain(x)
            (-seen[0][0, channel].mean()).backward()
            adam.step()
        img = x.detach()[0].numpy().transpose(1, 2, 0) * std + mean
        outputs.append(img)
        size = int(1.2 * size)
        img = cv2.resize(img, (size, size), interpolation=cv2.INTER_CUBIC)
        if blur is not None:
            img = cv2.blur(img, (blur, blur))
    handle.remove()
    return outputs


def compare_upscaled(layer: str, channels: int, channel: int, size: int, blur: int = 0) -> int:
    """Check every size of a rendering against the whole loop; returns how many there were."""
    plain = tiny_network()
    network = network_of(plain, [layer], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info(layer, channels, 16), smooth_images(4))
    batch = [(channel + 1) % channels, channel]
    (_, draft) = render_upscaled(network, job_of(visualizer(blur=blur), layer, batch, stats, size))
    wanted = fastai_loop(plain, layer, channel, len(draft.snapshots), blur or None)
    for got, colours in zip(draft.snapshots, wanted, strict=True):
        np.testing.assert_allclose(got, colours.clip(0, 1).transpose(2, 0, 1), rtol=0, atol=1e-4)
    assert np.array_equal(draft.image, draft.snapshots[-1])
    return len(wanted)


@pytest.mark.parametrize(("channel", "blur"), [(0, 0), (1, 0), (1, 3)])
def test_batched_filter_visualizer_is_its_loop_from_start_to_end(channel: int, blur: int) -> None:
    """Measured: below 1e-5, though nothing is set back from size to size."""
    assert compare_upscaled("relu2", 3, channel, size=100, blur=blur) == 7


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "channels", "channel"), [("relu1", 4, 3), ("relu2", 3, 0)])
def test_all_12_sizes_are_those_of_filter_visualizer(
    layer: str, channels: int, channel: int
) -> None:
    assert compare_upscaled(layer, channels, channel, size=224) == 12


def test_weight_decay_alone_takes_a_silent_units_picture_to_the_mean_colour() -> None:
    """Adam makes whole steps of the smallest gradient: 20 of .1 in normalised pixels."""
    assert compare_upscaled("relu2", 3, 2, size=45) == 3
    network = network_of(tiny_network(), ["relu2"], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info("relu2", 3, 16), smooth_images(4))
    draft = render_upscaled(network, job_of(visualizer(), "relu2", [2], stats, 56))[0]
    assert draft.silent
    assert np.abs(draft.image - np.array(MEAN, np.float32).reshape(3, 1, 1)).max() < 0.1


def test_first_image_of_filter_visualizer_is_light_grey_in_256ths() -> None:
    images = grey_noise(visualizer(), (3, 56, 56), torch.Generator().manual_seed(0))
    levels = (images * 255).round()
    assert images.shape == (3, 56, 56)
    assert (float(levels.min()), float(levels.max())) == (150, 179)
    assert torch.equal(levels / 255, images)


def test_scaling_up_is_cubic_and_blurs_only_if_asked() -> None:
    images = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    cubic = cv2.resize(images[1].permute(1, 2, 0).numpy(), (24, 24), interpolation=cv2.INTER_CUBIC)
    for blur, wanted in ((0, cubic), (3, cv2.blur(cubic, (3, 3)))):
        got = scale_up(images, 24, blur)[1].permute(1, 2, 0).numpy()
        assert np.array_equal(got, wanted)
    assert scale_up(images, 20, 3) is images, "the first size is not blurred"


def test_grey_network_gives_grey_pictures_by_filter_visualizer() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    network = network_of(plain, ["0"], mean=(0.449,), std=(0.226,))
    stats = natural_stats(network, layer_info("0", 2, 16), smooth_images(4))
    draft = render_upscaled(network, job_of(visualizer(sizes=2), "0", [1], stats, 224))[0]
    assert draft.image.shape == (3, 67, 67)
    assert draft.finite
    assert np.array_equal(draft.image[0], draft.image[2])


def test_half_the_rate_takes_half_the_first_step() -> None:
    network = network_of(tiny_network(), ["relu1"], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info("relu1", 4, 16), smooth_images(4))
    still, whole, half = (
        render_upscaled(
            network, job_of(visualizer(sizes=1, steps=1), "relu1", [0], stats, rate=rate)
        )[0].image
        for rate in (0.0, 1.0, 0.5)
    )
    np.testing.assert_allclose(half - still, (whole - still) / 2, atol=1e-6)
    assert np.abs(whole - still).max() > 0.02
