"""Which classes a direction of a layer raises: `Tinter`.

The derivative of all class scores along the direction, on images where there is much of it: what it
adds to each score, to first order. Averaged over five images and all positions: at the one position
that is nearest, the first classes are chance (a keypad's were remote control and tick by turns).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..network.intervening import Interventions
from ..network.network import Network
from ..records.network import CLASSES
from .derivatives import Derivatives
from .links import as_row

KEPT = 3
"""Classes of a direction."""


class Tinter:
    """A layer, and the class scores behind it.

    Args:
        network: that knows both.
        layer: which.
        run: hooks on both; None where there are no class scores, or no way to them.
        reason: why it is None, or "".
    """

    def __init__(
        self, network: Network, layer: str, run: Interventions | None, reason: str = ""
    ) -> None:
        self.network, self.layer, self.run, self.reason = network, layer, run, reason
        self.derivatives = Derivatives(run) if run else None

    def raised(self, images: Sequence[Tensor], direction: NDArray[np.float32]) -> dict[int, float]:
        """Class → how much a direction raises its score, the most raised first; {} for nothing.

        Args:
            images: (1, C, H, W) in [0, 1], over which the derivatives are averaged.
            direction: (C,) in units of the activations, that all positions move along.
        """
        if self.run is None or self.derivatives is None:
            return {}
        effects = np.mean([self.slopes(image, direction) for image in images], 0)
        best = np.argsort(-effects, kind="stable")[:KEPT]
        return {int(one): float(effects[one]) for one in best if effects[one] > 0}

    def slopes(self, image: Tensor, direction: NDArray[np.float32]) -> NDArray[np.float64]:
        """(K,) derivative of the class scores on an image along a direction."""
        assert self.run is not None
        assert self.derivatives is not None
        scene = self.run.record(self.network.normalise(image.to(self.network.device)))
        maps = scene.maps[self.layer]
        tangent = torch.from_numpy(direction).to(maps).view(1, -1, 1, 1).expand_as(maps).clone()
        found = self.derivatives.along(scene, self.layer, tangent, [CLASSES])
        return as_row(found[CLASSES])


@contextmanager
def tinting(network: Network, layer: str) -> Iterator[Tinter]:
    """What says which classes directions of a layer raise; on some networks, why nothing can."""
    if CLASSES not in network.rows:
        yield Tinter(network, layer, None, "the network has no classes")
        return
    try:
        with network.intervene([layer, CLASSES]) as run:
            yield Tinter(network, layer, run)
    except InputError as error:
        yield Tinter(network, layer, None, str(error))
