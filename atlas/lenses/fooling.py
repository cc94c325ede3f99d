"""Fooling images: a picture changed a little until the network takes it for another class.

`fool` pushes a picture to its target, `choose_target` says which that is. Judged is always the
picture of 8 bits (16 for channels that are no colours), which a reader can have, never the tensor
behind it.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..images.tensors import to_tensor
from ..network.network import Network, Run
from ..ranking.classes import compete, probabilities, spread_classes
from ..records.lens import FoolingImage, Prediction
from ..records.network import CLASSES, Outputs
from ..shapes import Picture, white_of

STEP = 1.0
LARGEST_STEPS = 100
"""Of the ascent (Stanford's course cs231n, assignment on network visualization)."""

PREDICTIONS = 5


def fool(network: Network, run: Run, picture: Picture, target: int) -> FoolingImage:
    """Change a picture until the network takes it for the target, or the steps are used up.

    A picture that is taken for it already needs no step. Where the gradient is zero or not finite
    there is no way to go: the picture stays as it is.

    Args:
        run: of `network`, with the class scores tapped by `spatial_mean`.
        picture: (H, W, C) at the size of the network's input.
        target: a class.
    """
    image, steps = ascend(network, run, picture, target)
    scores, outputs = classify(network, run, image), network.info.outputs  # afresh, from the bytes
    difference = (image.astype(np.float64) - picture) / white_of(picture)
    return FoolingImage(
        image=image,
        original=picture,
        target=target,
        fooled=is_taken_for(target, scores, outputs),
        steps=steps,
        l2=float(np.sqrt(np.sum(difference**2))),
        linf=float(np.abs(difference).max()),
        predictions=top_predictions(scores, outputs),
    )


def ascend(network: Network, run: Run, picture: Picture, target: int) -> tuple[Picture, int]:
    """Add normalised gradients of the target's score: x ← x + g / ‖g‖, in normalised space.

    x itself is neither rounded nor clipped on the way. Its picture of whole numbers, which says
    when to stop, goes through the network beside it: a batch of two is what the engine runs for one
    image anyway, and batches of several pictures would round each by how many are left.

    Returns:
        The changed picture and the steps it took.

    Source: cs231n, after Szegedy et al. 2014 and Goodfellow et al. 2015.
    """
    shown, kind = to_tensor([picture]).to(network.device), picture.dtype
    x = start = network.normalise(shown)
    for step in range(LARGEST_STEPS):
        saved = saved_picture(network, shown, start, x, kind)
        beside = network.normalise(to_tensor([saved]).to(network.device))
        leaf = x.detach().requires_grad_()
        scores = run(torch.cat([leaf, beside]), normalised=True)[CLASSES]  # (2, K)
        if is_taken_for(target, scores[1].detach().cpu().numpy(), network.info.outputs):
            return saved, step
        (gradient,) = torch.autograd.grad(scores[0, target], leaf)
        direction = unit_length(gradient)
        if not direction.any():
            return saved, step
        x = x + STEP * direction
    return saved_picture(network, shown, start, x, kind), LARGEST_STEPS


def unit_length(gradient: Tensor) -> Tensor:
    """A gradient over its Euclidean norm; zeros where that is zero or not finite."""
    norm = float(gradient.norm())
    return gradient / norm if 0 < norm < math.inf else torch.zeros_like(gradient)


def saved_picture(
    network: Network, shown: Tensor, start: Tensor, x: Tensor, kind: "np.dtype[Any]"
) -> Picture:
    """The picture (H, W, C) of whole numbers that is saved for a normalised image x (1, C, H, W).

    What x has moved since the start is added to the picture. Where the network sees grey, the
    picture keeps its colours; else that is x without its normalisation.
    """
    moved = network.denormalise(x) - network.denormalise(start)
    pixels = ((shown + moved)[0].clamp(0, 1) * np.iinfo(kind).max).round()  # (C, H, W)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy(), kind)


def choose_target(scores: NDArray[np.float32], target: int | None, outputs: Outputs) -> int | None:
    """Choose the class that an image is pushed to, by its scores (K,) of at least two classes.

    Args:
        target: as asked for; None for the least likely class of a fixed list, ties by index, that
            the image is not taken for. Classes whose score is not finite come last.
        outputs: what the network puts out.

    Returns:
        None where the image is taken for every class of the list, as classes that do not compete
        allow.
    """
    if target is not None:
        return target
    listed = spread_classes(len(scores))
    others = [one for one in listed if not is_taken_for(one, scores, outputs)]
    values = np.where(np.isfinite(scores), scores, np.inf)
    return others[int(values[others].argmin())] if others else None


# --- what the network takes a picture for --------------------------------------------------------


@torch.no_grad()
def classify(network: Network, run: Run, picture: Picture) -> NDArray[np.float32]:
    """The class scores (K,) of a picture (H, W, C)."""
    scores = run(to_tensor([picture]).to(network.device))[CLASSES][0]
    return np.asarray(scores.cpu().numpy(), np.float32)


def is_taken_for(class_: int, scores: NDArray[np.float32], outputs: Outputs) -> bool:
    """Return whether a class is the most likely one, or where none compete more likely than not.

    Args:
        class_: its index.
        scores: (K,) of a picture; those that are not finite count as none.
        outputs: what the network puts out.
    """
    if not compete(outputs):
        return bool(np.isfinite(scores[class_]) and scores[class_] >= 0)
    best = top_predictions(scores, outputs)
    return bool(best) and best[0].index == class_


def top_predictions(scores: NDArray[np.float32], outputs: Outputs) -> tuple[Prediction, ...]:
    """The most likely classes by scores (K,), ties by index; scores not finite count as none."""
    known = np.flatnonzero(np.isfinite(scores))
    if not len(known):
        return ()
    shares = probabilities(scores[None], outputs)[0]
    best = known[np.argsort(-scores[known], kind="stable")[:PREDICTIONS]]
    return tuple(Prediction(index=int(one), probability=float(shares[one])) for one in best)
