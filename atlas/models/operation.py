"""One call of a torch function: its window, its cut, its multiply-adds. Start at `Call`.

torch's own flop counter sees the calls below these functions, down to kernels: it counts no fused
attention on the CPU, and what networks compute from their weights alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ATTENTION = (
    *("multi_head_attention_forward", "_native_multi_head_attention"),
    "scaled_dot_product_attention",
)

PRODUCTS = (*ATTENTION, "einsum", "matmul", "__matmul__", "bmm")
"""Operations that mix the positions of two tensors of the run."""


SAMPLERS = (
    *("grid_sample", "deform_conv2d", "gather", "take_along_dim", "index_select", "__getitem__"),
    *("scatter", "take"),
)
"""Operations that read places given by another tensor; of the run itself, they follow the picture
and not the grid."""


@dataclass(frozen=True, slots=True)
class Window:
    """Window that a convolution or pooling moves over the positions, each down and across.

    Attributes:
        size: of the window, dilation included.
        stride: positions that it is moved by.
        padding: positions in front of the first.
    """

    size: list[int]
    stride: list[int]
    padding: list[int]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a torch function: its name and its arguments."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def argument(self, position: int, name: str, default: Any) -> Any:
        """An argument, given by position or by name, or neither."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)

    def window(self, before: torch.Size, out: Tensor) -> Window | None:
        """The window of a convolution or pooling."""
        if self.name == "conv2d":
            kernel = list(self.argument(1, "weight", None).shape[2:])
            stride, padding = self.argument(3, "stride", 1), self.argument(4, "padding", 0)
            dilation = both_ways(self.argument(5, "dilation", 1))
        elif self.name in ("max_pool2d", "_max_pool2d", "avg_pool2d", "max_pool2d_with_indices"):
            kernel = both_ways(self.argument(1, "kernel_size", 1))
            stride = self.argument(2, "stride", None) or kernel
            padding = self.argument(3, "padding", 0)
            dilation = both_ways(
                1 if self.name == "avg_pool2d" else self.argument(4, "dilation", 1)
            )
        elif self.name in ("adaptive_avg_pool2d", "adaptive_max_pool2d") and out.ndim == 4:
            # Windows differ by a pixel where the size does not divide; the largest counts.
            stride = [max(1, before[i] // out.shape[i]) for i in (2, 3)]
            kernel, padding = [-(-before[i] // out.shape[i]) for i in (2, 3)], 0
            dilation = [1, 1]
        else:
            return None
        size = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
        if isinstance(padding, str):
            padding = [(one - 1) // 2 if padding == "same" else 0 for one in size]
        return Window(size, both_ways(stride), both_ways(padding))

    def cut(self) -> tuple[float, float]:
        """By how many positions, down and across, padding or a cut moves the first one."""
        if self.name == "pad":
            sizes = self.argument(1, "pad", ())
            return (-sizes[2], -sizes[0]) if len(sizes) == 4 else (0, 0)
        if self.name == "__getitem__" and isinstance(self.args[1], tuple):
            index = self.args[1]
            if len(index) == 4 or (len(index) == 3 and index[0] is Ellipsis):
                return cut_of(index[-2]), cut_of(index[-1])
        return 0, 0

    def resamples(self, before: torch.Size, out: Tensor) -> bool:
        """Return whether positions of the output are not those of the input."""
        if self.name in ("pixel_shuffle", "pixel_unshuffle"):
            return True
        if self.name == "__getitem__":
            index = self.args[1] if isinstance(self.args[1], tuple) else (self.args[1],)
            return any(isinstance(part, slice) and part.step not in (None, 1) for part in index)
        if len(before) != 4 or out.ndim != 4 or self.name == "pad":
            return False
        # One size alone changes in a linear map of the last dimension, both with every resampling
        # and with a change of the order of dimensions, which keeps the number of elements.
        both = before[2] != out.shape[2] and before[3] != out.shape[3]
        return both and positions(before) > 1 and before.numel() != out.numel()

    def multiply_adds(self, out: Tensor) -> int:
        """Multiply-adds of this call, 0 for what is not a product with a matrix."""
        each = 0
        if self.name in ("conv1d", "conv2d", "conv3d"):
            each = self.argument(1, "weight", None)[0].numel()
        elif self.name == "linear":
            each = self.argument(1, "weight", None).shape[-1]
        elif self.name in ("matmul", "bmm", "mm", "__matmul__"):
            each = self.argument(0, "input", None).shape[-1]
        elif self.name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
            # Every input, not every output, meets the whole of its channel's kernels.
            inputs = self.argument(0, "input", None).numel()
            return int(inputs * self.argument(1, "weight", None)[0].numel())
        elif self.name in ATTENTION:
            return self.attention_multiply_adds() if out.ndim > 2 else 0
        elif self.name == "einsum":
            return einsum_multiply_adds(self.args[0], self.args[1:])
        return int(out.numel() * each)

    def attention_multiply_adds(self) -> int:
        """Multiply-adds of a fused attention of one image: scores, sums, and the four linear maps
        that `MultiheadAttention` has around them."""
        query, key = self.args[0], self.args[1]
        if self.name == "scaled_dot_product_attention":
            return int(2 * query.numel() * key.shape[-2])
        tokens, others = query.numel() // query.shape[-1], key.numel() // key.shape[-1]
        maps = 2 * (query.numel() + key.numel()) * query.shape[-1]
        return int(maps + 2 * tokens * others * query.shape[-1])


def einsum_multiply_adds(equation: object, operands: Sequence[Any]) -> int:
    """The product of the sizes of all indices; 0 where the equation is not written out."""
    if not isinstance(equation, str) or "." in equation:
        return 0
    indices = [part.replace(" ", "") for part in equation.partition("->")[0].split(",")]
    sizes = {
        index: size
        for part, operand in zip(indices, operands, strict=False)
        for index, size in zip(part, operand.shape, strict=False)
    }
    return math.prod(sizes.values())


def cut_of(part: object) -> float:
    """Positions that a slice leaves out at the start; 0 where it counts them from the end."""
    return max(0, part.start or 0) if isinstance(part, slice) else 0


def positions(shape: Sequence[int]) -> int:
    """H·W of a shape (N, C, H, W)."""
    return math.prod(shape[2:])


def both_ways(value: Any) -> list[int]:
    """A size for both directions, from one number or two."""
    sizes = [int(part) for part in value] if isinstance(value, tuple | list) else [int(value)]
    return sizes if len(sizes) == 2 else sizes * 2
