"""What every operation of one forward run does: receptive fields, places and multiply-adds.

A torch function mode sees each operation, also functional ones between the modules, and carries
along what one position of each tensor sees of the input, and where. Which axis is what is not its
business, see `axes`. Start at `Trace`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .layouts import UPRIGHT


@dataclass(frozen=True, slots=True)
class View:
    """What one position of a tensor sees of the input, in pixels, down and across.

    Attributes:
        field: side of the receptive field; padding does not count, so it may exceed the input.
        stride: input pixels between neighbouring positions.
        first: the middle of what the first position sees; the first pixel's is .5.
        order: which way its axes of places run, as in `layouts.Layout`; most operations keep it.
        driven: whether the picture itself has decided which places are read.
    """

    field: tuple[int, int]
    stride: tuple[int, int]
    first: tuple[float, float] = (0.5, 0.5)
    order: str = UPRIGHT
    driven: bool = False

    @property
    def known(self) -> bool:
        return self.stride != (0, 0)

    def through(self, window: "Window") -> "View":
        """Behind a window moved over the positions."""
        if not self.known:
            return self
        size, step, padding = window.size, self.stride, window.padding
        moved = self.moved([(size[i] - 1) / 2 - padding[i] for i in (0, 1)])
        return replace(
            moved,
            field=(
                self.field[0] + (size[0] - 1) * step[0],
                self.field[1] + (size[1] - 1) * step[1],
            ),
            stride=(step[0] * window.stride[0], step[1] * window.stride[1]),
        )

    def moved(self, positions: Sequence[float]) -> "View":
        """Where the first position is another one, so many further down and to the right."""
        first, step = self.first, self.stride
        return replace(
            self, first=(first[0] + positions[0] * step[0], first[1] + positions[1] * step[1])
        )

    def everywhere(self, size: tuple[int, int]) -> "View":
        """Behind an operation by which every position depends on all of them."""
        if not self.known:
            return self
        return replace(self, field=(max(self.field[0], size[0]), max(self.field[1], size[1])))

    def lost(self) -> "View":
        """Behind an operation that resamples in a way not followed here."""
        return replace(self, field=(0, 0), stride=(0, 0))


def union(views: Sequence[View]) -> View:
    """The view of a tensor made from several: the largest, or unknown if one is."""
    largest = replace(
        max(views, key=lambda view: view.stride),
        field=(max(view.field[0] for view in views), max(view.field[1] for view in views)),
        stride=(max(view.stride[0] for view in views), max(view.stride[1] for view in views)),
        driven=any(view.driven for view in views),
    )
    return largest if all(view.known for view in views) else largest.lost()


class Trace(TorchFunctionMode):
    """Follows every operation of one forward run: receptive fields, places and multiply-adds.

    Tensors are known by identity, so they are kept until the run is over.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.size = (images.shape[2], images.shape[3])
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
            views = [self.seen[id(part)][1] for part in sources]
            view = union(views)
            if len(sources) > 1 and call.name in PRODUCTS:
                view = self.mixed(call, views[0], shapes_before[0])
            if call.name in SAMPLERS and any(
                id(part) in self.seen for part in tensors_in((args[1:], kwargs))
            ):
                view = replace(view, driven=True).lost()
            for out in tensors_in(result):
                self.seen[id(out)] = (out, self.view_after(call, view, shapes_before[0], out))
            self.multiply_adds += sum(call.multiply_adds(out) for out in tensors_in(result))
        return result

    def mixed(self, call: "Call", query: View, before: torch.Size) -> View:
        """The view behind attention: over everything, or over windows, which are not followed.

        Positions stay those of the query. Windows are counted in the first dimension, which one
        image alone leaves at 1; einsum may have them anywhere.
        """
        whole = before[0] == 1 or call.name == "multi_head_attention_forward"
        return query.everywhere(self.size) if whole and call.name != "einsum" else query.lost()

    def view_after(self, call: "Call", view: View, before: torch.Size, out: Tensor) -> View:
        """The view of `out`, the result of `call` on a tensor of shape `before`."""
        mapped = len(before) == 4 and positions(before) > 1
        if mapped and (out.ndim <= 2 or (out.ndim == 4 and positions(out.shape) == 1)):
            return view.everywhere(self.size)
        window = call.window(before, out)
        if window:
            return view.through(window)
        view = view.moved(call.cut())
        return view.lost() if call.resamples(before, out) else view

    def turn(self, tensor: Tensor, order: str) -> None:
        """Note which way the places of a tensor of this run have been seen to run."""
        if self.follows(tensor):
            self.seen[id(tensor)] = (tensor, replace(self.view(tensor), order=order))

    def follows(self, tensor: object) -> bool:
        """Whether a tensor has been made of the images, as far as that could be seen."""
        return id(tensor) in self.seen

    def view(self, tensor: Tensor) -> View:
        """What is known of a tensor of this run."""
        return self.seen[id(tensor)][1] if self.follows(tensor) else View((0, 0), (0, 0))


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

    def window(self, before: torch.Size, out: Tensor) -> "Window | None":
        """The window of a convolution or pooling."""
        if self.name == "conv2d":
            kernel = list(self.argument(1, "weight", None).shape[2:])
            stride, padding = self.argument(3, "stride", 1), self.argument(4, "padding", 0)
            dilation = pair(self.argument(5, "dilation", 1))
        elif self.name in ("max_pool2d", "_max_pool2d", "avg_pool2d", "max_pool2d_with_indices"):
            kernel = pair(self.argument(1, "kernel_size", 1))
            stride = self.argument(2, "stride", None) or kernel
            padding = self.argument(3, "padding", 0)
            dilation = pair(1 if self.name == "avg_pool2d" else self.argument(4, "dilation", 1))
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
        return Window(size, pair(stride), pair(padding))

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
        """Whether positions of the output are not those of the input."""
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


SAMPLERS = (
    *("grid_sample", "deform_conv2d", "gather", "take_along_dim", "index_select", "__getitem__"),
    *("scatter", "take"),
)
"""Operations that read places given by another tensor; of the run itself, they follow the picture
and not the grid."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution or pooling moves over the positions, each down and across.

    Attributes:
        size: of the window, dilation included.
        stride: positions that it is moved by.
        padding: positions in front of the first.
    """

    size: list[int]
    stride: list[int]
    padding: list[int]


def cut_of(part: object) -> float:
    """Positions that a slice leaves out at the start; 0 where it counts them from the end."""
    return max(0, part.start or 0) if isinstance(part, slice) else 0


def positions(shape: Sequence[int]) -> int:
    """H·W of a shape (N, C, H, W)."""
    return math.prod(shape[2:])


def pair(value: Any) -> list[int]:
    """A size for both directions, from one number or two."""
    sizes = [int(part) for part in value] if isinstance(value, tuple | list) else [int(value)]
    return sizes if len(sizes) == 2 else sizes * 2
