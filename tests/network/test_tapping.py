"""Batches that are filled up to one of a few sizes, so that cuDNN need not prepare each anew."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from atlas.network.network import keep
from atlas.network.tapping import filled, tapped
from tests.helpers import network_of


@pytest.mark.parametrize(
    ("images", "side", "size"),
    [
        *((1, 224, 16), (16, 224, 16), (17, 224, 32), (33, 224, 64), (65, 224, 96), (96, 224, 96)),
        *((97, 224, 128), (128, 224, 128), (129, 224, 192), (1, 56, 16), (10, 112, 16)),
        *((1, 448, 4), (5, 448, 8), (1, 1024, 1), (2, 1024, 2), (3, 1024, 4)),
    ],
)
def test_batches_are_filled_up_to_few_sizes(images: int, side: int, size: int) -> None:
    assert filled((images, 3, side, side)) == size


@pytest.mark.parametrize("fits", [1, 2, 4, 8, 16, 32, 64, 128])
def test_what_fits_into_memory_is_never_filled_beyond_it(fits: int) -> None:
    assert all(filled((images, 3, 1024, 1024)) <= fits for images in range(1, fits + 1))


def test_filling_changes_neither_answers_nor_gradients() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    network = network_of(plain, ["2"])
    images = torch.rand(5, 3, 16, 16).requires_grad_()
    batches: list[int] = []
    plain.register_forward_pre_hook(lambda _module, inputs: batches.append(len(inputs[0])))
    results: list[tuple[Tensor, Tensor]] = []
    for fills in (False, True):
        way = replace(network.way, network=plain, fills=fills)
        with tapped(way, {"2": keep}, network.maps) as run:
            value = run(images)["2"]
            results.append((value, *torch.autograd.grad(value.square().sum(), images)))
    assert batches == [5, 16]
    for one, other in zip(*results, strict=True):
        assert len(other) == 5
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_convolutions_are_exact_inside_and_as_before_outside() -> None:
    network = network_of(nn.Sequential(nn.Conv2d(3, 4, 3)), ["0"])
    before = torch.backends.cudnn.allow_tf32
    with network.tap({"0": keep}):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before
