"""Index of the known blocks of a key folder: finds the block that answers a question."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ..records.units import Unit
from .audit import CacheBlock, Kind


class Index:
    """The verified blocks of a key folder.

    Attributes:
        blocks: path → what it holds.
        units: (fingerprint, unit) → the block of its rendering, and the row there. Of two blocks
            with the same unit the one with the greater name counts.
    """

    def __init__(self, blocks: Iterable[CacheBlock]) -> None:
        self.blocks: dict[Path, CacheBlock] = {}
        self.units: dict[tuple[str, Unit], tuple[Path, int]] = {}
        for block in blocks:
            self.add(block)

    def add(self, block: CacheBlock) -> None:
        """Know of a block from now on."""
        self.blocks[block.path] = block
        for row, channel in enumerate(block.channels if block.kind == "renderings" else ()):
            unit = (block.fingerprint, Unit(layer=block.layer, channel=channel))
            held = self.units.get(unit)
            if held is None or as_sorted(held[0]) <= as_sorted(block.path):
                self.units[unit] = (block.path, row)

    def forget(self, block: CacheBlock) -> None:
        """Know of a block no more."""
        del self.blocks[block.path]
        self.units = {unit: held for unit, held in self.units.items() if held[0] != block.path}

    def select(self, kind: Kind, fingerprint: str = "") -> list[CacheBlock]:
        """The blocks of a kind, by name; those with a fingerprint, if one is given."""
        found = [block for block in self.blocks.values() if block.kind == kind]
        if fingerprint:
            found = [block for block in found if block.fingerprint == fingerprint]
        return sorted(found, key=lambda block: as_sorted(block.path))

    def find(
        self, kind: Kind, wanted: Callable[[CacheBlock], bool] = lambda block: True
    ) -> CacheBlock | None:
        """The block of a kind that answers a question; the greatest name if several do."""
        return next(filter(wanted, reversed(self.select(kind))), None)

    def outdated(self, block: CacheBlock) -> list[Path]:
        """Earlier blocks in the place of this one."""
        place = block.layer, block.first
        others = (one for one in self.select(block.kind) if (one.layer, one.first) == place)
        return [one.path for one in others if one.path != block.path]

    def holds(self, block: CacheBlock) -> bool:
        """Return whether this store already holds all records of a block of another store."""
        known = [
            one
            for one in self.select(block.kind)
            if (one.layer, one.fingerprint) == (block.layer, block.fingerprint)
        ]
        if block.kind == "images":
            return any(one.first <= block.first and block.last <= one.last for one in known)
        rows = {channel for one in known for channel in one.channels}
        return bool(known) and rows.issuperset(block.channels)


def as_sorted(path: Path) -> tuple[str, str]:
    """The order of blocks: by name, then by folder; no file system decides it."""
    return path.name, path.as_posix()
