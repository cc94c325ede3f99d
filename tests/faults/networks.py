"""Networks that are built in every way that a hook or a table can trip over.

All of them compute what `plain` computes, in another way; so their atlases can be compared.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.helpers import tiny_network


def plain() -> nn.Sequential:
    """The tiny network, `conv1 relu1 pool conv2 relu2 mean flatten classes`."""
    network = tiny_network()
    assert isinstance(network, nn.Sequential)
    return network


def in_place() -> nn.Module:
    """Every ReLU overwrites what the convolution before it gave."""
    network = plain()
    for name in ("relu1", "relu2"):
        setattr(network, name, nn.ReLU(inplace=True))
    return network


def in_train_mode() -> nn.Module:
    """Left in train mode, with Dropout that would change every value."""
    parts = OrderedDict(plain().named_children())
    return nn.Sequential(OrderedDict(**parts, dropout=nn.Dropout(0.9))).train()


class Wrapped(nn.Module):
    """The tiny network with an output that is no tensor."""

    def __init__(self, pack: Any) -> None:
        super().__init__()
        self.body, self.pack = plain(), pack

    def forward(self, images: Tensor) -> Any:
        return self.pack(self.body(images))


def as_dict() -> nn.Module:
    return Wrapped(lambda scores: {"out": scores, "aux": scores * 0})


def as_tuple() -> nn.Module:
    return Wrapped(lambda scores: (scores, scores * 0))


class Reused(nn.Module):
    """One ReLU module used twice."""

    def __init__(self) -> None:
        super().__init__()
        body = plain()
        self.conv1, self.pool, self.conv2 = body.conv1, body.pool, body.conv2
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.conv2(self.pool(self.relu(self.conv1(images)))))


class Functional(nn.Module):
    """In-place ReLU as a function, as torchvision's GoogLeNet has it, and a layer never reached."""

    def __init__(self) -> None:
        super().__init__()
        body = plain()
        self.conv1, self.pool, self.conv2 = body.conv1, body.pool, body.conv2
        self.relu1, self.relu2, self.unused = nn.Identity(), nn.Identity(), nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        first = self.relu1(functional.relu(self.conv1(images), inplace=True))
        return self.relu2(functional.relu(self.conv2(self.pool(first)), inplace=True))


class Grey(nn.Module):
    """One input channel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.relu1 = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu1(self.conv1(images))


class Tokens(nn.Module):
    """A layer with (N, tokens, width) as in a vision transformer, after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.block(tokens).mean(1))


class Faulty(nn.Module):
    """The tiny network with a fault in what its first ReLU gives, decided by `fault`."""

    def __init__(self, fault: Any) -> None:
        super().__init__()
        body = plain()
        self.conv1, self.relu1 = body.conv1, body.relu1
        self.fault, self.out = fault, nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.fault(self.relu1(self.conv1(images))))


def one_nan(values: Tensor) -> Tensor:
    """Channel 1 is NaN on every image."""
    broken = torch.full_like(values[:, 1:2], float("nan"))
    return torch.cat([values[:, :1], broken, values[:, 2:]], 1)


def nan_when_driven(values: Tensor) -> Tensor:
    """Channel 1 overflows to NaN as soon as it is driven beyond what real images reach."""
    driven = values[:, 1:2]
    broken = driven.masked_fill(driven > 2.5, float("nan"))
    return torch.cat([values[:, :1], broken, values[:, 2:]], 1)


LARGEST_BATCH = 2
"""The engine runs a single image as a batch of two."""


def out_of_memory(values: Tensor) -> Tensor:
    """Ask the allocator for 64 TB as soon as gradients are wanted of more images."""
    if values.requires_grad and len(values) > LARGEST_BATCH:
        torch.empty(1 << 44)
    return values


def with_nan() -> nn.Module:
    return Faulty(one_nan)


def with_nan_when_driven() -> nn.Module:
    return Faulty(nan_when_driven)


def with_little_memory() -> nn.Module:
    return Faulty(out_of_memory)


def no_memory(values: Tensor) -> Tensor:
    """Ask the allocator for 64 TB as soon as gradients are wanted."""
    if values.requires_grad:
        torch.empty(1 << 44)
    return values


def without_memory() -> nn.Module:
    return Faulty(no_memory)


def sound() -> nn.Module:
    return Faulty(nn.Identity())


HOSTILE = "<script>alert(1)</script>"


def hostile() -> nn.Module:
    """Layers whose names would break out of pages and folders."""
    body = plain()
    parts = {
        HOSTILE: body.conv1,
        '"><img src=x onerror=alert(2)>': body.relu1,
        "‮evil": body.pool,
        "~etc/passwd": body.conv2,
        "{{ 7 * 7 }}": body.relu2,
    }
    return nn.Sequential(OrderedDict(parts))


globals()[HOSTILE] = hostile
