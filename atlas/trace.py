"""What every operation of one forward run does: receptive fields, grids and multiply-adds.

A torch function mode sees each operation, also functional ones between the modules, and carries
along what one position of each tensor sees of the input, and which grid its tokens come from. Start
at `Trace`.
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
        grid: height and width of the map that it is or that its tokens come from.
        leading: tokens in front of those of the grid.
    """

    field: tuple[int, int]
    stride: tuple[int, int]
    channel_dim: int = 1
    grid: tuple[int, int] = (0, 0)
    leading: int = 0

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

    def everywhere(self, input_size: int) -> "View":
        """Behind an operation by which every position depends on all of them."""
        if not self.known:
            return self
        return replace(self, field=(max(self.field[0], input_size), max(self.field[1], input_size)))

    def lost(self) -> "View":
        """Behind an operation that resamples in a way not followed here."""
        return replace(self, field=(0, 0), stride=(0, 0))


def union(views: Sequence[View]) -> View:
    """The view of a tensor made from several: the largest, or unknown if one is."""
    largest = View(
        field=(max(view.field[0] for view in views), max(view.field[1] for view in views)),
        stride=(max(view.stride[0] for view in views), max(view.stride[1] for view in views)),
        channel_dim=max(view.channel_dim for view in views),
        grid=max((view.grid for view in views), key=math.prod),
        leading=max(view.leading for view in views),
    )
    return largest if all(view.known for view in views) else largest.lost()


class Trace(TorchFunctionMode):
    """Follows every operation of one forward run: receptive fields, grids and multiply-adds.

    Tensors are known by identity, so they are kept until the run is over.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.input_size = images.shape[-1]
        self.multiply_adds = 0
        first = View((1, 1), (1, 1), grid=(images.shape[2], images.shape[3]))
        self.seen: dict[int, tuple[Tensor, View]] = {id(images): (images, first)}

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
            views = [self.seen[id(part)][1] for part in sources]
            view = union(views)
            if len(sources) > 1 and call.name in PRODUCTS:
                view = self.mixed(call, views[0], view.channel_dim, shapes_before[0])
            for out in tensors_in(result):
                after = self.view_after(call, view, shapes_before[0], out)
                self.seen[id(out)] = (out, self.placed(call, after, out))
            self.multiply_adds += sum(call.multiply_adds(out) for out in tensors_in(result))
        return result

    def mixed(self, call: "Call", query: View, channel_dim: int, before: torch.Size) -> View:
        """The view behind attention: over everything, or over windows, which are not followed.

        Positions stay those of the query. Windows are counted in the first dimension, which one
        image alone leaves at 1; einsum may have them anywhere.
        """
        view = replace(query, channel_dim=channel_dim)
        whole = before[0] == 1 or call.name == "multi_head_attention_forward"
        return view.everywhere(self.input_size) if whole and call.name != "einsum" else view.lost()

    def view_after(self, call: "Call", view: View, before: torch.Size, out: Tensor) -> View:
        """The view of `out`, the result of `call` on a tensor of shape `before`."""
        mapped = len(before) == 4 and positions(before) > 1 and view.channel_dim == 1
        if mapped and (out.ndim <= 2 or (out.ndim == 4 and positions(out.shape) == 1)):
            return view.everywhere(self.input_size)
        window = call.window(before, out)
        if window:
            return view.through(*window)
        if call.name == "linear" and len(before) == 3 and view.channel_dim == 1:
            return view.everywhere(self.input_size)  # a linear map over the tokens of each channel
        view = replace(view, channel_dim=call.channel_dim(view.channel_dim, before, out))
        return view.lost() if call.resamples(before, out, view) else view

    def placed(self, call: "Call", view: View, out: Tensor) -> View:
        """The view with the grid of a map, or with the tokens in front of a grid's."""
        if out.ndim == 4 and view.channel_dim == 1 and positions(out.shape) > 1:
            return replace(view, grid=(out.shape[2], out.shape[3]), leading=0)
        if out.ndim == 4 and view.channel_dim == 3 and like(out.shape[1:3], view.grid):
            return replace(view, grid=(out.shape[1], out.shape[2]), leading=0)
        if out.ndim == 3 and call.name in ("cat", "concat", "concatenate"):
            return replace(view, leading=self.joined(call, view, out))
        if out.ndim == 3 and call.name == "__getitem__":
            return replace(view, leading=max(0, view.leading - call.first_kept()))
        return view

    def joined(self, call: "Call", view: View, out: Tensor) -> int:
        """Tokens in front of the grid's behind a concatenation along the tokens."""
        if call.argument(1, "dim", 0) % out.ndim != 1:
            return view.leading
        before = 0
        for part in tensors_in(call.argument(0, "tensors", ())):
            if part.shape[1] == math.prod(view.grid) + self.view(part).leading:
                return before + self.view(part).leading
            before += int(part.shape[1])
        return view.leading

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


def only_map(output: object) -> object:
    """What a module returned; of a tuple, list or dict, the only (N, C, H, W) in it if it is one.

    Parts of other shapes beside it (a loss, a mask of tokens) do not make it ambiguous.
    """
    maps = [part for part in tensors_in(output) if part.ndim == 4]
    return maps[0] if len(maps) == 1 else output


def described(output: object) -> str:
    """An output in a few words: its shape, or its type and the shapes in it."""
    if isinstance(output, Tensor):
        return f"({', '.join(['N', *map(str, output.shape[1:])])})" if output.ndim else "()"
    parts = [described(part) for part in tensors_in(output)]
    more = ", …" if len(parts) > 4 else ""
    of = f" of {', '.join(parts[:4])}{more}" if parts else ""
    return f"{type(output).__name__}{of}"


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

    def first_kept(self) -> int:
        """Of `x[:, 1:]`, the 1."""
        index = self.args[1] if isinstance(self.args[1], tuple) else ()
        along = index[1] if len(index) > 1 else None
        return along.start or 0 if isinstance(along, slice) else 0

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


ATTENTION = (
    *("multi_head_attention_forward", "_native_multi_head_attention"),
    "scaled_dot_product_attention",
)

PRODUCTS = (*ATTENTION, "einsum", "matmul", "__matmul__", "bmm")
"""Operations that mix the positions of two tensors of the run."""


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


def like(shape: Sequence[int], grid: tuple[int, int]) -> bool:
    """Whether height and width are in the proportion of a grid, up to rounding."""
    return abs(shape[0] * grid[1] - shape[1] * grid[0]) <= max(grid)


def positions(shape: Sequence[int]) -> int:
    """H·W of a shape (N, C, H, W)."""
    return math.prod(shape[2:])


def pair(value: Any) -> list[int]:
    """A size for both directions, from one number or two."""
    sizes = [int(part) for part in value] if isinstance(value, tuple | list) else [int(value)]
    return sizes if len(sizes) == 2 else sizes * 2
