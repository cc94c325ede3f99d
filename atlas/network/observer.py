"""A network that looks at pictures which it had no part in: `Observer.look`."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from ..images.tensors import batches, fit, to_tensor
from ..models.observers import ObserverModel
from ..records.evidence import Observation
from ..shapes import Picture
from .network import Network, spatial_mean

BATCH = 16


class Observer:
    """An observer on a device, ready to look.

    Args:
        found: the network and the depths by which it looks.
        device: where it runs.
    """

    def __init__(self, found: ObserverModel, device: torch.device) -> None:
        self.info = found.model.info
        self.depths = found.depths
        rows = {layer.name: layer.channels for layer in found.model.layers}
        self.widths = tuple(rows[name] for name in found.depths)
        self.network = Network(found.model, found.depths, device)

    @torch.no_grad()
    def look(self, pictures: Iterable[Picture]) -> Observation:
        """What it makes of pictures (H, W, 3), each fitted to its own input size."""
        parts = [np.zeros((0, sum(self.widths)), np.float32)]
        with self.network.tap(dict.fromkeys(self.depths, spatial_mean)) as run:
            for some in batches(pictures, BATCH):
                images = to_tensor([fit(picture, self.info.shape) for picture in some])
                found = run(images.to(self.network.device))
                parts.append(torch.cat([found[name] for name in self.depths], 1).cpu().numpy())
        return self.observation(np.concatenate(parts))

    def observation(self, features: NDArray[np.float32]) -> Observation:
        """Features with the name of who has seen them."""
        return Observation(
            observer=self.info.title,
            weights_sha256=self.info.weights_sha256,
            widths=self.widths,
            features=features,
        )
