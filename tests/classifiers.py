"""Small classifiers for the lenses: smooth ones, and ones with a particular fault."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.network.network import Network
from atlas.records.network import CLASSES
from tests.helpers import network_of, smooth_images

MEAN, STD = (0.4, 0.5, 0.6), (0.25, 0.2, 0.3)


def conv_network(classes: int = 12, colours: int = 3, seed: int = 3) -> nn.Module:
    """`conv1 act1 conv2 act2` with smooth activation functions and random weights, then classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(colours, 10, 3, padding=1),
                act1=nn.SiLU(),
                conv2=nn.Conv2d(10, 12, 3, stride=2, padding=1),
                act2=nn.SiLU(),
                mean=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                classes=nn.Linear(12, classes),
            )
        )


def classifier(
    plain: nn.Module, layers: Sequence[str] = (), mean: tuple[float, ...] = MEAN
) -> Network:
    """`plain` as the engine sees it, ready for `layers` and its class scores."""
    return network_of(plain, [*layers, CLASSES], mean=mean, std=STD[: len(mean)])


def pictures(count: int) -> NDArray[np.uint8]:
    """(count, 16, 16, 3) smooth images."""
    return np.stack(smooth_images(count))


def normalised(picture: NDArray[np.uint8], dtype: torch.dtype = torch.float32) -> Tensor:
    """(1, 3, S, S) as a plain network takes it, written out."""
    image = torch.from_numpy(picture.astype(np.float64) / 255).permute(2, 0, 1)[None]
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (MEAN, STD))
    return ((image - mean) / std).to(dtype)
