"""Shared by many tests: a network with values to work out by hand, and live big ones.

Randomly initialised deep networks are nearly dead at their end; `calibrate` sets the statistics of
their BatchNorm layers from images, which keeps every layer alive without any trained weights.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from atlas.models.load import Model
from atlas.network.network import Network
from atlas.ranking.activations import measure_layers
from atlas.records.network import LayerInfo, ModelInfo
from atlas.records.statistics import LayerStats
from atlas.rendering.job import Job, Nature
from atlas.rendering.kinds import FourierRecipe, Octave, Recipe
from atlas.rendering.recipes import RECIPES


def tiny_network() -> nn.Module:
    """Two layers with weights set by hand: `conv1 relu1 pool conv2 relu2`, then two class scores.

    relu1 (4 channels, 3 × 3 at full size): red, green and blue over the mean of the other two, and
    vertical edges, dark left and bright right. relu2 (3 channels, 3 × 3 after 2 × 2 pooling): red
    or green in the middle; edges averaged; a channel that is dead on every input. The classes are
    the spatial means of the first two channels of relu2. Input: three channels of any size ≥ 4.
    """
    first = torch.zeros(4, 3, 3, 3)
    for colour in range(3):
        first[colour, :, 1, 1] = -0.5
        first[colour, colour, 1, 1] = 1.0
    first[3] = torch.tensor([[-1.0, 0.0, 1.0]]).expand(3, 3, 3) / 9
    second = torch.zeros(3, 4, 3, 3)
    second[0, 0, 1, 1] = second[0, 1, 1, 1] = 1.0
    second[1, 3] = 1 / 9
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 4, 3, padding=1, bias=False),
            relu1=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            conv2=nn.Conv2d(4, 3, 3, padding=1),
            relu2=nn.ReLU(),
            mean=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classes=nn.Linear(3, 2, bias=False),
        )
    )
    weights = {
        "conv1.weight": first,
        "conv2.weight": second,
        "conv2.bias": torch.tensor([0.0, 0.0, -1.0]),
        "classes.weight": torch.eye(2, 3),
    }
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def calibrate(network: nn.Module, images: Tensor) -> nn.Module:
    """Set every BatchNorm's statistics to those of one pass over `images` (N, C, H, W), N ≥ 2.

    Returns:
        The same network, in eval mode.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the passes since the reset
        norm.train()
    with torch.no_grad():
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def calibrated_googlenet(path: Path, images: Tensor, seed: int = 0) -> Path:
    """Save the state_dict of a seeded, calibrated torchvision GoogLeNet without auxiliary heads.

    Args:
        path: where to; give it to --weights.
        images: (N, 3, H, W), normalised for the network, N ≥ 2; 64 px do.
        seed: of the random weights.
    """
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = models.googlenet(
            weights=None, aux_logits=False, transform_input=True, init_weights=False
        )
    torch.save(calibrate(network, images).state_dict(), path)
    return path


# --- a network ready to run, without files ------------------------------------------------------


def network_of(
    plain: nn.Module,
    taps: Sequence[str],
    side: int = 16,
    mean: tuple[float, ...] = (0.0, 0.0, 0.0),
    std: tuple[float, ...] = (1.0, 1.0, 1.0),
) -> Network:
    """`plain` as the engine sees it; the default normalisation changes nothing."""
    info = ModelInfo(
        name="test",
        title="Test",
        source="set by hand",
        weights_sha256="0" * 64,
        licence="",
        parameters=0,
        input_size=side,
        mean=mean,
        std=std,
        class_names=(),
    )
    network = plain.eval().requires_grad_(False)
    return Network(Model(info=info, network=network, layers=()), taps, torch.device("cpu"))


def layer_info(name: str, channels: int, side: int, receptive_field: int = 3) -> LayerInfo:
    """A row of the layer table for a square map."""
    return LayerInfo(
        name=name,
        index=0,
        type="Module",
        channels=channels,
        height=side,
        width=side,
        receptive_field=receptive_field,
        stride=1,
        multiply_adds=1,
        groups=("all",),
    )


def smooth_images(count: int, side: int = 16, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Colour images with structure at several scales, (side, side, 3) uint8 each."""
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        coarse = generator.random((4, 4, 3), dtype=np.float32)
        fine = generator.random((side, side, 3), dtype=np.float32)
        image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) + 0.1 * fine
        images.append((255 * (0.2 + 0.5 * image).clip(0, 1)).astype(np.uint8))
    return images


def natural_stats(
    network: Network, layer: LayerInfo, images: Sequence[NDArray[np.uint8]]
) -> LayerStats:
    """The statistics of one layer over `images`."""
    (stats,) = measure_layers(network, [layer], images)
    return stats


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededJob(Job[Recipe]):
    """A job whose seeds a test can repeat: `given` ones, else of each unit its channel and 1000."""

    given: tuple[int, ...] = ()

    @property
    def seeds(self) -> list[int]:
        return list(self.given) or [1000 + channel for channel in self.channels]


def job_of(
    recipe: Recipe,
    layer: str,
    channels: Sequence[int],
    stats: LayerStats,
    size: int = 16,
    **changes: object,
) -> Job[Recipe]:
    """A batch that starts from noise."""
    magnitude = np.zeros((3, 0, 0), np.float32)
    fields: dict[str, object] = {
        "recipe": recipe,
        "layer": layer,
        "channels": tuple(channels),
        "size": size,
        "seed": 0,
        "weights": "0" * 64,
        "batch": 8,
        "precision": "fp32",
        "nature": nature_of({layer: stats}, hf=0.05, magnitude=magnitude),
        "examples": {},
        "earlier": {},
    }
    return SeededJob(**{**fields, **changes})  # type: ignore[arg-type]


def nature_of(stats: Mapping[str, LayerStats], hf: float, magnitude: NDArray[np.float32]) -> Nature:
    """Return the natural statistics if every image may be used and every layer is company."""
    images = max([len(one.activations) for one in stats.values() if one], default=0)
    return Nature(
        stats=stats,
        companions=tuple(stats),
        training=np.ones(images, np.bool_),
        hf=hf,
        magnitude=magnitude,
    )


def hasty_recipe(name: str) -> FourierRecipe:
    """The recipe of this name by one attempt of six steps, all at full size."""
    recipe = RECIPES[name]
    assert isinstance(recipe, FourierRecipe)
    return replace(recipe, seeds=1, octaves=(Octave(share=1.0, steps=6),), near=None)
