"""The computation of a network as numbers, which an edit of its code changes.

Weights alone do not identify one's own network: `forward` may be edited and the weights stay. Its
source would not do either: helper functions, constants and libraries decide as much, and a comment
decides nothing. So the network is asked: what every module puts out on three photographs is summed
up in two numbers, upon which machines agree to a few digits. Start at `describe_behaviour`.
"""

from collections import Counter
from contextlib import suppress

import torch
from torch import Tensor, nn

from .calling import Habits, call
from .hooks import hooked
from .trace import tensors_in

DIGITS = 6


@torch.no_grad()
def describe_behaviour(network: nn.Module, images: Tensor) -> tuple[float, ...]:
    """Two numbers for every call of a module: mean size of its output, and mean under weights.

    Args:
        network: in eval mode.
        images: (N, C, H, W), normalised; run one by one, with fixed seeds.
    """
    tally = Tally()
    with hooked(network.named_modules(), after=tally.note):
        for place in range(len(images)):
            tally.calls.clear()
            with suppress(Exception):  # whoever uses it will say why
                call(network, images[place : place + 1], Habits(seeded=True))
    return tuple(float(f"{number:.{DIGITS}g}") for pair in tally.sums.values() for number in pair)


class Tally:
    """Hooks that add up what the calls of modules put out.

    Attributes:
        sums: (module, call) → size and weighted mean, over all images.
        calls: of each module on the image under way.
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], list[float]] = {}
        self.calls: Counter[str] = Counter()

    def note(self, name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        """Add what one call has put out."""
        sums = self.sums.setdefault((name, self.calls[name]), [0.0, 0.0])
        self.calls[name] += 1
        for part in tensors_in(output):
            size, weighted = size_and_mean(part)
            sums[0] += size
            sums[1] += weighted


def size_and_mean(values: Tensor) -> tuple[float, float]:
    """Mean absolute value, and mean under fixed weights, which tell positions apart."""
    plain = values.dequantize() if values.is_quantized else values
    flat = (torch.view_as_real(plain) if plain.is_complex() else plain).flatten().double()
    flat = flat.nan_to_num(0, 0, 0)
    if not len(flat):
        return 0.0, 0.0
    weights = torch.cos(2.4 * torch.arange(len(flat), dtype=torch.double))
    return float(flat.abs().mean()), float((flat * weights).mean())
