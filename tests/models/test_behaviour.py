"""A network's computation as numbers: an edit changes them, a machine's rounding does not."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.cache.keys import BEHAVIOUR, behaves_alike, means_the_same
from atlas.models.behaviour import describe_behaviour
from atlas.models.probes import probe_images


class Edited(nn.Module):
    """One convolution; what happens around it is given, as by an edit of the file."""

    def __init__(self, edit: Callable[["Edited", Tensor], Tensor]) -> None:
        super().__init__()
        self.edit = edit
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.out = nn.Conv2d(3, 64, 3), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.edit(self, x))


def described(edit: Callable[[Edited, Tensor], Tensor]) -> tuple[float, ...]:
    return describe_behaviour(Edited(edit).eval(), probe_images(24, 24))


def plain(net: Edited, x: Tensor) -> Tensor:
    return F.relu(net.conv(x))


def without_one_channel(net: Edited, x: Tensor) -> Tensor:
    maps = F.relu(net.conv(x))
    brightest = int(maps.sum((0, 2, 3)).argmax())
    return maps * (torch.arange(64) != brightest).view(-1, 1, 1)


EDITS = {
    "another activation": lambda net, x: F.gelu(net.conv(x)),
    "mirrored": lambda net, x: F.relu(net.conv(x)).flip(-1),
    "shifted by a position": lambda net, x: F.relu(net.conv(x)).roll(1, 2),
    "channels in another order": lambda net, x: F.relu(net.conv(x)).flip(1),
    "a factor near 1": lambda net, x: 1.001 * F.relu(net.conv(x)),
    "one channel of 64 silenced": without_one_channel,
    "the input scaled": lambda net, x: F.relu(net.conv(x * 0.99)),
    "a module called twice": lambda net, x: F.relu(net.conv(x) + 0 * net.conv(x)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_forward_is_another_network(edit: str) -> None:
    assert not behaves_alike(described(plain), described(EDITS[edit]))


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_other_machines_is_not(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def rounded(net: Edited, x: Tensor) -> Tensor:
        maps = F.relu(net.conv(x))
        return maps * (1 + 1e-5 * torch.randn(maps.shape, generator=generator))

    assert behaves_alike(described(plain), described(rounded))
    assert behaves_alike(described(plain), described(plain))


def test_keys_that_differ_in_anything_else_are_others() -> None:
    key = {"images": "a", BEHAVIOUR: [1.0, 0.5]}
    assert means_the_same(key, {"images": "a", BEHAVIOUR: [1.00001, 0.5]})
    assert not means_the_same(key, {"images": "b", BEHAVIOUR: [1.0, 0.5]})
    assert not means_the_same(key, {"images": "a"})
    assert not means_the_same(key, {"images": "a", BEHAVIOUR: [1.0, 0.5, 1.0, 0.5]})
    assert not means_the_same(key, {"images": "a", BEHAVIOUR: [1.0, 0.6]})
