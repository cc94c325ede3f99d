"""Activations at some positions of some images: what directions are found in, and measured on.

Which images and which positions does not depend on the order of the files: images go by their
digests, and positions are drawn from each image's own. Images that judge pictures only measure, so
that no picture of a direction has seen them. Start at `split_images`, then `sample_layers`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import AtlasError, InputError
from ..images.imageset import ImageItem, ImageSet
from ..images.tensors import to_tensor
from ..network.network import Network, Run, keep
from ..records.network import LayerInfo
from ..records.samples import judges
from ..shapes import Picture

LARGEST_IMAGES = 1000
"""Images that are run."""

LARGEST_POSITIONS = 12_000
"""Positions in all, about: 98 MB for a layer of 2048 channels."""

BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Images of a set, each file once.

    Attributes:
        items: by their digests.
        judging: (N,) those that only measure.
    """

    items: tuple[ImageItem, ...]
    judging: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Activations of a layer at some positions.

    Attributes:
        fit, judge: (P, C) to find directions in, and to measure them on; the same where no image
            only measures.
        fitted, judged: images behind each.
    """

    fit: NDArray[np.float32]
    judge: NDArray[np.float32]
    fitted: int
    judged: int


def split_images(images: ImageSet) -> Split:
    """The images of a set that are looked at, at most `LARGEST_IMAGES`."""
    first: dict[str, ImageItem] = {}
    for item in images.items:
        first.setdefault(item.sha256, item)
    items = tuple(item for _, item in sorted(first.items())[:LARGEST_IMAGES])
    return Split(items=items, judging=np.array([judges(one.sha256) for one in items], np.bool_))


@torch.no_grad()
def sample_layers(
    network: Network,
    layers: Sequence[LayerInfo],
    pictures: Iterable[Picture | None],
    split: Split,
) -> dict[str, Sampled]:
    """Run pictures and keep what layers answer at some positions of each.

    Args:
        network: that has the layers.
        layers: to look at.
        pictures: of `split.items`, as the network sees them; None for one that cannot be read.
        split: the images.

    Raises:
        InputError: no image gives finite activations.
    """
    each = max(1, LARGEST_POSITIONS // max(len(split.items), 1))
    parts: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in layers}
    judging: list[bool] = []
    stream = iter(zip(pictures, split.items, split.judging.tolist(), strict=True))
    with network.tap({layer.name: keep for layer in layers}) as run:
        while batch := list(islice(stream, BATCH)):
            seen = [(one, item, judge) for one, item, judge in batch if one is not None]
            answers = run_each(run, network.device, [one for one, *_ in seen])
            for (_, item, judge), found in zip(seen, answers, strict=True):
                rows = {name: at_some_places(maps, item, each) for name, maps in found.items()}
                if rows and all(np.isfinite(one).all() for one in rows.values()):
                    judging.append(judge)
                    for name, one in rows.items():
                        parts[name].append(one)
    if not judging:
        names = ", ".join(parts)
        raise InputError(f"--dictionary: {names} gives no finite activations on any image")
    return {name: parted(rows, judging) for name, rows in parts.items()}


def run_each(
    run: Run, device: torch.device, pictures: Sequence[Picture]
) -> list[dict[str, Tensor]]:
    """Layer → maps (C, H, W) of each picture; {} for those on which the network fails alone."""
    if not pictures:
        return []
    try:
        found = run(to_tensor(pictures).to(device))
        return [{name: maps[row] for name, maps in found.items()} for row in range(len(pictures))]
    except (AtlasError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:  # anything may happen in somebody's network; ranking names the image
        if len(pictures) == 1:
            return [{}]
    return [one for picture in pictures for one in run_each(run, device, [picture])]


def at_some_places(maps: Tensor, item: ImageItem, count: int) -> NDArray[np.float32]:
    """(P, C) of maps (C, H, W): at most `count` positions, drawn from the digest of the image."""
    flat = maps.flatten(1).T.float().cpu().numpy()
    drawn = np.random.default_rng(int(item.sha256[:16], 16)).permutation(len(flat))
    return np.ascontiguousarray(flat[np.sort(drawn[:count])])


def parted(rows: Sequence[NDArray[np.float32]], judging: Sequence[bool]) -> Sampled:
    """The rows of all images, those that only measure apart."""
    fit = [one for one, judge in zip(rows, judging, strict=True) if not judge] or list(rows)
    judge = [one for one, judge in zip(rows, judging, strict=True) if judge] or list(rows)
    return Sampled(
        fit=np.concatenate(fit),
        judge=np.concatenate(judge),
        fitted=len(fit),
        judged=len(judge),
    )
