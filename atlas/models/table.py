"""The table of what can be looked at in a network.

`layer_table` makes it from forward runs on a photograph: hooks see what each module puts out,
`axes` finds which axis of it is what, a `Trace` sees what happens between the modules. `selection`
picks rows of it.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ..errors import InputError, one_line
from ..records.network import CLASSES, LayerInfo
from .axes import Look, find_axes
from .blocks import ends_of_runs, find_blocks
from .calling import Habits, call
from .hooks import hooked
from .layouts import UNKNOWN, Layout, to_maps
from .outputs import score_rows
from .reader import Axes
from .scores import find_scores, is_made_of
from .selection import ROWS
from .trace import Footprint, Trace, described, only_map

NO_MAP = LayerInfo(
    name="",
    index=0,
    type="",
    channels=0,
    height=0,
    width=0,
    receptive_field=0,
    stride=0,
    multiply_adds=0,
    groups=(),
)
"""Fields of a row for an output without places."""


def layer_table(network: nn.Module, images: Tensor) -> tuple[LayerInfo, ...]:
    """List what can be looked at: every module call that puts out a map of activations.

    Tokens count where they are those of a grid: what moves with the picture shows it, see `axes`. A
    module called several times has a row for each call, `relu`, `relu:1`, `relu:2`.

    Args:
        network: in eval mode, on the CPU.
        images: (N, C, H, W), normalised, of the size that the network is for; the first is run, and
            run again with parts of the last.

    Returns:
        Rows in order of completion, with their groups; then the class scores, where the network
        puts them out; then what is no layer, without groups.

    Raises:
        InputError: the network fails on such an input, or has no such module.
    """
    first = images[:1]
    trace = Trace(first)
    recorder = Recorder(trace)
    try:
        with torch.no_grad(), recorder.attached(network):
            recorder.axes = find_axes(partial(recorder.watch, network), images)
            with trace:
                recorder.watch(network, first)
    except Exception as error:  # anything may happen in somebody's network
        place = (recorder.running or [""])[-1]
        raise InputError(
            f"the network fails on an input {tuple(first.shape)} in "
            f"{f'module {place!r}' if place else 'its forward'} with {one_line(error)}; "
            f"check --input-size, --channels and the weights"
        ) from error
    if not recorder.rows:
        seen = [f"{other.name} {other.layout}" for other in recorder.others[:5]]
        raise InputError(
            f"no layer puts out activations (N, C, H, W) with more than one position on an input "
            f"{tuple(first.shape)}; outputs were: {', '.join(seen) or 'no module was called'}; "
            f"this atlas is for convolutional networks and transformers on a grid of patches"
        )
    rows = grouped(network, recorder.rows, recorder.modules)
    layers = (*with_readout(rows, recorder.readouts()), *class_row(recorder, network, images))
    others = [
        replace(other, index=index) for index, other in enumerate(recorder.others, len(layers))
    ]
    return (*layers, *others)


class Recorder:
    """Hooks that write one row for every module call with an output of several positions.

    Attributes:
        rows: in order of completion, without groups.
        modules: paths of the modules of the rows.
        means: (C,) spatial means of each row, on this input.
        output: what the network itself returned.
        last_linear: input and output of the linear map that was called last.
        others: rows of the calls whose output is no map, its looks in `layout`.
        running: names of the modules under way, outermost first.
        axes: which axis is what in the output of each call; without those that are no maps.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.rows: list[LayerInfo] = []
        self.modules: list[str] = []
        self.means: list[Tensor] = []
        self.output: object = None
        self.last_linear: tuple[Tensor, Tensor] | None = None
        self.others: list[LayerInfo] = []
        self.running: list[str] = []
        self.calls: Counter[str] = Counter()
        self.axes: dict[str, Axes] = {}
        self.look: Look | None = None

    def attached(self, network: nn.Module) -> AbstractContextManager[None]:
        """Hooks on every module inside the block, none after it."""
        return hooked(network.named_modules(), before=self.begin, after=self.end)

    def watch(self, network: nn.Module, image: Tensor, look: Look | None = None) -> None:
        """Run one image: for `look` alone, where it is given, else for the rows."""
        self.calls.clear()
        self.look = look
        self.output = call(network, image, Habits(seeded=True))

    def begin(self, name: str, module: nn.Module, inputs: object) -> None:
        self.running.append(name)

    def end(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        self.running.pop()
        number, self.calls[name] = self.calls[name], self.calls[name] + 1
        label = f"{name}:{number}" if number else name
        if self.look is not None:
            self.look(label, output)
            return
        if isinstance(module, nn.Linear) and isinstance(inputs, tuple) and inputs:
            assert isinstance(output, Tensor)
            self.last_linear = (inputs[0], output)
        if not name:
            return
        found = only_map(output)
        axes = self.axes.get(label) if isinstance(found, Tensor) else None
        if axes is None or not (axes.clear or self.trace.follows(found)):
            self.others.append(self.other(label, module, output))
            return
        assert isinstance(found, Tensor)
        row = self.row(label, module, found, axes)
        self.rows.append(row)
        self.modules.append(name)
        self.means.append(to_maps(found, row.layout, (row.height, row.width)).mean((2, 3))[0])

    def row(self, name: str, module: nn.Module, output: Tensor, axes: Axes) -> LayerInfo:
        """The row of one call."""
        footprint = self.trace.footprint(output)
        order = UNKNOWN if footprint.driven else axes.layout.order or footprint.order
        self.trace.turn(output, order)
        layout = replace(axes.layout, order=order)
        channels, height, width = axes.shape
        if not axes.layout.order and layout.turned:
            height, width = width, height
        if axes.everywhere:
            footprint = footprint.everywhere(self.trace.size)
        return LayerInfo(
            name=name,
            index=len(self.rows),
            type=type(module).__name__,
            channels=channels,
            height=height,
            width=width,
            receptive_field=max(footprint.field),
            stride=max(footprint.stride),
            multiply_adds=self.trace.multiply_adds,
            groups=("all",),
            layout=str(layout),
            places=places_of(footprint, layout, (height, width), self.trace.size),
        )

    def other(self, name: str, module: nn.Module, output: object) -> LayerInfo:
        """The row of a call whose output is no map: without groups, only there to be refused."""
        look = rows_described(output) or described(output)
        return replace(NO_MAP, name=name, type=type(module).__name__, layout=look)

    def readouts(self) -> set[str]:
        """The layers whose spatial means are what the last linear map makes class scores of."""
        if self.last_linear is None or not is_made_of(self.output, self.last_linear[1]):
            return set()
        read = self.last_linear[0].flatten()
        return {
            row.name
            for row, means in zip(self.rows, self.means, strict=True)
            if means.shape == read.shape and torch.allclose(means, read, rtol=1e-4, atol=1e-6)
        }


def class_row(recorder: Recorder, network: nn.Module, images: Tensor) -> tuple[LayerInfo, ...]:
    """A row for the network's output, if it gives every image a row of scores.

    Several images say so where one cannot: a network that squeezes its output gives one image
    (K,). Whether scores are those of classes is not asked here (`outputs.find_outputs`).
    """
    if find_scores(recorder.output) is None:
        return ()
    scores = score_rows(network, images)
    if scores is None:
        return ()
    row = replace(
        NO_MAP,
        name=CLASSES,
        index=len(recorder.rows),
        type="classifier",
        channels=scores.shape[1],
        height=1,
        width=1,
        multiply_adds=recorder.trace.multiply_adds,
        groups=("classes",),
    )
    return (row,)


def places_of(
    footprint: Footprint, layout: Layout, grid: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float, float, float] | tuple[()]:
    """Return the middle of a map's first position, upright, and the distance to the next ones.

    Returns:
        Pixels down and across of the first, then of the step; () where it is not known, or cannot
        be: positions outside of the picture are no places in it.
    """
    if not footprint.known or layout.order == UNKNOWN:
        return ()
    first, step = list(footprint.first), footprint.stride
    if layout.turned:
        first, step = first[::-1], step[::-1]
    for axis in (0, 1):
        if "hw"[axis] in layout.order:
            first[axis] = size[axis] - first[axis] - (grid[axis] - 1) * step[axis]
        last = first[axis] + (grid[axis] - 1) * step[axis]
        if first[axis] < -step[axis] or last > size[axis] + step[axis]:
            return ()
    return first[0], first[1], float(step[0]), float(step[1])


def rows_described(output: object) -> str:
    """`8 rows for one image`, where the rows of a tensor are not the images, or ""."""
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) == 1:
        return ""
    return f"{len(output)} {ROWS}, of shape {tuple(output.shape[1:])}"


# --- groups --------------------------------------------------------------------------------------


def grouped(
    network: nn.Module, rows: Sequence[LayerInfo], modules: Sequence[str]
) -> tuple[LayerInfo, ...]:
    """The rows, each of a call of one of `modules`, with the groups they belong to."""
    blocks = set(find_blocks(network, set(modules)) or ends_of_runs(network, modules))
    children = {name for name, _ in network.named_children()}
    return tuple(
        replace(
            row,
            groups=(
                *(("blocks",) if name in blocks else ()),
                *(("children",) if name in children else ()),
                "all",
            ),
        )
        for row, name in zip(rows, modules, strict=True)
    )


def with_readout(rows: Sequence[LayerInfo], readouts: set[str]) -> tuple[LayerInfo, ...]:
    """The rows, one of `readouts` marked: a building block, or else the outermost module behind
    them, which is made one of them."""
    blocks = [row for row in rows if "blocks" in row.groups]
    found = [row for row in rows if row.name in readouts]
    found = [row for row in found if row in blocks] or [
        row for row in found if not any(one.name.startswith(f"{row.name}.") for one in blocks)
    ]
    if not found:
        return tuple(rows)
    groups = tuple(dict.fromkeys(["blocks", *found[-1].groups, "readout"]))
    return tuple(replace(row, groups=groups) if row is found[-1] else row for row in rows)
