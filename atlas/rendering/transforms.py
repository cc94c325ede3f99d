"""Random geometry for transform robustness: shift, scale and rotation in one resampling.

Every image has its own draw from its own generator, so its picture does not depend on its
neighbours in the batch. Draws of a whole octave are made at once (`draw_geometry`), then each step
takes one row.
"""

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_geometry(
    steps: int,
    shift: float,
    zoom: float,
    rotation: float,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Draw one affine map per step and image.

    Args:
        steps: number of steps.
        shift: largest shift along each axis as a share of that side.
        zoom: largest relative change of scale.
        rotation: largest angle in degrees.
        generators: one an image.

    Returns:
        (steps, N, 2, 3) maps as `torch.nn.functional.affine_grid` takes them.
    """
    uniform = torch.stack(
        [2 * torch.rand(steps, 4, generator=generator) - 1 for generator in generators], 1
    )  # (steps, N, 4) in [-1, 1)
    scale = 1 + zoom * uniform[..., 0]
    angle = math.radians(rotation) * uniform[..., 1]
    moved = 2 * shift * uniform[..., 2:]  # the grid spans [-1, 1]
    return affine(scale, angle, moved)


def affine(scale: Tensor, angle: Tensor, moved: Tensor) -> Tensor:
    """Maps (…, 2, 3) from scale (…), angle in radians (…) and shift in grid units (…, 2)."""
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    first = torch.stack([cosine, -sine, moved[..., 0]], -1)
    second = torch.stack([sine, cosine, moved[..., 1]], -1)
    return torch.stack([first, second], -2)


def apply_geometry(images: Tensor, maps: Tensor) -> Tensor:
    """Resample images (N, C, H, W) by maps (N, 2, 3) of pixels; see `resample`."""
    return resample(images, maps_of_grid(maps, images.shape[2:]))


def maps_of_grid(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """Maps (…, 2, 3) of pixels as maps of the grid over an image of this height and width.

    The grid spans [-1, 1] along both axes, of whatever length, so a turn of pixels is none of the
    grid unless the image is square.
    """
    height, width = shape
    if height == width:
        return maps
    ratio = height / width
    return maps * maps.new_tensor([[1, ratio, 1], [1 / ratio, 1, 1]])


def resample(images: Tensor, maps: Tensor) -> Tensor:
    """Images (N, C, H, W) by maps (N, 2, 3) of the grid; outside the border they are reflected."""
    grid = grid_of(maps, images.shape[2:])
    return F.grid_sample(images, grid, align_corners=False, padding_mode="reflection")


def grid_of(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """The points (N, H, W, 2) of an image that maps (N, 2, 3) of the grid read.

    They are those of `torch.nn.functional.affine_grid`, which takes five times as long.
    """
    height, width = shape
    across, down, moved = maps[:, None, None].unbind(-1)  # (N, 1, 1, 2) each
    columns = across * centres(width, maps.device)[:, None]  # (N, 1, W, 2)
    rows = down * centres(height, maps.device)[:, None, None] + moved  # (N, H, 1, 2)
    return rows + columns


@functools.cache
def centres(count: int, device: torch.device) -> Tensor:
    """The centres of so many pixels along an axis that spans [-1, 1]."""
    return (2 * torch.arange(count, device=device) + 1) / count - 1
