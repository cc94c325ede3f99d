"""What every operation of one forward run does: receptive fields and multiply-adds.

A torch function mode sees each operation, also functional ones between the modules, and carries
along what one position of each tensor sees of the input. Start at `Trace`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True, slots=True)
class View:
    """What one position of a tensor sees of the input, in pixels, down and across.

    Attributes:
        field: side of the receptive field; padding does not count, so it may exceed the input.
        stride: input pixels between neighbouring positions.
        channel_dim: the dimension that counts channels (networks with layer norm move it).
    """

    field: tuple[int, int]
    stride: tuple[int, int]
    channel_dim: int = 1

    @property
    def known(self) -> bool:
        return self.stride != (0, 0)

    def through(self, kernel: Sequence[int], stride: Sequence[int]) -> "View":
        """Behind a window of `kernel` positions (dilation included) moved by `stride`."""
        if not self.known:
            return self
        (field_y, field_x), (step_y, step_x) = self.field, self.stride
        return replace(
            self,
            field=(field_y + (kernel[0] - 1) * step_y, field_x + (kernel[1] - 1) * step_x),
            stride=(step_y * stride[0], step_x * stride[1]),
        )

    def lost(self) -> "View":
        """Behind an operation that resamples in a way not followed here."""
        return replace(self, field=(0, 0), stride=(0, 0))


def union(views: Sequence[View]) -> View:
    """The view of a tensor made from several: the largest, or unknown if one is."""
    largest = View(
        field=(max(view.field[0] for view in views), max(view.field[1] for view in views)),
        stride=(max(view.stride[0] for view in views), max(view.stride[1] for view in views)),
        channel_dim=max(view.channel_dim for view in views),
    )
    return largest if all(view.known for view in views) else largest.lost()


class Trace(TorchFunctionMode):
    """Follows every operation of one forward run: receptive fields and multiply-adds.

    Tensors are known by identity, so they are kept until the run is over. Operations inside one
    fused call (`multi_head_attention_forward`) and einsum are not counted.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.input_size = images.shape[-1]
        self.multiply_adds = 0
        self.seen: dict[int, tuple[Tensor, View]] = {id(images): (images, View((1, 1), (1, 1)))}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        sources = [part for part in tensors_in((args, kwargs)) if id(part) in self.seen]
        # Taken before the call: an operation in place may change the shape of its input.
        shapes_before = [part.shape for part in sources]
        result = func(*args, **kwargs)
        if sources:
            call = Call(getattr(func, "__name__", ""), args, kwargs)
            view = union([self.seen[id(part)][1] for part in sources])
            for out in tensors_in(result):
                self.seen[id(out)] = (out, self.view_after(call, view, shapes_before[0], out))
            self.multiply_adds += sum(call.multiply_adds(out) for out in tensors_in(result))
        return result

    def view_after(self, call: "Call", view: View, before: torch.Size, out: Tensor) -> View:
        """The view of `out`, the result of `call` on a tensor of shape `before`."""
        mapped = len(before) == 4 and positions(before) > 1 and view.channel_dim == 1
        if mapped and (out.ndim <= 2 or (out.ndim == 4 and positions(out.shape) == 1)):
            whole = (max(view.field[0], self.input_size), max(view.field[1], self.input_size))
            return replace(view, field=whole) if view.known else view
        window = call.window(before, out)
        if window:
            return view.through(*window)
        view = replace(view, channel_dim=call.channel_dim(view.channel_dim, before, out))
        return view.lost() if call.resamples(before, out, view) else view

    def view(self, tensor: Tensor) -> View:
        """What is known of a tensor of this run."""
        return self.seen[id(tensor)][1] if id(tensor) in self.seen else View((0, 0), (0, 0))


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)


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

    def window(self, before: torch.Size, out: Tensor) -> tuple[list[int], list[int]] | None:
        """Kernel (with dilation) and stride of a convolution or pooling, each down and across."""
        if self.name == "conv2d":
            kernel = list(self.argument(1, "weight", None).shape[2:])
            stride, dilation = self.argument(3, "stride", 1), self.argument(5, "dilation", 1)
        elif self.name in ("max_pool2d", "_max_pool2d", "avg_pool2d", "max_pool2d_with_indices"):
            kernel = pair(self.argument(1, "kernel_size", 1))
            stride = self.argument(2, "stride", None) or kernel
            dilation = 1 if self.name == "avg_pool2d" else self.argument(4, "dilation", 1)
        elif self.name in ("adaptive_avg_pool2d", "adaptive_max_pool2d") and out.ndim == 4:
            # Windows differ by a pixel where the size does not divide; the largest counts.
            stride = [max(1, before[i] // out.shape[i]) for i in (2, 3)]
            kernel, dilation = [-(-before[i] // out.shape[i]) for i in (2, 3)], 1
        else:
            return None
        spread = pair(dilation)
        return [(kernel[i] - 1) * spread[i] + 1 for i in (0, 1)], pair(stride)

    def channel_dim(self, channel_dim: int, before: torch.Size, out: Tensor) -> int:
        """Where the channels are after this call, by what it does to the dimensions."""
        if self.name in ("linear", "layer_norm"):
            return out.ndim - 1
        if self.name == "permute":
            order = self.args[1:] if len(self.args) > 2 else self.argument(1, "dims", ())
            places = [place % out.ndim for place in order]
            return places.index(channel_dim) if channel_dim in places else 1
        if self.name in ("transpose", "swapaxes"):
            first, second = self.argument(1, "dim0", 0), self.argument(2, "dim1", 0)
            swapped = {first % out.ndim: second % out.ndim, second % out.ndim: first % out.ndim}
            return int(swapped.get(channel_dim, channel_dim))
        if out.ndim != len(before):
            # Tokens (N, L, C) keep channels last; features (N, F) are made into (N, C, H, W).
            return out.ndim - 1 if len(before) > 2 and channel_dim == len(before) - 1 else 1
        return channel_dim

    def resamples(self, before: torch.Size, out: Tensor, view: View) -> bool:
        """Whether positions of the output are not those of the input."""
        if self.name in ("pad", "permute", "transpose", "swapaxes", "reshape", "view", "flatten"):
            return False
        if self.name == "__getitem__":
            index = self.args[1] if isinstance(self.args[1], tuple) else (self.args[1],)
            return any(isinstance(part, slice) and part.step not in (None, 1) for part in index)
        both = len(before) == 4 and out.ndim == 4 and view.channel_dim == 1
        return both and 1 < positions(before) != positions(out.shape)

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
        return int(out.numel() * each)


def positions(shape: Sequence[int]) -> int:
    """H·W of a shape (N, C, H, W)."""
    return math.prod(shape[2:])


def pair(value: Any) -> list[int]:
    """A size for both directions, from one number or two."""
    sizes = [int(part) for part in value] if isinstance(value, tuple | list) else [int(value)]
    return sizes if len(sizes) == 2 else sizes * 2
