"""Index of the known blocks of a key folder: finds the block that answers a question."""

import bisect
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

from ..records.units import Unit
from .audit import CacheBlock, Kind


class Index:
    """The verified blocks of a key folder.

    They stand in order on shelves, one for each kind and layer: a run asks for some of them at
    every unit, which must not take longer the more blocks of other kinds and layers there are.

    Attributes:
        blocks: path → what it holds.
        units: (fingerprint, unit) → the block of its rendering, and the row there. Of two blocks
            with the same unit the one with the greater name counts.
    """

    def __init__(self, blocks: Iterable[CacheBlock]) -> None:
        self.blocks: dict[Path, CacheBlock] = {}
        self.units: dict[tuple[str, Unit], tuple[Path, int]] = {}
        self._shelves: dict[Kind, dict[str, list[CacheBlock]]] = {}
        for block in blocks:
            self.add(block)

    def add(self, block: CacheBlock) -> None:
        """Know of a block from now on."""
        if block.path in self.blocks:
            self.forget(self.blocks[block.path])
        self.blocks[block.path] = block
        shelf = self._shelves.setdefault(block.kind, {}).setdefault(block.layer, [])
        bisect.insort(shelf, block, key=by_name)
        for row, channel in enumerate(block.channels if block.kind == "renderings" else ()):
            unit = (block.fingerprint, Unit(layer=block.layer, channel=channel))
            held = self.units.get(unit)
            if held is None or as_sorted(held[0]) <= as_sorted(block.path):
                self.units[unit] = (block.path, row)

    def forget(self, block: CacheBlock) -> None:
        """Know of a block no more."""
        del self.blocks[block.path]
        self._shelves[block.kind][block.layer].remove(block)
        for channel in block.channels if block.kind == "renderings" else ():
            unit = (block.fingerprint, Unit(layer=block.layer, channel=channel))
            if self.units.get(unit, (None,))[0] == block.path:
                del self.units[unit]

    def select(self, kind: Kind, fingerprint: str = "") -> list[CacheBlock]:
        """The blocks of a kind, by name; those with a fingerprint, if one is given."""
        shelves = self._shelves.get(kind, {}).values()
        found = sorted(itertools.chain.from_iterable(shelves), key=by_name)
        return [one for one in found if fingerprint in ("", one.fingerprint)]

    def of_layer(self, kind: Kind, layer: str) -> list[CacheBlock]:
        """The blocks of a kind that are of a layer, by name."""
        return self._shelves.get(kind, {}).get(layer, [])

    def last_of(self, kind: Kind, layer: str) -> CacheBlock | None:
        """The block of a kind that is of a layer; the greatest name if there are several."""
        return next(reversed(self.of_layer(kind, layer)), None)

    def find(
        self, kind: Kind, wanted: Callable[[CacheBlock], bool] = lambda block: True
    ) -> CacheBlock | None:
        """The block of a kind that answers a question; the greatest name if several do."""
        return next(filter(wanted, reversed(self.select(kind))), None)

    def outdated(self, block: CacheBlock) -> list[CacheBlock]:
        """Earlier blocks in the place of this one."""
        others = self.of_layer(block.kind, block.layer)
        return [one for one in others if one.first == block.first and one.path != block.path]

    def holds(self, block: CacheBlock) -> bool:
        """Return whether this store already holds all records of a block of another store."""
        known = [
            one
            for one in self.of_layer(block.kind, block.layer)
            if one.fingerprint == block.fingerprint
        ]
        if block.kind == "images":
            return any(one.first <= block.first and block.last <= one.last for one in known)
        rows = {channel for one in known for channel in one.channels}
        return bool(known) and rows.issuperset(block.channels)


def by_name(block: CacheBlock) -> tuple[str, str]:
    """The order of blocks, see `as_sorted`."""
    return as_sorted(block.path)


def as_sorted(path: Path) -> tuple[str, str]:
    """The order of blocks: by name, then by folder; no file system decides it."""
    return path.name, path.as_posix()
