"""The selection of an atlas, `cache/<name>/atlas.json`: written by a build, read to make pages.

`read_selection` reads it; `selection_path` says where that of an atlas is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ..errors import InputError
from ..files.digests import canonical_json
from ..files.files import atomic_write
from ..files.names import escape_name, unescape_name
from ..records.atlas import RunInfo

SELECTION = "atlas.json"
"""Name of the file, in the folder of its atlas."""

SELECTION_SCHEMA = 2
"""Raised when earlier files cannot be read as they are; a new field that has a default does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The layers, units, classes and settings that the last build of an atlas was asked for.

    Attributes:
        key: folder of its results, beside the file.
        layers: layer → channels, in order of rank; the classes are a layer too.
        recipes, class_recipes: names, of units and of classes; the first is the default picture.
        digests, fingerprints: recipe → SHA-256 of its constants, and of all that its renderings
            depend on.
        lenses, lens_fingerprint: sample images that have pages; SHA-256 of what these depend on.
        class_names: of the classes, where they are not the network's own.
        reference: file of the images that scores are measured against; "" for the sample images.
        observer, observer_sha256: title and weights of the network that judges the pictures; ""
            where none does.
        masks, circuits: layer → what its masks and its circuits depend on; {} where none are shown.
        meanings: what the meanings of its units depend on; "" where none are shown.
        meaning_pictures: recipe → what the pictures of meanings by it depend on.
        maps: layer → what its map depends on, for those that have one.
        rank, size, seed, compare: the options of these names.
        shown: the channels that pages show, counted from 0; () where they are colours.
        run: the first one that asked for exactly this.
    """

    key: str
    layers: Mapping[str, tuple[int, ...]]
    recipes: tuple[str, ...]
    class_recipes: tuple[str, ...]
    digests: Mapping[str, str]
    fingerprints: Mapping[str, str]
    lenses: tuple[int, ...]
    lens_fingerprint: str
    rank: str
    size: int
    seed: int
    run: RunInfo
    reference: str = ""
    observer: str = ""
    observer_sha256: str = ""
    compare: str = ""
    class_names: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()
    masks: Mapping[str, str] = field(default_factory=dict)
    circuits: Mapping[str, str] = field(default_factory=dict)
    meanings: str = ""
    meaning_pictures: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, str] = field(default_factory=dict)
    schema: int = SELECTION_SCHEMA


def selection_path(cache: Path, name: str) -> Path:
    """Return the path of the selection of an atlas."""
    return cache / escape_name(name) / SELECTION


def atlas_name(folder: Path) -> str:
    """Name of the atlas that has this folder in the cache; the folder's where it was shortened."""
    try:
        return unescape_name(folder.name)
    except ValueError:
        return folder.name


def write_selection(path: Path, selection: Selection) -> None:
    """Write the file, whole or not at all."""
    atomic_write(path, canonical_json(msgspec.to_builtins(selection)).encode())


def read_selection(path: Path) -> Selection:
    """Read the selection that the last build of an atlas wrote.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    selection = earlier_selection(path)
    if selection is None:
        raise InputError(f"{path} is of another version of this program; build that atlas again")
    return selection


def earlier_selection(path: Path) -> Selection | None:
    """The selection that a new one replaces; None where the file is of another version.

    Raises:
        InputError: the file is damaged.
    """
    try:
        # Not msgspec's own parser: it refuses half a surrogate pair, which a file name may hold.
        fields: dict[str, Any] = dict(json.loads(path.read_bytes()))
        if fields.get("schema") != SELECTION_SCHEMA:
            return None
        return msgspec.convert(fields, Selection)
    except (OSError, ValueError, TypeError) as error:  # msgspec's errors are ValueErrors
        raise InputError(f"{path} cannot be read ({error}); delete it and build again") from error
