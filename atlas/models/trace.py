"""Every operation of one forward run: receptive fields, places and multiply-adds.

A torch function mode sees each operation, also functional ones between the modules, and carries
along what one position of each tensor sees of the input, and where. Which axis is what is not its
business, see `axes`. Start at `Trace`.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .layouts import UPRIGHT
from .operation import PRODUCTS, SAMPLERS, Call, Window, positions


@dataclass(frozen=True, slots=True)
class Footprint:
    """Part of the input that one position of a tensor sees, in pixels, down and across.

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

    def through(self, window: Window) -> "Footprint":
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

    def moved(self, positions: Sequence[float]) -> "Footprint":
        """Return the footprint for a first position so many further down and to the right."""
        first, step = self.first, self.stride
        return replace(
            self, first=(first[0] + positions[0] * step[0], first[1] + positions[1] * step[1])
        )

    def everywhere(self, size: tuple[int, int]) -> "Footprint":
        """Behind an operation by which every position depends on all of them."""
        if not self.known:
            return self
        return replace(self, field=(max(self.field[0], size[0]), max(self.field[1], size[1])))

    def lost(self) -> "Footprint":
        """Behind an operation that resamples in a way not followed here."""
        return replace(self, field=(0, 0), stride=(0, 0))


def union(footprints: Sequence[Footprint]) -> Footprint:
    """The footprint of a tensor made from several: the largest, or unknown if one is."""
    largest = replace(
        max(footprints, key=lambda footprint: footprint.stride),
        field=(
            max(footprint.field[0] for footprint in footprints),
            max(footprint.field[1] for footprint in footprints),
        ),
        stride=(
            max(footprint.stride[0] for footprint in footprints),
            max(footprint.stride[1] for footprint in footprints),
        ),
        driven=any(footprint.driven for footprint in footprints),
    )
    return largest if all(footprint.known for footprint in footprints) else largest.lost()


class Trace(TorchFunctionMode):
    """Follows every operation of one forward run: receptive fields, places and multiply-adds.

    Tensors are known by identity, so they are kept until the run is over.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.size = (images.shape[2], images.shape[3])
        self.multiply_adds = 0
        self.seen: dict[int, tuple[Tensor, Footprint]] = {
            id(images): (images, Footprint((1, 1), (1, 1)))
        }

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
            footprints = [self.seen[id(part)][1] for part in sources]
            footprint = union(footprints)
            if len(sources) > 1 and call.name in PRODUCTS:
                footprint = self.mixed(call, footprints[0], shapes_before[0])
            if call.name in SAMPLERS and any(
                id(part) in self.seen for part in tensors_in((args[1:], kwargs))
            ):
                footprint = replace(footprint, driven=True).lost()
            for out in tensors_in(result):
                self.seen[id(out)] = (
                    out,
                    self.footprint_after(call, footprint, shapes_before[0], out),
                )
            self.multiply_adds += sum(call.multiply_adds(out) for out in tensors_in(result))
        return result

    def mixed(self, call: Call, query: Footprint, before: torch.Size) -> Footprint:
        """The footprint behind attention: over everything, or over windows, which are not followed.

        Positions stay those of the query. Windows are counted in the first dimension, which one
        image alone leaves at 1; einsum may have them anywhere.
        """
        whole = before[0] == 1 or call.name == "multi_head_attention_forward"
        return query.everywhere(self.size) if whole and call.name != "einsum" else query.lost()

    def footprint_after(
        self, call: Call, footprint: Footprint, before: torch.Size, out: Tensor
    ) -> Footprint:
        """The footprint of `out`, the result of `call` on a tensor of shape `before`."""
        mapped = len(before) == 4 and positions(before) > 1
        if mapped and (out.ndim <= 2 or (out.ndim == 4 and positions(out.shape) == 1)):
            return footprint.everywhere(self.size)
        window = call.window(before, out)
        if window:
            return footprint.through(window)
        footprint = footprint.moved(call.cut())
        return footprint.lost() if call.resamples(before, out) else footprint

    def turn(self, tensor: Tensor, order: str) -> None:
        """Note which way the places of a tensor of this run have been seen to run."""
        if self.follows(tensor):
            self.seen[id(tensor)] = (tensor, replace(self.footprint(tensor), order=order))

    def follows(self, tensor: object) -> bool:
        """Return whether a tensor has been made of the images, as far as that could be seen."""
        return id(tensor) in self.seen

    def footprint(self, tensor: Tensor) -> Footprint:
        """Return the known facts about a tensor of this run."""
        return self.seen[id(tensor)][1] if self.follows(tensor) else Footprint((0, 0), (0, 0))


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


def changed_tensors(output: object, change: Callable[[Tensor], Tensor]) -> object:
    """An output of the same kind, with each tensor in it changed; what holds them is copied."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, dict):
        made = copy.copy(output)
        for name, part in output.items():
            made[name] = changed_tensors(part, change)
        return made
    if isinstance(output, tuple | list):
        parts: Any = [changed_tensors(part, change) for part in output]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return output


def only_map(output: object) -> object:
    """Return a module's output; of a tuple, list or dict, the only (N, C, H, W) in it if it is one.

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
