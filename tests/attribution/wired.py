"""Networks wired by hand, whose circuits can be worked out on paper."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.attribution.circuits import Circuits, tracing
from atlas.images.tensors import to_tensor
from atlas.models.load import Model
from atlas.models.probes import probe_images
from atlas.models.table import layer_table
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.records.circuits import Circuit, Kind
from tests.helpers import network_of

SIDE = 16


class Body(nn.Module):
    """A network whose forward is given, for one fact each."""

    def __init__(self, forward: Callable[["Body", Tensor], object], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.body = forward

    def forward(self, images: Tensor) -> object:
        return self.body(self, images)


def flat(red: int, green: int, blue: int) -> NDArray[np.uint8]:
    """A picture of one colour, its numbers in fifths."""
    return np.full((SIDE, SIDE, 3), (51 * red, 51 * green, 51 * blue), np.uint8)


BRIGHT, DIM = flat(4, 2, 2), flat(2, 1, 3)
"""(.8, .4, .4) and (.4, .2, .6): the means are .6, .3 and .5."""


def point(weights: Sequence[Sequence[float]], bias: Sequence[float]) -> nn.Conv2d:
    """A 1 × 1 convolution."""
    table = torch.tensor(weights)
    made = nn.Conv2d(table.shape[1], table.shape[0], 1)
    made.load_state_dict({"weight": table[:, :, None, None], "bias": torch.tensor(bias)})
    return made


def wired() -> nn.Sequential:
    """`first second relu third`, then three class scores.

    first hands the colours on; second:0 is 2·red − 3·green + 1, second:1 is blue − 1, which is
    never above zero; third:0 is half of the former. The classes are 4 and −2 times third:0, and
    third:1, which is .25 always.
    """
    return nn.Sequential(
        OrderedDict(
            first=point([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0]),
            second=point([[2, -3, 0], [0, 0, 1]], [1, -1]),
            relu=nn.ReLU(),
            third=point([[0.5, 0], [0, 1]], [0, 0.25]),
            mean=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classes=linear([[4, 0], [-2, 0], [0, 1]]),
        )
    )


def linear(weights: Sequence[Sequence[float]]) -> nn.Linear:
    """A linear map without bias."""
    table = torch.tensor(weights, dtype=torch.float32)
    made = nn.Linear(table.shape[1], table.shape[0], bias=False)
    made.load_state_dict({"weight": table})
    return made


@contextmanager
def traced(
    plain: nn.Module, layers: Sequence[str], pictures: Sequence[NDArray[np.uint8]]
) -> Iterator[Circuits]:
    """A network ready to say what surrounds the units of layers, over some sample images."""
    info = network_of(plain, [], SIDE).info
    table = layer_table(plain, probe_images(SIDE, SIDE))
    rows = [row for row in table if row.name in layers]
    network = Network(Model(info=info, network=plain, layers=table), layers, torch.device("cpu"))
    stats = {one.layer: one for one in measure_layers(network, rows, pictures)}
    with tracing(network, stats) as circuits:
        yield circuits


def circuit(
    circuits: Circuits, layer: str, channel: int, pictures: Sequence[NDArray[np.uint8]]
) -> Circuit:
    """The circuit of a unit as seen on some pictures."""
    scenes = {place: circuits.scene(to_tensor([one])) for place, one in enumerate(pictures)}
    return circuits.of_unit(layer, channel, scenes)


def effects(found: Circuit, kind: Kind) -> dict[tuple[str, int], float]:
    """Layer and channel → predicted effect."""
    return {(link.layer, link.channel): link.effect for link in found.of(kind)}


def changes(found: Circuit, kind: Kind) -> dict[tuple[str, int], float]:
    """Layer and channel → true effect, of links that were checked."""
    links = found.of(kind)
    return {(one.layer, one.channel): one.change for one in links if math.isfinite(one.change)}
