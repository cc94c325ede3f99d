"""Adam on one tensor, and Adam that adapts in part.

`torch.optim.Adam` computes the same where it adapts in full, but making one imports torch's
compiler, which takes longer (3 to 6 s measured) than many an atlas; a test holds the two equal to
the last bit.
"""

import math

import torch
from torch import Tensor


class Adam:
    """Moments of one tensor of parameters.

    All of it lies on the device of the parameters, the number of the step too, so that a step asks
    the host for nothing and can be launched as a recorded graph.

    Args:
        parameters: changed in place by `step`; its `grad` is read there.
        learning_rate: of every element.
        steps: that will be taken at most.
        adaptivity: a = 1, 0, ½, ¾, ⅞ …. The mean gradient is divided by its spread s, the root of
            its mean square; below 1 by s^a · r^(1 − a), r being the root mean square of s over the
            row (N, …) of an image. At 0 all of an image's elements have one learning rate.

    Attributes:
        count: (1,) steps taken so far.

    Raises:
        ValueError: another adaptivity, which square roots do not give.

    Source: Kingma and Ba 2015, algorithm 1, with its default constants; the power is that of Padam
    (Chen et al. 2018, arXiv 1806.06763), whose p is a / 2. Thanks to r a learning rate keeps its
    meaning.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(
        self, parameters: Tensor, learning_rate: float, steps: int, adaptivity: float = 1.0
    ) -> None:
        device = parameters.device
        self.parameters = parameters
        self.roots = None if adaptivity == 1 else round(-math.log2(1 - adaptivity))
        if self.roots is not None and (self.roots < 0 or adaptivity != 1 - 0.5**self.roots):
            raise ValueError(f"adaptivity {adaptivity} is not 1, 0, 1/2, 3/4, 7/8 and so on")
        self.count = torch.zeros(1, dtype=torch.int64, device=device)
        self.mean = torch.zeros_like(parameters, requires_grad=False)
        self.square = torch.zeros_like(self.mean)
        self.corrections = torch.tensor(
            [
                (-learning_rate / (1 - self.BETA1**step), (1 - self.BETA2**step) ** 0.5)
                for step in range(1, steps + 1)
            ]
        ).to(device)

    @property
    def state(self) -> list[Tensor]:
        """Everything but the parameters that a step changes."""
        return [self.count, self.mean, self.square]

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters against their gradient."""
        gradient = self.parameters.grad
        assert gradient is not None
        rate, root = self.corrections.index_select(0, self.count).unbind(1)
        self.count.add_(1)
        self.mean.lerp_(gradient, 1 - self.BETA1)
        self.square.mul_(self.BETA2).addcmul_(gradient, gradient, value=1 - self.BETA2)
        spread = (self.square.sqrt() / root).add_(self.EPSILON)
        if self.roots is not None:
            spread = evened(spread, self.roots)
        self.parameters.addcdiv_(self.mean * rate, spread)


def evened(spread: Tensor, roots: int) -> Tensor:
    """Spreads s (N, …) drawn towards r, that of their image as a whole: s · (r / s)^(2^−roots).

    By square roots, because a power may be rounded otherwise at the end of a tensor, and so by
    batch: torch computes the last few elements by another function.
    """
    whole = spread.square().mean(tuple(range(1, spread.dim())), keepdim=True).sqrt()
    factor = whole / spread
    for _ in range(roots):
        factor = factor.sqrt()
    return spread * factor
