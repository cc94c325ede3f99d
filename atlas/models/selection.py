"""Rows of a layer table picked by group, name or glob. Start at `select_layers`."""

import fnmatch
from collections.abc import Sequence

from ..errors import UsageError, closest
from ..records.network import LayerInfo
from .directions import GROUP

GROUPS = ("blocks", "children", "all")
"""Selections of layers that have a name of their own."""

ROWS = "rows for one image"
"""In the look of an output whose rows are not the images."""

SHOWN_NAMES = 3


def left_out(layers: Sequence[LayerInfo], patterns: Sequence[str]) -> str:
    """Describe the rows that `all` or a glob would pick if they were images; "" for none."""
    globs = ["*" if pattern == "all" else pattern for pattern in patterns]
    names = [
        f"{layer.name} ({layer.layout})"
        for layer in layers
        if not layer.groups
        and ROWS in layer.layout
        and any(fnmatch.fnmatchcase(layer.name, glob) for glob in globs)
    ]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"left out: {', '.join(names[:SHOWN_NAMES])}{more}" if names else ""


def class_layer(layers: Sequence[LayerInfo]) -> LayerInfo | None:
    """The row of the classifier's output, where there is one."""
    return next((layer for layer in layers if "classes" in layer.groups), None)


def readout_layer(layers: Sequence[LayerInfo]) -> LayerInfo | None:
    """The row whose spatial means the classifier reads, where there is one."""
    return next((layer for layer in layers if "readout" in layer.groups), None)


def select_layers(
    layers: Sequence[LayerInfo], patterns: Sequence[str], option: str = "--layers"
) -> tuple[LayerInfo, ...]:
    """Pick rows of a layer table by group, exact name or glob, in forward order.

    A word of `GROUPS` always means the group, also where a module is called `blocks`.

    Raises:
        UsageError: a pattern that picks nothing, or names a module whose output is no map.
    """
    others = {layer.name: layer for layer in layers if not layer.groups}
    for pattern in others.keys() & set(patterns) - set(GROUPS):
        raise UsageError(
            f"{option}: {pattern} ({others[pattern].type}) puts out {others[pattern].layout}, "
            f"not one map of activations (N, C, H, W) with several positions; "
            f"see `build_atlas.py layers`"
        )
    layers = [layer for layer in layers if {"all", GROUP} & {*layer.groups}]
    picked = {
        layer.name for pattern in patterns for layer in matching_layers(layers, pattern, option)
    }
    return tuple(layer for layer in layers if layer.name in picked)


def matching_layers(
    layers: Sequence[LayerInfo], pattern: str, option: str = "--layers"
) -> list[LayerInfo]:
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
            f"{option}: no layer is called {pattern!r}{close}; see `build_atlas.py layers`"
        )
    return found
