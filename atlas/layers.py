"""The table of what can be looked at in a network, and how rows of it are picked.

`layer_table` makes it from one forward run on zeros: hooks see what each module puts out, a `Trace`
what happens between them. `select_layers` picks rows by group, name or glob.
"""

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from .blocks import ends_of_runs, find_blocks
from .errors import InputError, UsageError, closest, one_line
from .records import LayerInfo
from .trace import Trace, View, positions

GROUPS = ("blocks", "children", "all")
"""Selections of layers that have a name of their own."""


def layer_table(network: nn.Module, input_size: int, channels: int = 3) -> tuple[LayerInfo, ...]:
    """List what can be looked at: every module call that puts out a map of activations.

    A module called several times has a row for each call, `relu`, `relu:1`, `relu:2`.

    Args:
        network: in eval mode, on the CPU.
        input_size: side in pixels of the square input.
        channels: of the input.

    Returns:
        Rows in order of completion, with their groups.

    Raises:
        InputError: the network fails on such an input, or has no such module.
    """
    images = torch.zeros(1, channels, input_size, input_size)
    trace = Trace(images)
    recorder = Recorder(trace)
    try:
        with torch.no_grad(), recorder.attached(network), trace:
            network(images)
    except Exception as error:  # anything may happen in somebody's network
        place = (recorder.running or [""])[-1]
        raise InputError(
            f"the network fails on an input {tuple(images.shape)} in "
            f"{f'module {place!r}' if place else 'its forward'} with {one_line(error)}; "
            f"check --input-size and the weights"
        ) from error
    if not recorder.rows:
        outputs = ", ".join(recorder.outputs[:5]) or "no module was called"
        raise InputError(
            f"no layer puts out activations (N, C, H, W) with more than one position on an input "
            f"{tuple(images.shape)}; outputs were: {outputs}; this atlas is for convolutional "
            f"networks"
        )
    return grouped(network, recorder.rows)


class Recorder:
    """Hooks that write one row for every module call with an output (1, C, H, W), H·W > 1.

    Attributes:
        rows: in order of completion, without groups.
        outputs: what other outputs looked like, for the message when there is no row.
        running: names of the modules under way, outermost first.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.rows: list[LayerInfo] = []
        self.outputs: list[str] = []
        self.running: list[str] = []
        self.calls: Counter[str] = Counter()

    @contextmanager
    def attached(self, network: nn.Module) -> Iterator[None]:
        """Hooks on every module inside the block, none after it."""
        handles = []
        for name, module in network.named_modules():
            before, after = partial(self.begin, name), partial(self.end, name)
            handles += [
                module.register_forward_pre_hook(before),
                module.register_forward_hook(after),
            ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def begin(self, name: str, module: nn.Module, inputs: object) -> None:
        self.running.append(name)

    def end(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        self.running.pop()
        if not name:
            return
        call, self.calls[name] = self.calls[name], self.calls[name] + 1
        view = self.trace.view(output) if isinstance(output, Tensor) else None
        if not view or not isinstance(output, Tensor) or not is_map(output, view):
            self.outputs.append(f"{name} {described(output)}")
            return
        self.rows.append(
            LayerInfo(
                name=f"{name}:{call}" if call else name,
                index=len(self.rows),
                type=type(module).__name__,
                channels=output.shape[1],
                height=output.shape[2],
                width=output.shape[3],
                receptive_field=max(view.field),
                stride=max(view.stride),
                multiply_adds=self.trace.multiply_adds,
                groups=("all",),
            )
        )


def is_map(output: Tensor, view: View) -> bool:
    """Whether a tensor is an activation (1, C, H, W) of floats with more than one position."""
    shaped = output.ndim == 4 and output.shape[0] == 1 and positions(output.shape) > 1
    return shaped and output.is_floating_point() and view.channel_dim == 1


def described(output: object) -> str:
    """An output in a few words: its shape, or its type."""
    return str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__


# --- groups and selection ------------------------------------------------------------------------


def grouped(network: nn.Module, rows: Sequence[LayerInfo]) -> tuple[LayerInfo, ...]:
    """The rows with the groups they belong to."""
    names = [base(row) for row in rows]
    blocks = set(find_blocks(network, set(names)) or ends_of_runs(network, names))
    children = {name for name, _ in network.named_children()}
    return tuple(
        replace(
            row,
            groups=(
                *(("blocks",) if base(row) in blocks else ()),
                *(("children",) if base(row) in children else ()),
                "all",
            ),
        )
        for row in rows
    )


def base(row: LayerInfo) -> str:
    """The module path of a row, without the number of its call."""
    return row.name.split(":")[0]


def select_layers(layers: Sequence[LayerInfo], patterns: Sequence[str]) -> tuple[LayerInfo, ...]:
    """Pick rows of a layer table by group, exact name or glob, in forward order.

    A word of `GROUPS` always means the group, also where a module is called `blocks`.

    Raises:
        UsageError: a pattern that picks nothing.
    """
    picked = {layer.name for pattern in patterns for layer in matching_layers(layers, pattern)}
    return tuple(layer for layer in layers if layer.name in picked)


def matching_layers(layers: Sequence[LayerInfo], pattern: str) -> list[LayerInfo]:
    """The rows that one pattern means, never none."""
    if pattern in GROUPS:
        found = [layer for layer in layers if pattern in layer.groups]
    else:
        found = [layer for layer in layers if layer.name == pattern] or [
            layer for layer in layers if fnmatch.fnmatchcase(layer.name, pattern)
        ]
    if not found:
        close = closest(pattern, [*(layer.name for layer in layers), *GROUPS])
        raise UsageError(
            f"--layers: no layer is called {pattern!r}{close}; see `build_atlas.py layers`"
        )
    return found
