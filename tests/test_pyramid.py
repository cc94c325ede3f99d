"""The pixel recipe agrees with a plain transcription of the article's loop."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.pyramid import pyramid_loss, render_pixels, resize_bilinear, scharr
from atlas.recipes import RECIPES, PixelRecipe
from tests.helpers import (
    job_of,
    layer_info,
    natural_stats,
    network_of,
    smooth_images,
    tiny_network,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small work divided among threads is rounded in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pyramid(**changes: object) -> PixelRecipe:
    recipe = RECIPES["pyramid"]
    assert isinstance(recipe, PixelRecipe)
    return replace(recipe, **changes)  # type: ignore[arg-type]


def article_sizes() -> list[int]:
    sizes = [28]
    while len(sizes) < 46:
        sizes.append(round(1.05 * sizes[-1]))
    return sizes


def article_size(plain: nn.Module, layer: str, channel: int, image: Tensor, size: int) -> Tensor:
    """One size of the loop as the article tells it: one unit, the whole network, a hook.

    Args:
        image: (3, S, S) in [0, 1], what the size before ended with.

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
        plain(x)
        edges = [
            F.conv2d(x[:, colour : colour + 1], kernel[None, None], padding=1)
            for colour in range(3)
            for kernel in (kernel_x, kernel_x.T)
        ]
        loss = (
            -0.5 * (seen[0][0, channel] ** 2).mean() ** 0.5
            + (x**2).mean() ** 0.5
            + (torch.cat(edges) ** 2).mean() ** 0.5
        )
        loss.backward()
        adam.step()
    handle.remove()
    return (x.detach()[0] * std + mean).clip(0, 1)


def compare(plain: nn.Module, layer: str, channels: int, channel: int, size: int) -> int:
    """Check every size of a rendering against the article's; returns how many there were.

    Each size starts from what the engine's size before ended with: Adam's first steps take only
    the sign of a gradient, so rounding would otherwise grow from size to size. For the same reason
    a few pixels may differ by more than rounding; measured: median below 2e-6, RMS below 5e-4.
    """
    network = network_of(plain, [layer], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info(layer, channels, 16), smooth_images(4))
    others = [one for one in range(channels) if one != channel][:1]
    drafts = render_pixels(network, pyramid(), job_of(layer, [*others, channel], stats, size))
    image = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(1000 + channel))
    for side, got in zip(article_sizes(), drafts[-1].snapshots, strict=False):
        wanted = article_size(plain, layer, channel, image, side).numpy()
        assert got.shape == wanted.shape
        difference = np.abs(got - wanted)
        assert np.median(difference) < 1e-5, side
        assert np.quantile(difference, 0.9) < 1e-4, side
        assert np.sqrt((difference**2).mean()) < 2e-3, side
        image = torch.from_numpy(got)
    return len(drafts[-1].snapshots)


def test_batched_pyramid_is_the_articles_loop_at_every_size() -> None:
    assert compare(tiny_network(), "relu2", 3, 1, size=40) == 10


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "channels", "channel"), [("relu1", 4, 3), ("relu2", 3, 0)])
def test_all_46_sizes_are_the_articles(layer: str, channels: int, channel: int) -> None:
    assert article_sizes()[-1] == 249
    assert compare(tiny_network(), layer, channels, channel, size=224) == 46


def test_loss_is_minus_half_the_channel_plus_pixels_plus_edges() -> None:
    activations = torch.tensor([[[[9.0]], [[3.0]]], [[[4.0]], [[9.0]]]])  # units 1 and 0
    pixels = torch.zeros(2, 3, 3, 3)
    pixels[0, 0, 1, 1] = 1.0
    loss = pyramid_loss(activations, pixels, pyramid(), job_of("a", [1, 0], None))  # type: ignore[arg-type]
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
    draft = render_pixels(network, pyramid(sizes=3), job_of("0", [1], stats, 224))[0]
    assert draft.image.shape == (3, 30, 30)
    assert draft.finite
    assert np.array_equal(draft.image[0], draft.image[2])


def test_network_of_one_size_still_gives_a_picture() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(-1, 3, 16, 16)

    network = network_of(nn.Sequential(Fixed(), nn.Conv2d(3, 2, 3)), ["1"], mean=MEAN, std=STD)
    stats = natural_stats(network, layer_info("1", 2, 14), smooth_images(4))
    draft = render_pixels(network, pyramid(sizes=3), job_of("1", [0], stats, 224))[0]
    assert draft.image.shape == (3, 30, 30)
    assert draft.finite
    assert not draft.silent
