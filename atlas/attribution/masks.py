"""Soft masks: which pixels of a dataset example the peak of a unit depends on.

A mask is the gradient of the peak with respect to the image, absolute and summed over the colours,
smoothed, zero outside the receptive field, over its maximum. How much of the peak its pixels carry
is measured by taking all others away: PATCH and KEEP. Start at `mask_unit`.

Source: Simonyan, Vedaldi and Zisserman 2014, section 3.1, for the gradient as a map of saliency;
Zhou et al. 2015, section 3.2, for the part of the image that a unit hangs on, measured by taking
away the rest.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..images.pixels import patch_shape
from ..images.tensors import to_tensor
from ..network.memory import is_out_of_memory
from ..network.network import Network, Run
from ..ranking import ranking
from ..ranking.placing import unplaced
from ..records.attribution import UnitMasks, no_masks
from ..records.network import LayerInfo
from ..records.statistics import EXAMPLES
from ..shapes import Picture, Shape
from .peaks import at_places, find_places, pick, receptive_fields

SMOOTHING = 1 / 16
"""Sigma of the Gaussian over the shorter side of a patch: 2 px for the smallest patches of 224 px,
7 px for the largest. Measured on EfficientNet-Lite0 in docs/methods.md: half of it leaves PATCH a
tenth lower, twice as much gains KEEP nothing and shows less."""

TOP_SHARE = 0.1
"""Share of the receptive field's pixels that KEEP keeps."""


def mask_unit(
    network: Network,
    layer: LayerInfo,
    channel: int,
    pictures: Sequence[Picture],
    boxes: NDArray[np.int32],
) -> UnitMasks:
    """The masks of one unit on its dataset examples, and how much of its peaks they carry.

    Args:
        network: with a tap for the layer.
        layer: its row in the layer table.
        channel: of the unit.
        pictures: its K dataset examples at the size of the network's input, best first.
        boxes: (K, 4) the patches that pages show of them, y0, x0, y1, x1.

    Returns:
        Its record, without masks where no gradient reaches the image or maps have no places in it.
    """
    if not pictures or layer.name in network.without_gradient or unplaced([layer]):
        return no_masks(channel)
    try:
        return mask_together(network, layer, channel, pictures, boxes)
    except (RuntimeError, MemoryError) as error:
        if len(pictures) == 1 or not is_out_of_memory(error):
            raise
    return joined(
        [
            mask_together(network, layer, channel, [picture], box[None])
            for picture, box in zip(pictures, boxes, strict=True)
        ]
    )


def joined(found: Sequence[UnitMasks]) -> UnitMasks:
    """The record of a unit whose examples were run one by one."""
    patch, keep = np.full((2, EXAMPLES), math.nan, np.float32)
    for place, one in enumerate(found):
        patch[place], keep[place] = one.patch[0], one.keep[0]
    masks = np.concatenate([one.masks for one in found])
    return UnitMasks(channel=found[0].channel, patch=patch, keep=keep, masks=masks)


@torch.no_grad()
def mask_together(
    network: Network,
    layer: LayerInfo,
    channel: int,
    pictures: Sequence[Picture],
    boxes: NDArray[np.int32],
) -> UnitMasks:
    """The same, all examples in one batch."""
    images = to_tensor(pictures).to(network.device)
    with network.tap({layer.name: pick(channel)}) as run:
        places, peaks, slopes = derive_peaks(run, layer, images, boxes)
        fields = receptive_fields(layer, network.info.shape, places)
        masks = soft_masks(slopes, fields, smoothing(layer, network.info.shape))
        grey = torch.tensor(network.info.mean, device=network.device)[:, None, None]
        kept = [
            at_places(run(mixed(images, grey, shares))[layer.name], places).cpu().numpy()
            for shares in (masks, top_pixels(masks, fields))
        ]
    patch, keep = (shares_of(values, peaks, masks) for values in kept)
    return UnitMasks(channel=channel, patch=patch, keep=keep, masks=cut_masks(masks, boxes))


@torch.enable_grad()
def derive_peaks(
    run: Run, layer: LayerInfo, images: Tensor, boxes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Place (K,) and value (K,) of each peak, and (K, H, W) the sizes of its derivatives."""
    leaf = images.detach().requires_grad_()
    maps = run(leaf)[layer.name]  # (K, H · W)
    places = find_places(layer, (images.shape[2], images.shape[3]), maps, boxes)
    peaks = at_places(maps, places)
    (slopes,) = torch.autograd.grad(peaks.sum(), leaf)
    sizes = slopes.abs().sum(1).nan_to_num(0, 0, 0)
    return places, peaks.detach().float().cpu().numpy(), sizes.cpu().numpy()


def smoothing(layer: LayerInfo, shape: Shape) -> float:
    """Sigma in pixels of the Gaussian that masks of a layer are smoothed by."""
    return SMOOTHING * min(ranking.patch_shape(layer, shape))


def soft_masks(
    slopes: NDArray[np.float32], fields: NDArray[np.bool_], sigma: float
) -> NDArray[np.float32]:
    """(K, H, W) derivatives smoothed, zero outside the fields, over their maximum."""
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in slopes]) * fields
    peaks = smooth.max((1, 2), keepdims=True)
    return np.asarray(smooth / np.where(peaks > 0, peaks, 1), np.float32)


def top_pixels(masks: NDArray[np.float32], fields: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(K, H, W) one for the top tenth of each field's pixels, ties by position, zero for others."""
    return np.stack([top_of(mask, field) for mask, field in zip(masks, fields, strict=True)])


def top_of(mask: NDArray[np.float32], field: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) the same of one mask; sorting all pixels would take a tenth of a unit's time."""
    chosen, inside = np.zeros(mask.size, np.float32), np.flatnonzero(field)
    values, count = mask.ravel()[inside], math.ceil(TOP_SHARE * len(inside))
    least = np.partition(values, -count)[-count]
    above = np.flatnonzero(values > least)
    level = np.flatnonzero(values == least)[: count - len(above)]
    chosen[inside[above]] = chosen[inside[level]] = 1
    return chosen.reshape(mask.shape)


def mixed(images: Tensor, grey: Tensor, shares: NDArray[np.float32]) -> Tensor:
    """Images (K, C, H, W), grey where their share (K, H, W) is 0."""
    kept = torch.from_numpy(shares).to(images.device)[:, None]
    return images * kept + grey * (1 - kept)


def shares_of(
    values: NDArray[np.float32], peaks: NDArray[np.float32], masks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(EXAMPLES,) values ÷ peaks; NaN for peaks that are not above 0 or depend on no pixel."""
    shares = np.full(EXAMPLES, math.nan, np.float32)
    known = np.flatnonzero((peaks > 0) & masks.any((1, 2)))
    shares[known] = values[known] / peaks[known]
    return shares


def cut_masks(masks: NDArray[np.float32], boxes: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(K, h, w) the masks inside the boxes, in 8 bits at the size of the patches on pages."""
    return np.stack([cut_mask(mask, box) for mask, box in zip(masks, boxes, strict=True)])


def cut_mask(mask: NDArray[np.float32], box: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(h, w) a mask inside a box."""
    y0, x0, y1, x1 = box.tolist()
    part = mask[y0:y1, x0:x1]
    height, width = patch_shape((y0, x0, y1, x1))
    method = cv2.INTER_AREA if height < y1 - y0 else cv2.INTER_LINEAR  # cubic would overshoot
    return np.rint(255 * cv2.resize(part, (width, height), interpolation=method)).astype(np.uint8)
