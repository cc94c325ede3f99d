"""Shared parts of the recipes that optimise pixels: reading the units' channels, and jitter.

Jitter rolls an image along both axes, so that it learns to excite its unit wherever it is;
every image has its own draw, so that no picture depends on its neighbours in the batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Rolls = list[tuple[int, int]]
"""By how many px each image is rolled down and to the right."""


def own_channels(activations: Tensor, channels: Sequence[int]) -> Tensor:
    """Of image i channel `channels[i]`: (N, C, …) → (N, …) float32."""
    rows = torch.arange(len(channels), device=activations.device)
    columns = torch.tensor(channels, device=activations.device)
    return activations[rows, columns].float()


def draw_rolls(generators: Sequence[torch.Generator], least: int, most: int) -> Rolls:
    """Draw both axes of one step for each image, whole numbers from `least` to `most`."""
    draws = [torch.randint(least, most + 1, (2,), generator=one).tolist() for one in generators]
    return [(down, right) for down, right in draws]


def rolled(images: Tensor, rolls: Rolls) -> Tensor:
    """Roll each image of (N, C, H, W) by its own draw; what leaves at one side enters opposite."""
    pairs = zip(images, rolls, strict=True)
    return torch.stack([image.roll(roll, (1, 2)) for image, roll in pairs])


def opposite(rolls: Rolls) -> Rolls:
    """The rolls that undo `rolls`."""
    return [(-down, -right) for down, right in rolls]
