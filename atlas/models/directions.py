"""Rows of a layer table for dictionaries, each behind the layer that it reads."""

from collections.abc import Sequence
from dataclasses import replace

from ..errors import UsageError, closest
from ..records.dictionary import Dictionary
from ..records.network import LayerInfo

GROUP = "dictionary"
"""Group of the rows of dictionaries, alone: no name of a selection means them."""


def find_parent(table: Sequence[LayerInfo], name: str) -> LayerInfo:
    """The layer that a dictionary reads.

    Raises:
        UsageError: there is no such layer.
    """
    layers = [layer for layer in table if "all" in layer.groups]
    found = next((layer for layer in layers if layer.name == name), None)
    if found is None:
        close = closest(name, [layer.name for layer in layers])
        raise UsageError(
            f"--dictionary: no layer is called {name!r}{close}; see `build_atlas.py layers`"
        )
    return found


def dictionary_row(parent: LayerInfo, name: str, method: str, directions: int) -> LayerInfo:
    """The row of a dictionary: its maps have the places of its layer's."""
    products = directions * parent.channels * parent.height * parent.width
    return replace(
        parent,
        name=name,
        type=f"dictionary ({method})",
        channels=directions,
        multiply_adds=parent.multiply_adds + products,
        groups=(GROUP,),
        layout="NCHW",
        parent=parent.name,
    )


def with_directions(table: Sequence[LayerInfo], rows: Sequence[LayerInfo]) -> tuple[LayerInfo, ...]:
    """The table with rows of dictionaries behind their layers, which keep their numbers."""
    return tuple(
        one
        for layer in table
        for one in (layer, *(row for row in rows if row.parent == layer.name))
    )


def rows_of(table: Sequence[LayerInfo], found: Sequence[Dictionary]) -> tuple[LayerInfo, ...]:
    """The table with the rows of dictionaries in it."""
    rows = [
        dictionary_row(find_parent(table, one.parent), one.name, one.method, one.code.directions)
        for one in found
    ]
    return with_directions(table, rows)
