"""Another key folder with the same key → this one: verified blocks are copied."""

from dataclasses import replace
from pathlib import Path

from ..errors import CacheError
from ..files.digests import sha256_bytes
from ..files.files import atomic_write, make_folder, read_bytes
from ..files.names import shown
from .audit import CacheBlock
from .blocks import Blocks


def merge_store(here: Blocks, other: Blocks) -> int:
    """Copy the blocks of another store with the same key whose results are not here yet.

    What is here stays as it is, also where the bytes of the other one differ.

    Returns:
        How many were copied.

    Raises:
        CacheError: the keys differ, or a block cannot be read or written.
    """
    if other.key != here.key:
        raise CacheError(f"{shown(other.folder)} and {shown(here.folder)} have different keys")
    copied = 0
    foreign = foreign_layers(here, other)
    blocks = [one for one in other.index.blocks.values() if one.layer not in foreign]
    for block in sorted(blocks, key=lambda block: block.kind != "dictionaries"):
        if not here.index.holds(block):
            path = here.folder / block.path.relative_to(other.folder)
            copy_block(block, path)
            here.index.add(replace(block, path=path))
            copied += 1
    return copied


def foreign_layers(here: Blocks, other: Blocks) -> set[str]:
    """Dictionaries of another store that have other numbers than those of the same name here.

    Whatever is of such a layer means something else there, and stays there.
    """
    known = {one.layer: one.path.name for one in here.index.select("dictionaries")}
    return {
        one.layer
        for one in other.index.select("dictionaries")
        if known.get(one.layer, one.path.name) != one.path.name
    }


def copy_block(block: CacheBlock, path: Path) -> None:
    """Copy one verified file, its sidecar first.

    Raises:
        CacheError: it cannot be read or written, or has changed since it was verified.
    """
    data, sidecar = read_bytes(block.path), block.path.with_suffix(".json")
    if sha256_bytes(data)[:12] not in path.name:
        raise CacheError(f"{shown(block.path)} changed while it was copied; merge again")
    make_folder(path.parent)
    if block.kind == "renderings" and sidecar.exists():
        atomic_write(path.with_suffix(".json"), read_bytes(sidecar))
    atomic_write(path, data)
