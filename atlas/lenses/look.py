"""The lenses, applied to single images: predictions, saliency, fooling images, feature maps.

`look` does it all. Images run one by one, since the last digits of a network's output depend on the
size of the batch, and nothing of an image may depend on which others it is looked at with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..files.digests import fingerprint
from ..images.tensors import to_tensor
from ..network.network import Network, spatial_mean
from ..network.tapping import Reduce
from ..records.lens import FeatureMaps, FoolingImage, Lens
from ..records.network import CLASSES
from ..shapes import Picture
from .fooling import choose_target, fool, top_predictions
from .saliency import saliency, smoothgrad

MAPS = 8
"""Channels of each layer whose maps are kept."""

MAP_SIDE = 112
"""Larger maps are averaged down to this side: pages show them no larger."""

NOTHING = np.zeros((0, 0), np.float16)
"""The saliency of an image without gradients of class scores."""


def look(
    network: Network,
    pictures: Mapping[int, Picture],
    layers: Sequence[str],
    classes: int,
    target: int | None,
    seed: int,
) -> list[Lens]:
    """Look at images through all lenses.

    Args:
        network: with taps for `layers`, and for the class scores where there are classes.
        pictures: index of a sample image → (H, W, C) at the size of the network's input.
        layers: whose maps are kept, in forward order.
        classes: their number; 0 without a classifier, and then there are only maps.
        target: class that fooling images are pushed to; None for the least likely of a fixed list.
            A classifier of one class has no fooling image.
        seed: of the atlas.

    Returns:
        One an image, in the order of `pictures`.
    """
    lenses = []
    for index, picture in pictures.items():
        scores, maps = first_pass(network, picture, layers, classes > 0)
        lens = Lens(
            image=index,
            predictions=top_predictions(scores, network.info.outputs),
            saliency=NOTHING,
            smoothgrad=NOTHING,
            fooling=None,
            maps=maps,
        )
        if CLASSES not in network.without_gradient:
            noise = noise_generator(network, index, seed)
            plain, smooth = saliency_maps(network, picture, scores, noise)
            fooling = fooling_image(network, picture, scores, target)
            lens = replace(lens, saliency=plain, smoothgrad=smooth, fooling=fooling)
        lenses.append(lens)
    return lenses


@torch.no_grad()
def first_pass(
    network: Network, picture: Picture, layers: Sequence[str], classify: bool
) -> tuple[NDArray[np.float32], tuple[FeatureMaps, ...]]:
    """An image's class scores (K,), K = 0 without a classifier, and its feature maps."""
    found: dict[str, FeatureMaps] = {}
    taps = {layer: map_collector(layer, found) for layer in layers}
    with network.tap(taps | {CLASSES: spatial_mean} if classify else taps) as run:
        outputs = run(to_tensor([picture]).to(network.device))
    scores = outputs[CLASSES][0].cpu().numpy() if classify else np.zeros(0, np.float32)
    return scores, tuple(found[layer] for layer in layers)


# --- feature maps --------------------------------------------------------------------------------


def map_collector(layer: str, found: dict[str, FeatureMaps]) -> Reduce:
    """A reduction that leaves the most active maps of the image in `found`."""

    def collect(activations: Tensor) -> Tensor:
        found[layer] = most_active(layer, activations)
        return activations.new_empty(0)  # so that no whole layer outlives its turn

    return collect


def most_active(layer: str, activations: Tensor) -> FeatureMaps:
    """The channels of activations (1, C, h, w) with the largest spatial means, ties by channel.

    Channels that are not finite are left out. Maps larger than `MAP_SIDE` are averaged down to it;
    their peaks are those of the whole maps.
    """
    means = spatial_mean(activations)[0].cpu().numpy()  # (C,)
    order = np.argsort(-means, kind="stable")
    best = order[np.isfinite(means[order])][:MAPS]
    maps = activations[0, best.tolist()].float()  # (M, h, w)
    peaks = maps.abs().amax((1, 2))
    maps = averaged_down(maps / torch.where(peaks > 0, peaks, 1)[:, None, None])
    return FeatureMaps(
        layer=layer,
        channels=best.astype(np.int32),
        means=means[best],
        peaks=peaks.cpu().numpy(),
        maps=maps.cpu().numpy().astype(np.float16),
    )


def averaged_down(maps: Tensor) -> Tensor:
    """Maps (M, h, w) with no side above `MAP_SIDE`."""
    height, width = maps.shape[1:]
    if max(height, width) <= MAP_SIDE or not len(maps):
        return maps
    return F.adaptive_avg_pool2d(maps, (min(height, MAP_SIDE), min(width, MAP_SIDE)))


# --- what needs a classifier ---------------------------------------------------------------------


def saliency_maps(
    network: Network,
    picture: Picture,
    scores: NDArray[np.float32],
    noise: torch.Generator,
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Saliency and SmoothGrad (H, W) of the predicted class by an image's scores (K,).

    Without a classifier they are empty, without a prediction zero.
    """
    predictions = top_predictions(scores, network.info.outputs)
    if not predictions:
        zeros = np.zeros(picture.shape[:2], np.float16) if len(scores) else NOTHING
        return zeros, zeros
    image, class_ = to_tensor([picture])[0].to(network.device), predictions[0].index
    with network.tap({CLASSES: spatial_mean}) as run:
        return saliency(run, image, class_), smoothgrad(run, image, class_, noise)


def fooling_image(
    network: Network, picture: Picture, scores: NDArray[np.float32], target: int | None
) -> FoolingImage | None:
    """The picture pushed to its target; None where there is no other class to push it to."""
    chosen = choose_target(scores, target, network.info.outputs) if len(scores) > 1 else None
    if chosen is None:
        return None
    with network.tap({CLASSES: spatial_mean}) as run:
        return fool(network, run, picture, chosen)


def noise_generator(network: Network, index: int, seed: int) -> torch.Generator:
    """The generator of one image's noise: nothing but weights, image and seed moves it."""
    mark = fingerprint([network.weights_sha256, "smoothgrad", index, seed])
    return torch.Generator().manual_seed(int(mark[:16], 16) >> 1)
