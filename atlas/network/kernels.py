"""The weights between two units that one convolution joins: `Kernels.between`."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..models.hooks import hooked
from ..models.trace import only_map
from ..records.circuits import NO_KERNEL
from .intervening import IMAGE, Interventions, Scene
from .network import Network
from .tapping import module_path


class Kernels:
    """The convolutions that take exactly what one layer puts out and make another layer of it.

    They are those of the network as it runs, with normalisation folded in where that changes
    nothing, so that the sign of a weight is that of its effect.

    Args:
        network: that runs.
        run: hooks on its layers.
        before: layer → the layers that feed it directly.
    """

    def __init__(
        self, network: Network, run: Interventions, before: Mapping[str, tuple[str, ...]]
    ) -> None:
        convolutions = {}
        for layer in before:
            found = only_convolution(network, layer)
            if found is not None:
                convolutions[layer] = found
        inputs: dict[str, list[Tensor]] = {}

        def see(layer: str, _module: nn.Module, given: object) -> None:
            if isinstance(given, tuple) and given and isinstance(given[0], Tensor):
                inputs.setdefault(layer, []).append(given[0].detach().clone())

        with hooked(convolutions.items(), before=see):
            scene = run.record(network.probe(network.info.shape)[:1])
        self.weights: dict[tuple[str, str], nn.Conv2d] = {}
        for layer, convolution in convolutions.items():
            seen = inputs.get(layer, [])
            for feeding in before[layer]:
                if feeding != IMAGE and len(seen) == 1 and same(scene, feeding, seen[0]):
                    self.weights[layer, feeding] = convolution

    def between(self, layer: str, channel: int, feeding: str, source: int) -> NDArray[np.float32]:
        """(k, k) the weights by which a channel reads another one; (0, 0) where there are none."""
        convolution = self.weights.get((layer, feeding))
        if convolution is None:
            return NO_KERNEL
        width = convolution.in_channels // convolution.groups
        group = channel // (convolution.out_channels // convolution.groups)
        place = source - group * width
        if not 0 <= place < width:
            return NO_KERNEL
        return convolution.weight[channel, place].detach().float().cpu().numpy().copy()


def only_convolution(network: Network, layer: str) -> nn.Conv2d | None:
    """The one convolution of a layer that has as many channels; of a dictionary none."""
    if layer in network.encoders:
        return None
    path, call = module_path(network.network, layer)
    if not path or call:
        return None
    module = network.network.get_submodule(path)
    found = [one for one in module.modules() if isinstance(one, nn.Conv2d)]
    row = network.rows.get(layer)
    if len(found) != 1 or row is None or found[0].out_channels != row.channels:
        return None
    return found[0]


def same(scene: Scene, layer: str, given: Tensor) -> bool:
    """Whether a tensor is what a layer has put out."""
    output = only_map(scene.outputs[layer])
    return isinstance(output, Tensor) and output.shape == given.shape and torch.equal(output, given)
