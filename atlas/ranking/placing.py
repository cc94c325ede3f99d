"""Find the best patches of a layer without positions in its maps: by the gradient.

Rolled and shuffled maps, and what a network reads at places that the picture itself decides (a
spatial transformer, a deformable convolution), have other places on every picture. There the patch
is cut where the derivative of the channel's maximum by the pixels is largest. It costs a backward
pass for each example, so that it is done for such layers only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..images.tensors import to_tensor
from ..models.layouts import UNKNOWN, read_layout
from ..network.network import Network, keep
from ..records.network import LayerInfo
from ..records.statistics import LayerStats
from ..shapes import Picture
from .ranking import boxes_around, patch_shape

GRADIENT_BATCH = 16
"""Channels whose maxima are derived together, each on a copy of the picture."""

CONCENTRATED = 2.0
"""A patch is worth cutting if the derivatives in it are so many times the picture's mean."""


def unplaced(layers: Iterable[LayerInfo]) -> list[LayerInfo]:
    """The layers whose maps do not say where in the picture their positions are."""
    return [layer for layer in layers if read_layout(layer.layout).order == UNKNOWN]


def place_by_gradient(
    network: Network,
    layers: Sequence[LayerInfo],
    stats: Sequence[LayerStats],
    images: Iterable[Picture],
) -> list[LayerStats]:
    """The statistics with boxes where the derivatives of each example's maximum are largest.

    Args:
        network: has to know the layers.
        layers: all of the statistics; those that are not `unplaced` stay as they are.
        stats: of each layer.
        images: all that the statistics are of, in the same order.
    """
    without = unplaced(layers)
    placed = [replace(one, example_box=one.example_box.copy()) for one in stats]
    todo = [one for one in zip(layers, placed, strict=True) if one[0] in without]
    for index, image in enumerate(images):
        for layer, one in todo:
            channels, places = np.nonzero(one.example_image == index)
            for first in range(0, len(channels), GRADIENT_BATCH):
                part = slice(first, first + GRADIENT_BATCH)
                slopes = derivatives(network, layer.name, image, channels[part].tolist())
                one.example_box[channels[part], places[part]] = boxes_of(layer, slopes)
    return placed


@torch.enable_grad()
def derivatives(network: Network, layer: str, image: Picture, channels: Sequence[int]) -> Tensor:
    """(K, H, W) sizes of the derivatives of each channel's maximum; zero where it has none."""
    copies = to_tensor([image] * len(channels)).to(network.device).requires_grad_()
    with network.tap({layer: keep}) as run:
        maps = run(copies)[layer]
    peaks = maps.flatten(2).amax(2)[range(len(channels)), channels]  # (K,)
    if not peaks.requires_grad:
        return torch.zeros_like(copies[:, 0])
    (slopes,) = torch.autograd.grad(peaks.sum(), copies)
    return slopes.abs().sum(1).nan_to_num(0, 0, 0)


def boxes_of(layer: LayerInfo, slopes: Tensor) -> NDArray[np.int32]:
    """(K, 4): boxes around most of each derivative; the whole picture where it is everywhere."""
    height, width = slopes.shape[1:]
    down, across = patch_shape(layer, (height, width))
    near = slopes[:, None]
    for _ in range(2):  # a box twice is a tent: its maximum is in the middle, not anywhere inside
        near = F.avg_pool2d(
            near, (down | 1, across | 1), stride=1, padding=(down // 2, across // 2)
        )
    place = near.flatten(1).argmax(1).cpu().numpy()
    boxes = boxes_around(layer, (height, width), place // width + 0.5, place % width + 0.5)
    for box, slope in zip(boxes, slopes, strict=True):
        y0, x0, y1, x1 = box
        if not slope[y0:y1, x0:x1].mean() > CONCENTRATED * slope.mean():
            box[:] = 0, 0, height, width
    return boxes
