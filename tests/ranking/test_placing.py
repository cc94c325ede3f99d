"""Patches lie where the derivatives of the peak are: by the grid where it says so, else by them."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from atlas.models.layouts import to_maps
from atlas.models.load import Model
from atlas.models.probes import probe_images
from atlas.models.table import layer_table
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.ranking.placing import boxes_of, place_by_gradient, unplaced
from atlas.ranking.ranking import patch_boxes, patch_shape
from atlas.records.network import LayerInfo
from atlas.records.statistics import LayerStats
from tests.helpers import layer_info, network_of
from tests.layer_tables import Small, row

SIDE = 64


def positive(channels: int = 2, **options: int) -> nn.Conv2d:
    """A convolution 3 × 3 that averages, so that nothing cancels."""
    conv = nn.Conv2d(3, channels, 3, bias=False, **options)
    nn.init.constant_(conv.weight, 1 / 27)
    return conv


def again(channels: int = 2, kernel: int = 3, **options: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, kernel, bias=False, **options)
    nn.init.constant_(conv.weight, 1 / channels / kernel**2)
    return conv


def gradient_centre(network: nn.Module, info: LayerInfo, y: int, x: int) -> tuple[float, float]:
    """Return the centre of mass of the derivatives of one position."""
    captured: list[Tensor] = []
    module = network.get_submodule(info.name)
    handle = module.register_forward_hook(lambda module, args, out: captured.append(out))
    image = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    network(image)
    handle.remove()
    maps = to_maps(captured[0], info.layout, (info.height, info.width))
    (slopes,) = torch.autograd.grad(maps[0, :, y, x].sum(), image)
    mass = slopes.abs().sum((0, 1))
    places = torch.arange(SIDE) + 0.5
    total = mass.sum()
    return float((mass.sum(1) * places).sum() / total), float((mass.sum(0) * places).sum() / total)


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.b(net.a(x)),
        lambda net, x: net.b(net.a(x.flip(-1))),
        lambda net, x: net.b(net.a(x.rot90(1, (2, 3)))),
        lambda net, x: net.b(net.a(x.transpose(2, 3))),
        lambda net, x: net.b(net.a(x).flip(2)),
        lambda net, x: net.b(functional.interpolate(net.a(x), scale_factor=2)),
        lambda net, x: net.b(net.a(x)[:, :, 6:, 2:-2]),
        lambda net, x: net.b(functional.pad(net.a(x), (0, 5, 0, 5))),
        lambda net, x: net.b(net.a(x).flip(3).flatten(2).mT.unflatten(1, (62, 62)).movedim(3, 1)),
    ],
)
@pytest.mark.parametrize(
    "second",
    [
        lambda: again(),
        lambda: again(kernel=7, padding=0),
        lambda: again(kernel=3, stride=4),
        lambda: again(kernel=4, stride=2, padding=1),
        lambda: nn.Sequential(*(again(kernel=3, stride=2, padding=1) for _ in range(3))),
        lambda: nn.Sequential(*(again(kernel=5) for _ in range(4))),
        lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    ],
)
def test_box_is_centred_where_the_derivatives_are(
    forward: Callable[[Small, Tensor], object], second: Callable[[], nn.Module]
) -> None:
    """Unpadded, strided, cut, mirrored and turned: to 4 px, the smallest box has 9."""
    network = Small(forward, a=positive(), b=second()).eval()
    info = row(layer_table(network, probe_images(SIDE, SIDE)), "b")
    assert not unplaced([info])
    for y, x in ((info.height // 3, info.width // 2), (info.height // 2, 2 * info.width // 3)):
        centre = gradient_centre(network, info, y, x)
        (box,) = patch_boxes(info, SIDE, np.array([y * info.width + x]))
        side, _ = patch_shape(info, SIDE)
        for axis in (0, 1):
            inside = np.clip(centre[axis], side / 2, SIDE - side / 2)
            assert (box[axis] + box[axis + 2]) / 2 == pytest.approx(inside, abs=SIDE / 16)


# --- by the derivatives of each example -----------------------------------------------------------


def dots() -> list[NDArray[np.uint8]]:
    """A white dot of 9 px on black, each at another place."""
    images = []
    for y, x in ((12, 12), (50, 14), (30, 51), (52, 50), (13, 40)):
        images.append(np.zeros((SIDE, SIDE, 3), np.uint8))
        cv2.circle(images[-1], (x, y), 4, (255, 255, 255), -1)
    return images


def to_the_middle(x: Tensor) -> Tensor:
    """Shift each image so that its light has its centre in the middle: a spatial transformer."""
    light = x.mean(1) + 1e-6
    places = torch.linspace(-1, 1, SIDE)
    total = light.sum((1, 2))
    across = (light.sum(1) * places).sum(1) / total
    down = (light.sum(2) * places).sum(1) / total
    one, none = torch.ones_like(down), torch.zeros_like(down)
    turn = torch.stack([torch.stack([one, none, across], 1), torch.stack([none, one, down], 1)], 1)
    grid = functional.affine_grid(turn, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def ranked(forward: Callable[[Small, Tensor], object]) -> tuple[LayerInfo, LayerStats]:
    """The layer `a` of a network, ranked over the dots as the atlas does."""
    plain = Small(forward, a=positive(padding=1)).eval().requires_grad_(False)
    table = layer_table(plain, probe_images(SIDE, SIDE))
    info = network_of(plain, [], SIDE).info
    network = Network(Model(info=info, network=plain, layers=table), ["a"], torch.device("cpu"))
    layers = [row(table, "a")]
    stats = list(measure_layers(network, layers, dots()))
    if unplaced(layers):
        stats = place_by_gradient(network, layers, stats, dots())
    return layers[0], stats[0]


@pytest.mark.parametrize(
    ("forward", "by_gradient"),
    [
        (lambda net, x: net.a(x).mean((2, 3)), False),
        (lambda net, x: net.a(x.flip(-1)).mean((2, 3)), False),
        (lambda net, x: net.a(x.rot90(1, (2, 3))).mean((2, 3)), False),
        (lambda net, x: net.a(x.transpose(2, 3)).mean((2, 3)), False),
        (lambda net, x: net.a(x.roll((20, 32), (2, 3))).mean((2, 3)), True),
        (lambda net, x: net.a(to_the_middle(x)).mean((2, 3)), True),
    ],
)
def test_best_patch_holds_what_excites_the_unit(
    forward: Callable[[Small, Tensor], object], by_gradient: bool
) -> None:
    info, stats = ranked(forward)
    assert bool(unplaced([info])) == by_gradient
    for channel in range(2):
        for image, box in zip(
            stats.example_image[channel], stats.example_box[channel], strict=True
        ):
            if image >= 0:
                y0, x0, y1, x1 = box
                assert dots()[image][y0:y1, x0:x1].max() == 255
                assert (y1 - y0) * (x1 - x0) <= SIDE**2 / 4


def test_box_by_derivatives_has_them_in_its_middle() -> None:
    slopes = torch.zeros(3, SIDE, SIDE)
    slopes[0, 40:43, 20:23] = 1
    slopes[1] = 1
    boxes = boxes_of(layer_info("a", 1, 16, receptive_field=11), slopes)
    assert boxes[0].tolist() == [36, 16, 47, 27], "11 px around the middle of pixel 41, 21"
    assert boxes[1].tolist() == [0, 0, SIDE, SIDE], "everywhere"
    assert boxes[2].tolist() == [0, 0, SIDE, SIDE], "nowhere"
