"""What a network adds by itself: biases, and the ceilings of its activation functions.

A block of convolutions, normalisation and piecewise linear functions is affine around an image. An
activation is then the sum of gradient × input and of what the block adds to it whatever comes in.
`Constants` gathers the latter, so that the sum can be checked.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

CEILINGS = (F.relu6, F.hardtanh, F.hardtanh_)
"""Piecewise linear functions with pieces that are flat at another value than zero."""


class Constants(TorchFunctionMode):
    """Context in which what is added to activations is a variable: its share in each of them.

    Attributes:
        share: 0, for the ceilings; the derivative by it is what they add.
        biases: each with the number that it stands for.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.share = torch.zeros((), device=device, requires_grad=True)
        self.biases = list(find_biases(network))

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Any = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function not in CEILINGS or not result.requires_grad:
            return result
        low, high = (0.0, 6.0) if function is F.relu6 else limits(*args[1:3], **(kwargs or {}))
        held = result.detach()
        return result + self.share * torch.where((held <= low) | (held >= high), held, 0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """All of it inside the block; biases that want no gradient want one as long."""
        still = [bias for bias, _ in self.biases if not bias.requires_grad]
        try:
            for bias in still:
                bias.requires_grad_(True)
            with self:
                yield
        finally:
            for bias in still:
                bias.requires_grad_(False)

    @property
    def variables(self) -> list[Tensor]:
        """What to take derivatives by."""
        return [self.share, *(bias for bias, _ in self.biases)]

    def total(self, slopes: Sequence[Tensor | None]) -> float:
        """What is added to an activation, from its derivatives by the variables."""
        numbers = [torch.ones_like(self.share), *(number for _, number in self.biases)]
        pairs = zip(slopes, numbers, strict=True)
        return sum(float((one * by).sum()) for one, by in pairs if one is not None)


def limits(min_val: float = -1.0, max_val: float = 1.0, **_: object) -> tuple[float, float]:
    """Between which values a call of hardtanh is not flat."""
    return min_val, max_val


def find_biases(network: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Every bias of a network with what it adds: of a BatchNorm also what its mean takes away."""
    for module in network.modules():
        bias = dict(module.named_parameters(recurse=False)).get("bias")
        if bias is None:
            continue
        number = bias.detach()
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            spread = torch.sqrt(module.running_var + module.eps)
            number = number - module.weight.detach() * module.running_mean / spread
        yield bias, number
