"""Faster ways through a network, each taken only where it gives what the plain way gives.

Six of them change nothing on most networks: BatchNorm folded into convolutions, a copy that may be
changed, activation functions that do not work in place, one library for all convolutions,
channels-last memory, and a pass that ends behind the last layer that is looked at. On some they do:
`view` refuses channels-last tensors, a copy leaves hooks and closures behind, code reads what was
changed in place, code behind the last layer clears what the next image must not see. `choose_way`
is the one place that decides, by comparing with the plain network on several photographs at several
sizes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from .folding import by_one_library, fold_batch_norm, out_of_place, shared_copy
from .habits import Answers, ask, differing
from .tapping import AsMaps, Way, module_paths

AGREEMENT = 1e-4
"""Largest difference to the plain network, over a layer's largest value (measured: below 1e-5 on
torchvision's networks, folded and channels-last)."""

OTHER_SIZES = (0.5, 0.75)
"""Shares of the input's size at which the ways are compared too, where the network takes them."""


Wanted = Sequence[tuple[Tensor, Answers]]
"""Batches of normalised images with what the plain network says of each image by itself; the first
of the size that the network is for."""


def choose_way(plain: Way, layers: Sequence[str], as_maps: AsMaps, wanted: Wanted) -> Way:
    """The fastest way that agrees with the plain one; the plain one where none does.

    Args:
        plain: the network as its author made it, with its habits.
        layers: that will be looked at.
        as_maps: makes maps of what they put out.
        wanted: what it has to give.
    """
    for way in faster_ways(plain, layers, wanted[0][0]):
        if agrees(way, layers, as_maps, wanted):
            return way
    return plain


def plain_answers(
    plain: Way, layers: Sequence[str], as_maps: AsMaps, batches: Sequence[Tensor]
) -> list[tuple[Tensor, Answers]]:
    """Return the plain network's answers to batches of other sizes, as far as it takes them."""
    alone = replace(plain, habits=replace(plain.habits, alone=True))
    found = []
    for batch in batches:
        try:
            trial = replace(alone, network=spare_copy(plain.network))
            found.append((batch, ask(trial, layers, as_maps, batch)))
        except Exception:  # it does not take this size
            continue
    return found


def agrees(way: Way, layers: Sequence[str], as_maps: AsMaps, wanted: Wanted) -> bool:
    """Return whether a way gives what is wanted, batch after batch, and the first image again."""
    images, answers = wanted[0]
    once_more = (images[:1], {name: rows[:1] for name, rows in answers.items()})
    try:
        return not any(
            differing(expected, ask(way, layers, as_maps, batch), AGREEMENT)
            for batch, expected in (*wanted, once_more)
        )
    except Exception:  # it does not run this way
        return False


def faster_ways(plain: Way, layers: Sequence[str], images: Tensor) -> Iterator[Way]:
    """Ways to try, the fastest first.

    Each has a copy of its own, because a pass that ends early or fails may leave something behind;
    for the same reason a network that cannot be copied runs to the end.
    """
    taps = module_paths(plain.network, layers)

    def fold() -> nn.Module | None:
        folded = fold_batch_norm(plain.network, images[:1], taps)
        return fitted(folded) if folded else None

    def copied() -> nn.Module:
        return fitted(shared_copy(plain.network))

    def fitted(network: nn.Module) -> nn.Module:
        return by_one_library(out_of_place(network), images.device)

    for make in (fold, copied, partial(shared_copy, plain.network), lambda: plain.network):
        for channels_last, stops in ((True, True), (False, True), (True, False), (False, False)):
            network = attempted(make)
            if network is None:
                break
            if network is plain.network and stops:
                continue
            layout = torch.channels_last if channels_last else torch.contiguous_format
            network.to(memory_format=layout)
            yield replace(plain, network=network, channels_last=channels_last, stops=stops)


def spare_copy(network: nn.Module) -> nn.Module:
    """A copy to try things on that may fail half-way; the network itself where it has no copies."""
    return attempted(partial(shared_copy, network)) or network


def attempted(make: Callable[[], nn.Module | None]) -> nn.Module | None:
    """Return the result of `make`; None where it fails, on locks, parametrizations and the like."""
    try:
        return make()
    except Exception:  # anything may be in somebody's network
        return None


def describe_way(way: Way, plain: nn.Module) -> str:
    """Describe the shortcuts left out for a network; "" where none is."""
    left_out = {
        "no copy is made": way.network is plain,
        "memory is not channels-last": not way.channels_last,
        "passes run to the end": not way.stops,
    }
    return "; ".join(text for text, missing in left_out.items() if missing)
