"""The meaning of each axis of an output: change a band of the picture, and see what moves.

Each third of a photograph, from top to bottom and from left to right, is replaced by that of
another one. Along the vertical axis of a map the answer moves as the changed band does, along the
horizontal one too, along the channels it does not, however long these axes are. Tokens are tried
on every grid they could be of. Nothing of this asks how a network was written: it may permute,
rearrange, flatten, mirror or turn its maps as it likes. Start at `find_axes`.

Outputs are not kept: what is compared between two runs is a sketch of each axis, sums over the
other axes with random signs (Johnson and Lindenstrauss 1984), whose differences are as large as
those of the output itself.
"""

import functools
import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .answer import BANDS, Answer
from .reader import Axes, Reader
from .trace import only_map

Look = Callable[[str, object], None]
"""Takes the name of a call and what it has put out."""

SKETCHES = 8
"""Sums with random signs for each index of an axis: the answer is known to a third of itself."""


def find_axes(run: Callable[[Tensor, Look], None], images: Tensor) -> dict[str, Axes]:
    """Say of every output of a network which axis is what.

    Args:
        run: runs one image (1, C, H, W) and hands the name and the output of each call on.
        images: (N, C, H, W); the first is changed, by parts of the last.

    Returns:
        Name → axes, without the outputs that are neither maps nor tokens.
    """
    answers: dict[str, Answer] = {}
    plain: dict[str, list[Tensor]] = {}

    def keep(name: str, output: object) -> None:
        found = as_output(output)
        if found is not None:
            plain[name] = sketch(found)
            answers[name] = Answer(tuple(found.shape[1:]), [[] for _ in plain[name]])

    def compare(name: str, output: object) -> None:
        found = as_output(output)
        if found is not None and name in plain and tuple(found.shape[1:]) == answers[name].shape:
            for axis, changed in enumerate(sketch(found)):
                change = (changed - plain[name][axis]).norm(dim=1)
                answers[name].bands[axis].append(change.nan_to_num(0, 0, 0).double().numpy())

    run(images[:1], keep)
    for changed in changed_images(images[0], images[-1].flip(-1)):
        run(changed[None], compare)
    reader = Reader(images.shape[2] / images.shape[3])
    read = {name: reader.read(answer) for name, answer in answers.items()}
    return {name: axes for name, axes in read.items() if axes is not None}


def as_output(output: object) -> Tensor | None:
    """Return the part of an output that could be maps or tokens of one image."""
    found = only_map(output)
    if not isinstance(found, Tensor) or found.shape[:1] != (1,) or found.ndim not in (3, 4):
        return None
    return found.detach() if found.is_floating_point() and found.numel() else None


def changed_images(image: Tensor, other: Tensor) -> Iterator[Tensor]:
    """`image` (C, H, W) with one third of it, down and then across, taken from `other`."""
    for axis in (1, 2):
        cuts = [round(image.shape[axis] * part / BANDS) for part in range(BANDS + 1)]
        for first, last in itertools.pairwise(cuts):
            changed = image.clone()
            changed.narrow(axis, first, last - first).copy_(other.narrow(axis, first, last - first))
            yield changed


def sketch(output: Tensor) -> list[Tensor]:
    """(1, …) → for each axis but the first its (length, SKETCHES) sums over the others."""
    values = output[0].float().cpu()
    first, second, last = (1, *values.shape)[-3:]
    rows = values.reshape(first * second, last)
    across = (rows @ signs(last)).view(first, second, SKETCHES)
    pairs = signs(first)[:, None] * signs(second)
    sums = [
        (across * signs(second)).sum(1),
        (across * signs(first)[:, None]).sum(0),
        rows.T @ pairs.view(first * second, SKETCHES),
    ]
    return sums[-values.ndim :]


@functools.cache
def signs(length: int) -> Tensor:
    """(length, SKETCHES) of 1 and −1, the same in every run."""
    generator = torch.Generator().manual_seed(length)
    return torch.randint(0, 2, (length, SKETCHES), generator=generator).float() * 2 - 1
