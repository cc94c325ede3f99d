"""Memory layouts of layer outputs, and their conversion to maps (N, C, H, W).

Convolutions put out maps; transformers put out tokens, one for each position of a grid, with the
channels last. A `Layout` says which axis is what, which tokens have no place, and which way the
places run against the picture; a `LayerInfo` notes it in a few letters, `to_maps` makes maps of
it in the picture's arrangement, `from_maps` an output of maps.
"""

import functools
import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor

MAPS = "NCHW"
CHANNELS_LAST = "NHWC"
TOKENS = "NLC"
TOKENS_LAST = "NCL"

UPRIGHT = "HW"
UNKNOWN = "?"

WRITTEN = re.compile(r"(N\w+)(?:\+(\d+))?(?:-(\d+))?(?:@(\S+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Meaning of each axis. Written `NCHW`, `NHWC`, `NLC+1`, `NLC+1-2@wH`; the usual is left out.

    Attributes:
        dims: the axes in order; H and W are the first and the second axis of places, L both in one.
        before, behind: tokens in front of those of the grid, and behind them.
        order: which way the first and the second axis of places run: down the picture (H) or to the
            right (W), up (h) or to the left (w); "?" where it is another
            way on every picture.
    """

    dims: str = MAPS
    before: int = 0
    behind: int = 0
    order: str = UPRIGHT

    def __str__(self) -> str:
        before = f"+{self.before}" if self.before else ""
        behind = f"-{self.behind}" if self.behind else ""
        return f"{self.dims}{before}{behind}{'' if self.order == UPRIGHT else f'@{self.order}'}"

    @property
    def turned(self) -> bool:
        """True if the first axis of places runs across the picture."""
        return self.order[:1] in ("W", "w")

    @property
    def axes(self) -> list[int]:
        """The axes of an output in the order of maps (N, C, H, W) or of tokens (N, C, L)."""
        return [self.dims.index(axis) for axis in (TOKENS_LAST if "L" in self.dims else MAPS)]

    @property
    def mirrored(self) -> list[int]:
        """The axes of the maps that run against the picture."""
        return [2 + "hw".index(axis) for axis in self.order if axis in "hw"]


@functools.cache
def read_layout(text: str) -> Layout:
    """The layout that `str` made a text of."""
    found = WRITTEN.fullmatch(text)
    assert found, text
    dims, before, behind, order = found.groups()
    return Layout(
        dims=dims, before=int(before or 0), behind=int(behind or 0), order=order or UPRIGHT
    )


def to_maps(output: Tensor, layout: str, grid: tuple[int, int]) -> Tensor:
    """Make an output of any layout maps; a view of it, unless it is mirrored.

    Args:
        output: of a layer, N images.
        layout: as its `LayerInfo` says.
        grid: height and width that the layer has at the model's own input size.

    Returns:
        (N, C, H, W), upright; the tokens without a place are left out.

    Raises:
        ValueError: at this size of the input, the tokens are of no grid of this shape.
    """
    if layout == MAPS:
        return output
    known = read_layout(layout)
    maps = output.permute(known.axes)  # (N, C, H, W) or (N, C, L)
    if maps.ndim == 3:
        tokens = maps[..., known.before : maps.shape[2] - known.behind]
        shape = grid_of(tokens.shape[2], grid[::-1] if known.turned else grid)
        maps = tokens.reshape(*tokens.shape[:2], *shape)
    if known.turned:
        maps = maps.transpose(2, 3)
    return maps.flip(known.mirrored) if known.mirrored else maps


def from_maps(maps: Tensor, output: Tensor, layout: str) -> Tensor:
    """The inverse of `to_maps`: an output of any layout that has these maps.

    Args:
        maps: (N, C, H, W), upright.
        output: of the layer, N images; its tokens without a place are kept.
        layout: as its `LayerInfo` says.
    """
    if layout == MAPS:
        return maps
    known = read_layout(layout)
    placed = maps.flip(known.mirrored) if known.mirrored else maps
    placed = placed.transpose(2, 3) if known.turned else placed
    if "L" in known.dims:
        old, last = output.permute(known.axes), output.permute(known.axes).shape[2] - known.behind
        placed = torch.cat([old[..., : known.before], placed.flatten(2), old[..., last:]], 2)
    return placed.permute([known.axes.index(axis) for axis in range(len(known.axes))])


def grid_of(tokens: int, grid: tuple[int, int]) -> tuple[int, int]:
    """The height and width of so many tokens, in proportion to `grid`.

    Raises:
        ValueError: there are none.
    """
    scale = math.sqrt(tokens / math.prod(grid))
    height, width = round(grid[0] * scale), round(grid[1] * scale)
    if height * width != tokens:
        raise ValueError(f"{tokens} tokens are no grid like {grid[0]} × {grid[1]}")
    return height, width
