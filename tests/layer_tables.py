"""Shared by the tests of models, weights and layers: messages, rows of tables, small networks."""

from collections.abc import Callable
from functools import cache

import pytest
from torch import Tensor, nn

from atlas.errors import AtlasError
from atlas.models.probes import probe_images
from atlas.models.table import layer_table
from atlas.models.torchvision import torchvision_network
from atlas.records.network import LayerInfo


def message(error: type[AtlasError], call: Callable[[], object]) -> str:
    """The one line that `call` fails with."""
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def row(layers: tuple[LayerInfo, ...], name: str) -> LayerInfo:
    return next(layer for layer in layers if layer.name == name)


def names(layers: tuple[LayerInfo, ...]) -> list[str]:
    """Names of the rows that are layers: neither the class scores nor what is refused."""
    return [layer.name for layer in layers if "all" in layer.groups]


@cache
def random_layers(name: str, size: int = 128) -> tuple[LayerInfo, ...]:
    """The layer table of a torchvision model with random weights."""
    return layer_table(torchvision_network(name).network.eval(), probe_images(size, size))


class Small(nn.Module):
    """A network whose forward is given, for one fact each."""

    def __init__(self, forward: Callable[["Small", Tensor], object], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.body = forward

    def forward(self, images: Tensor) -> object:
        return self.body(self, images)


def table_of(
    forward: Callable[[Small, Tensor], object], **parts: nn.Module
) -> tuple[LayerInfo, ...]:
    return layer_table(Small(forward, **parts).eval(), probe_images(16, 16))
