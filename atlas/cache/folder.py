"""The key folder of a cache: its key, and what happens to files that are no good."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import CacheError
from ..files.digests import canonical_json
from ..files.files import atomic_write, cannot, make_folder
from ..files.names import escape_name, shown
from .hdf5 import SCHEMA

QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that is no good: left over from a crash, damaged or foreign, or from a newer version.

    Attributes:
        path: the file or folder.
        kind: what is to be done with it: removed, moved away, or nothing at all.
        text: what is wrong, in words.
    """

    path: Path
    kind: Literal["stray", "damaged", "newer"]
    text: str


def key_folders(cache: Path) -> list[Path]:
    """Every key folder of a cache, by model and key."""
    return sorted(path.parent for path in cache.glob("*/*/key.json"))


def read_key(folder: Path) -> dict[str, Any]:
    """Return the values that the digits of a key folder's name identify.

    Raises:
        CacheError: there is no readable key, or a newer version wrote it.
    """
    path = folder / "key.json"
    try:
        value = json.loads(path.read_bytes())
        schema, key = int(value["schema"]), dict(value["key"])
    except FileNotFoundError:
        raise CacheError(
            f"{shown(folder)} is no cache folder: it has no key.json; run `build_atlas.py build`"
        ) from None
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{shown(path)} is damaged; move {shown(folder)} away") from error
    if schema > SCHEMA:
        raise newer(Problem(path=path, kind="newer", text=f"has schema {schema}"))
    return key


def newer(problem: Problem) -> CacheError:
    """The refusal to touch what a newer version wrote."""
    return CacheError(
        f"{shown(problem.path)}: {problem.text}; this version reads schema {SCHEMA}; update, or "
        "give another --cache"
    )


def write_key(folder: Path, key: Mapping[str, object]) -> None:
    """Write key.json, or check the one that is there.

    Raises:
        CacheError: it is another key, or cannot be written.
    """
    path = folder / "key.json"
    if not path.exists():
        atomic_write(path, canonical_json({"schema": SCHEMA, "key": key}).encode())
    elif canonical_json(read_key(folder)) != canonical_json(key):
        raise CacheError(f"{shown(path)} is not the key of its folder; move {shown(folder)} away")


def refuse_newer(problems: Sequence[Problem]) -> None:
    """Raise a CacheError if a newer version wrote one of the files."""
    for problem in problems:
        if problem.kind == "newer":
            raise newer(problem)


def clean_up(folder: Path, problem: Problem) -> None:
    """Delete what an interrupted write left; move what is damaged or foreign to quarantine."""
    try:
        if problem.kind == "stray":
            problem.path.unlink()
            return
        make_folder(folder / QUARANTINE)
        place = problem.path.relative_to(folder).as_posix()
        target = free_name(folder / QUARANTINE, escape_name(place))
        os.rename(problem.path, target)
        note = f"{place}: {problem.text}\n"
        atomic_write(target.with_name(f"{target.name}.txt"), note.encode("utf-8", "replace"))
    except OSError as error:
        raise cannot("clean up", problem.path, error) from error


def free_name(folder: Path, name: str) -> Path:
    """A path in a folder that is not taken: the name, or the name and a number."""
    path, number = folder / name, 2
    while os.path.lexists(path):
        path, number = folder / f"{name}.{number}", number + 1
    return path
