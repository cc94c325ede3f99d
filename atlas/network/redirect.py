"""Redirected ReLU: a gradient for images on which a unit is silent.

Where an activation function is flat for all of an image, the ordinary gradient is zero and the
image would stay noise for ever. Inside `RedirectedActivations` the backward pass then lets through
the part of the gradient that pushes flat inputs back to where the function has a slope; the
forward value is the ordinary one. Works for modules, functional and in-place forms alike.

Source: Lucid's redirected ReLU (misc/redirected_relu_grad.py), which decides per batch element too.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Redirected(torch.autograd.Function):
    """Applies an elementwise function; its backward revives images whose gradient vanishes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], low: float, high: float
    ) -> Tensor:
        with torch.enable_grad():
            inner = x.detach().clone().requires_grad_()
            y = function(inner)
            (slope,) = torch.autograd.grad(y.sum(), inner)
        ctx.save_for_backward(slope, x <= low, x >= high)
        return y.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        slope, below, above = ctx.saved_tensors
        plain = grad * slope
        revive = torch.where((below & (grad < 0)) | (above & (grad > 0)), grad, 0)
        alive = plain.flatten(1).abs().amax(1) > 0  # (N,)
        return torch.where(alive.view(-1, *[1] * (grad.dim() - 1)), plain, revive), None, None, None


def _bounds(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[float, float]:
    """Below and above which inputs `function` is flat."""
    if function in (F.hardtanh, F.hardtanh_):
        low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
        high = args[2] if len(args) > 2 else kwargs.get("max_val", 1.0)
        return low, high
    return _BOUNDS.get(function, (0.0, math.inf))


_BOUNDS = {F.relu6: (0.0, 6.0), F.hardswish: (-3.0, math.inf), F.hardsigmoid: (-3.0, 3.0)}
_RELU = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)
_FLAT = (*_RELU, *_BOUNDS, F.hardtanh, F.hardtanh_)
_PLAIN: dict[Any, Any] = {**dict.fromkeys(_RELU, torch.relu), F.hardtanh_: F.hardtanh}
_IN_PLACE = (F.relu_, torch.relu_, Tensor.relu_, F.hardtanh_)


@contextmanager
def redirected() -> Iterator[None]:
    """Redirect activation functions; code of torch.compile, which knows nothing of it, rests."""
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(RedirectedActivations())
        yield


class RedirectedActivations(TorchFunctionMode):
    """Context in which ReLU, ReLU6, hardtanh, hardswish and hardsigmoid are redirected."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function not in _FLAT:
            return function(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        if not x.requires_grad:
            return function(*args, **kwargs)
        low, high = _bounds(function, args, kwargs)
        in_place = function in _IN_PLACE or kwargs.pop("inplace", False)
        plain = _PLAIN.get(function, function)
        bounds = (low, high) if plain is F.hardtanh else ()
        y = _Redirected.apply(x, lambda inner: plain(inner, *bounds), low, high)
        return x.copy_(y) if in_place else y
