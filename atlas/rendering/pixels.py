"""Shared parts of the recipes that optimise pixels: reading the units' channels, and jitter.

Jitter rolls an image along both axes, so that it learns to excite its unit wherever it is;
every image has its own draw, so that no picture depends on its neighbours in the batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Rolls = list[tuple[int, int]]
"""By how many px each image is rolled down and to the right."""


Places = tuple[Tensor, Tensor]
"""Image and channel of each unit of a batch, on the device, where they stay for all steps."""


def places_of(channels: Sequence[int], device: torch.device) -> Places:
    """Where activations (N, C, …) hold channel `channels[i]` of image i."""
    return torch.arange(len(channels), device=device), torch.tensor(channels, device=device)


def own_channels(activations: Tensor, places: Places) -> Tensor:
    """Of each image its own unit's channel: (N, C, …) → (N, …) float32."""
    return activations[places].float()


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
