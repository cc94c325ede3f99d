"""Adam on one tensor.

`torch.optim.Adam` computes the same, but making one imports torch's compiler, which takes longer
(3 to 6 s measured) than many an atlas; a test holds the two equal to the last bit.
"""

import torch
from torch import Tensor


class Adam:
    """Moments of one tensor of parameters.

    Args:
        parameters: changed in place by `step`; its `grad` is read there.
        learning_rate: of every element.

    Source: Kingma and Ba 2015, algorithm 1, with its default constants.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Tensor, learning_rate: float) -> None:
        self.parameters = parameters
        self.learning_rate = learning_rate
        self.steps = 0
        self.mean = torch.zeros_like(parameters)
        self.square = torch.zeros_like(parameters)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters against their gradient."""
        gradient = self.parameters.grad
        assert gradient is not None
        self.steps += 1
        self.mean.lerp_(gradient, 1 - self.BETA1)
        self.square.mul_(self.BETA2).addcmul_(gradient, gradient, value=1 - self.BETA2)
        first = 1 - self.BETA1**self.steps
        second = (1 - self.BETA2**self.steps) ** 0.5
        spread = (self.square.sqrt() / second).add_(self.EPSILON)
        self.parameters.addcdiv_(self.mean, spread, value=-self.learning_rate / first)
