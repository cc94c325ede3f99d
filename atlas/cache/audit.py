"""Check every file in a key folder of the cache against its name and digest. Changes nothing.

Start at `inspect`, which the store acts upon, or at `check`, which only tells.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import CacheError
from ..files.digests import fingerprint, sha256_bytes
from ..files.files import cannot, is_temporary
from ..files.names import shown
from .folder import QUARANTINE, Problem, read_key
from .hdf5 import SCHEMA, open_block

Kind = Literal[
    "network",
    "samples",
    "images",
    "dictionaries",
    "ranking",
    "tuning",
    "renderings",
    "readout",
    "lenses",
    "features",
    "masks",
    "circuits",
    "meanings",
    "maps",
]

PLACES: dict[Kind, re.Pattern[str]] = {
    "network": re.compile(r"network\.([0-9a-f]{12})\.json"),
    "samples": re.compile(r"samples\.([0-9a-f]{12})\.json"),
    "images": re.compile(r"images/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "dictionaries": re.compile(r"dictionaries/[^/]+\.([0-9a-f]{12})\.h5"),
    "ranking": re.compile(r"ranking/[^/]+\.([0-9a-f]{12})\.h5"),
    "tuning": re.compile(r"tuning/[^/]+\.([0-9a-f]{12})\.h5"),
    "renderings": re.compile(r"renderings/[^/]+/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "readout": re.compile(r"readout\.([0-9a-f]{12})\.h5"),
    "lenses": re.compile(r"lenses/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "features": re.compile(r"features/[^/]+/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "masks": re.compile(r"masks/[^/]+/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "circuits": re.compile(r"circuits/[^/]+/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "meanings": re.compile(r"meanings/[^/]+/\d+-\d+\.([0-9a-f]{12})\.h5"),
    "maps": re.compile(r"maps/[^/]+/\d+-\d+\.([0-9a-f]{12})\.h5"),
}
"""Paths of files of each kind, relative to the key folder, with the digest in the name."""

FOLDERS = (
    *("images", "dictionaries", "ranking", "tuning", "renderings", "lenses", "features"),
    *("masks", "circuits", "meanings", "maps"),
)
"""Folders of results inside a key folder."""

NESTED = ("renderings", "features", "masks", "circuits", "meanings", "maps")
"""Those with a folder for each layer."""

SIDECAR = re.compile(r"renderings/[^/]+/\d+-\d+\.[0-9a-f]{12}\.json")
NOTE = re.compile(r"[a-z][a-z0-9-]*\.json")
ROWS: dict[Kind, str] = {
    "renderings": "channel",
    "lenses": "image",
    "features": "row",
    "masks": "channel",
    "circuits": "channel",
    "meanings": "channel",
    "maps": "cell",
}
"""The column that says what each row of a block is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBlock:
    """One verified file of results: where it is and what it holds.

    Attributes:
        path: its name, which ends in the digest of its bytes.
        kind: what it holds.
        layer, fingerprint: of whatever is of one layer or made by settings, else "".
        first, last: sample indices or rank positions, else 0.
        channels: of whatever is of units, by row; of a block of lenses, the images; of features,
            the channels or images that they are of; of a map, the cells.
    """

    path: Path
    kind: Kind
    layer: str = ""
    fingerprint: str = ""
    first: int = 0
    last: int = 0
    channels: tuple[int, ...] = ()


def inspect(folder: Path) -> tuple[list[CacheBlock], list[Problem]]:
    """Verify every file of a key folder against its digest and its place; changes nothing.

    Raises:
        CacheError: the folder cannot be listed.
    """
    blocks: list[CacheBlock] = []
    problems: list[Problem] = []
    for path in walk(folder):
        found = inspect_file(folder, path)
        if isinstance(found, CacheBlock):
            blocks.append(found)
        elif found is not None:
            problems.append(found)
    return blocks, problems


def walk(folder: Path) -> Iterator[Path]:
    """Everything that should be a file, in an order that no file system decides.

    Folders are gone into only where files of results lie; others come out as they are, so that a
    folder in the place of a file is noticed.
    """
    roots = {folder / name for name in FOLDERS}
    try:
        for path in sorted(folder.iterdir()):
            if path in roots and path.is_dir() and not path.is_symlink():
                yield from walk_results(path, 2 if path.name in NESTED else 1)
            elif path.name != QUARANTINE:
                yield path
    except OSError as error:
        raise cannot("read", folder, error) from error


def walk_results(folder: Path, depth: int) -> Iterator[Path]:
    """Everything `depth` levels below a folder, and files on the way."""
    for path in sorted(folder.iterdir()):
        if depth > 1 and path.is_dir() and not path.is_symlink():
            yield from walk_results(path, depth - 1)
        else:
            yield path


def inspect_file(folder: Path, path: Path) -> CacheBlock | Problem | None:
    """The block at a path, or what is wrong with it; None for notes and files of other people."""
    place = path.relative_to(folder).as_posix()
    if is_temporary(path.name) and not path.is_dir():
        return Problem(path=path, kind="stray", text="a write was interrupted")
    for kind, pattern in PLACES.items():
        if match := pattern.fullmatch(place):
            return inspect_block(path, kind, match[1])
    if SIDECAR.fullmatch(place):
        if os.path.lexists(path.with_suffix(".h5")):
            return None
        return Problem(path=path, kind="stray", text="its block was never written")
    if path.parent == folder:
        return None
    return Problem(path=path, kind="damaged", text="not a file of the cache")


def inspect_block(path: Path, kind: Kind, digest: str) -> CacheBlock | Problem:
    """Compare a file with the digest in its name and read what it holds."""
    try:
        if not path.is_file():
            return Problem(path=path, kind="damaged", text="not a file")
        data = path.read_bytes()
    except OSError as error:
        return Problem(path=path, kind="damaged", text=f"cannot be read: {error.strerror}")
    if sha256_bytes(data)[:12] != digest:
        return Problem(path=path, kind="damaged", text="its bytes do not match its digest")
    try:
        schema, block = read_head(path, kind, data)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        return Problem(path=path, kind="damaged", text=f"not a block of this kind: {error}")
    if schema > SCHEMA:
        text = f"has schema {schema}, this version reads up to {SCHEMA}"
        return Problem(path=path, kind="newer", text=text)
    return block


def read_head(path: Path, kind: Kind, data: bytes) -> tuple[int, CacheBlock]:
    """Schema and description of a block.

    Raises:
        ValueError, KeyError, TypeError, OSError, RuntimeError: not a block of this kind.
    """
    if path.suffix == ".json":
        value = json.loads(data)
        check_kind(value["kind"], kind)
        return int(value["schema"]), CacheBlock(path=path, kind=kind)
    with open_block(path) as file:
        schema = int(file.attrs["schema"])
        if schema > SCHEMA:  # nothing else of it can be known
            return schema, CacheBlock(path=path, kind=kind)
        check_kind(file.attrs["kind"], kind)
        return schema, describe(path, file.attrs, file)


def describe(path: Path, attributes: Mapping[str, Any], columns: Mapping[str, Any]) -> CacheBlock:
    """A block of HDF5 by its attributes and columns, as they are written or read."""
    kind = cast(Kind, attributes["kind"])
    return CacheBlock(
        path=path,
        kind=kind,
        layer=str(attributes.get("layer", "")),
        fingerprint=str(attributes.get("fingerprint", "")),
        first=int(attributes.get("first", 0)),
        last=int(attributes.get("last", 0)),
        channels=tuple(columns[ROWS[kind]][...].tolist()) if kind in ROWS else (),
    )


def check_kind(got: object, wanted: Kind) -> None:
    """Raise a ValueError unless a file says that it is what its place says."""
    if got != wanted:
        raise ValueError(f"it holds {got!r}, its place is for {wanted!r}")


def check(folder: Path) -> list[str]:
    """Everything wrong with a key folder, one line each; changes nothing and takes no lock.

    Raises:
        CacheError: the folder cannot be listed.
    """
    _, problems = inspect(folder)
    findings = [f"{shown(problem.path)}: {problem.text}" for problem in problems]
    findings += [
        f"{shown(path)}: not a file of the cache"
        for path in sorted(folder.iterdir())
        if not is_ours(path) and path not in {problem.path for problem in problems}
    ]
    try:
        key = read_key(folder)
    except CacheError as error:
        return [*findings, str(error)]
    if fingerprint(key)[:16] != folder.name:
        findings.append(f"{shown(folder / 'key.json')}: not the key of this folder")
    return findings


def is_ours(path: Path) -> bool:
    """Return whether a path directly in the key folder has a name that this module gives."""
    if path.is_dir():
        return path.name in (*FOLDERS, QUARANTINE)
    name = path.name
    known = (PLACES["network"], PLACES["samples"], PLACES["readout"], NOTE)
    return name == ".lock" or any(pattern.fullmatch(name) for pattern in known)
