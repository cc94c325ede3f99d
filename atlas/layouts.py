"""How the output of a layer lies in memory, and how it becomes maps (N, C, H, W).

Convolutions put out maps; transformers put out tokens, one for each position of a grid, with the
channels last. A `LayerInfo` notes which it is, `to_maps` makes one of the other.
"""

import math

from torch import Tensor

MAPS = "NCHW"
CHANNELS_LAST = "NHWC"
TOKENS = "NLC"


def token_layout(leading: int) -> str:
    """The layout of tokens (N, L, C) row by row, so many others in front: `NLC`, `NLC+1`."""
    return f"{TOKENS}+{leading}" if leading else TOKENS


def leading_tokens(layout: str) -> int:
    """Tokens in front that have no place in the image, e.g. a class token."""
    return int(layout.partition("+")[2] or 0)


def to_maps(output: Tensor, layout: str, grid: tuple[int, int]) -> Tensor:
    """Make an output of any layout maps, as a view of it.

    Args:
        output: of a layer, N images.
        layout: as its `LayerInfo` says.
        grid: height and width that the layer has at the model's own input size.

    Returns:
        (N, C, H, W); the leading tokens are left out.

    Raises:
        ValueError: at this size of the input, the tokens are of no grid of this shape.
    """
    if layout == MAPS:
        return output
    if layout == CHANNELS_LAST:
        return output.permute(0, 3, 1, 2)
    tokens = output[:, leading_tokens(layout) :]  # (N, H·W, C)
    shape = (len(tokens), tokens.shape[2], *grid_of(tokens.shape[1], grid))
    return tokens.transpose(1, 2).reshape(shape)


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
