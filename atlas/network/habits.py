"""Find out from a network under which conditions its answer is that of an image.

`find_habits` runs three photographs one at a time, again, and together, by plain hooks on the
network as it is. Everything else that is done with a network is held against these answers.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..errors import AtlasError, InputError, one_line
from ..models.calling import Habits
from .tapping import AsMaps, Way, tapped

SAME = 1e-3
"""Largest difference, over a layer's largest value, that counts as none: other batches round
otherwise (measured: below 1e-5 on torchvision's networks), and whatever depends on the batch
differs by more."""

Answers = dict[str, Tensor]
"""Layer → (N, C, 4), see `summarise_maps`."""


def summarise_maps(maps: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 4): mean, maximum, mean under fixed weights, largest absolute value.

    The weights tell positions apart, so that mirrored or shifted maps have another summary.
    """
    flat = maps.flatten(2).float()  # (N, C, H·W)
    places = torch.arange(flat.shape[2], device=flat.device)
    weighted = (flat * torch.cos(2.4 * places)).mean(2)
    return torch.stack([flat.mean(2), flat.amax(2), weighted, flat.abs().amax(2)], 2)


@torch.no_grad()
def ask(way: Way, layers: Sequence[str], as_maps: AsMaps, images: Tensor) -> Answers:
    """The summaries of all layers for a batch of normalised images.

    Raises:
        InputError: a layer is not reached, gives no maps, or its rows are not the images.
    """
    with tapped(way, dict.fromkeys(layers, summarise_maps), as_maps) as run:
        return run(images)


def differing(one: Answers, other: Answers, tolerance: float) -> str:
    """The first layer whose summaries differ by more than a share of its largest value, or ""."""
    for name, wanted in one.items():
        got = other[name]
        if wanted.shape != got.shape or not torch.equal(wanted.isfinite(), got.isfinite()):
            return name
        known, found = wanted.nan_to_num(0, 0, 0), got.nan_to_num(0, 0, 0)
        largest = float(known[..., 3].max().clamp_min(1e-6))
        if float((known - found).abs().max()) > tolerance * largest:
            return name
    return ""


def find_habits(
    plain: Way, layers: Sequence[str], as_maps: AsMaps, images: Tensor
) -> tuple[Habits, Answers]:
    """Find out whether a network has to be run one image at a time, or with fixed seeds.

    Args:
        plain: the network as its author made it, in eval mode.
        layers: that are looked at.
        as_maps: makes maps of what they put out.
        images: (3, C, H, W), normalised.

    Returns:
        What it needs, and what it says of each image by itself.

    Raises:
        InputError: a layer's rows are not the images; the answers depend on the calls before; the
            network fails on one of the images.
    """
    habits, first = find_chance(plain, layers, as_maps, images)
    several = replace(plain, habits=replace(habits, alone=False))
    try:
        together = ask(several, layers, as_maps, images)
    except Exception:  # a batch of three is more than it takes
        return habits, first
    return replace(habits, alone=bool(differing(first, together, SAME))), first


def find_chance(
    plain: Way, layers: Sequence[str], as_maps: AsMaps, images: Tensor
) -> tuple[Habits, Answers]:
    """Return whether one image at a time gives equal answers, and the answers."""
    for seeded in (False, True):
        habits = Habits(alone=True, seeded=seeded)
        way = replace(plain, habits=habits)
        try:
            first = ask(way, layers, as_maps, images)
            again = ask(way, layers, as_maps, images[:1])
        except AtlasError:
            raise
        except Exception as error:  # anything may happen in somebody's network
            raise InputError(
                f"the network fails on an input {tuple(images[:1].shape)} with {one_line(error)}"
            ) from error
        changed = differing({name: rows[:1] for name, rows in first.items()}, again, SAME)
        if not changed:
            return habits, first
    raise InputError(
        f"layer {changed} answers the same image differently at every call, with fixed seeds too: "
        f"what it says depends on the calls before, so no image can be told from another; let "
        f"forward() keep nothing between calls"
    )


def refuses(network: nn.Module, habits: Habits, images: Tensor) -> bool:
    """Return whether a network fails on these normalised images."""
    way = Way(network=network, habits=replace(habits, alone=True))
    try:
        ask(way, [], lambda _name, _output: images, images)
    except Exception:  # by whatever it checks its input with
        return True
    return False


def find_gradients(
    way: Way, layers: Sequence[str], as_maps: AsMaps, image: Tensor
) -> tuple[Habits, frozenset[str]]:
    """Return whether gradients have to be forced on, and the layers that have none all the same.

    Args:
        way: the network as it is, with its habits so far.
        layers: that are looked at.
        as_maps: makes maps of what they put out.
        image: (1, C, H, W), normalised.
    """
    missing = without_gradient(way, layers, as_maps, image)
    if not missing:
        return way.habits, missing
    forced = replace(way.habits, forced=True)
    left = without_gradient(replace(way, habits=forced), layers, as_maps, image)
    return (forced if len(left) < len(missing) else way.habits), left


def without_gradient(
    way: Way, layers: Sequence[str], as_maps: AsMaps, image: Tensor
) -> frozenset[str]:
    """The layers from which no gradient reaches the image."""

    def has_gradient(maps: Tensor) -> Tensor:
        return torch.tensor([maps.requires_grad])

    with torch.enable_grad(), tapped(way, dict.fromkeys(layers, has_gradient), as_maps) as run:
        try:
            found = run(image.detach().requires_grad_())
        except AtlasError:
            raise
        except Exception:  # each unit will fail with its own reason
            return frozenset()
    return frozenset(name for name, known in found.items() if not bool(known.all()))
