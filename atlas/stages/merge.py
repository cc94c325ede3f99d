"""Another cache folder → this cache: verified blocks are copied, nothing is computed.

Shards that worked apart come together by this. Everything is read, verified and locked before the
first file is written; then every file comes whole or not at all. Start at `merge_cache`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cache.blocks import read_bytes
from ..cache.folder import key_folders, read_key
from ..cache.keys import known_key
from ..cache.merge import foreign_layers, merge_store
from ..cache.selection import SELECTION, read_selection, selection_path
from ..cache.store import Store
from ..errors import CacheError
from ..files.digests import fingerprint
from ..files.files import atomic_write, require_free, require_writable
from ..files.names import escape_name, shown, unescape_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Result of a merge.

    Attributes:
        copied: files of results that were copied.
        present: those whose results were there already.
        damaged: a line for each file of the source that is not what it says, and was left alone.
        left_out: a line for each key folder that belongs to another atlas of the same model, and
            for each dictionary that is another one here.
    """

    copied: int
    present: int
    damaged: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A key folder to be merged: its results, and the model's name."""

    store: Store
    model: str

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.store.folder


def merge_cache(folder: Path, cache: Path) -> Merged:
    """Copy what another cache holds and this one does not.

    Results that are here already stay as they are, also where the bytes of the other ones differ.

    Args:
        folder: another cache, the folder of a model in it, or a key folder.
        cache: where to.

    Raises:
        CacheError: the folder holds no results, or those of another atlas of a model that is here
            (the message says what differs); a newer version wrote it; a run holds the lock; no
            room. Nothing has been copied then.
    """
    with ExitStack() as stack:
        sources = [open_source(path, stack) for path in find_keys(folder, cache)]
        suited, left_out = suited_sources(sources, cache)
        size = sum(path.stat().st_size for one in suited for path in one.store.index.blocks)
        require_writable(cache)
        require_free(cache, size)
        targets = [
            stack.enter_context(Store.open(cache, source.model, key_of(source, cache)))
            for source in sorted(suited, key=lambda one: not target_of(one, cache).exists())
        ]
        by_folder = {target.folder: target for target in targets}
        for one in suited:
            left_out += foreign_lines(by_folder[target_of(one, cache)], one)
        copied = sum(merge_store(by_folder[target_of(one, cache)], one.store) for one in suited)
        for source in suited:
            copy_selection(source, cache)
    return Merged(
        copied=copied,
        present=sum(len(one.store.index.blocks) for one in suited) - copied,
        damaged=tuple(line for one in sources for line in one.store.quarantined),
        left_out=tuple(left_out),
    )


def find_keys(folder: Path, cache: Path) -> Sequence[Path]:
    """The key folders of a cache, of a model's folder, or the one that is given.

    Raises:
        CacheError: there are none, or they are those of `cache`.
    """
    folder = folder.resolve()
    found = [folder] if (folder / "key.json").exists() else key_folders(folder)
    found = found or sorted(path.parent for path in folder.glob("*/key.json"))
    if not found:
        raise CacheError(
            f"{shown(folder)} holds no results to merge; give a cache folder, such as the --cache "
            "of a shard"
        )
    if any(path.parents[1] == cache.resolve() for path in found):
        raise CacheError(f"{shown(folder)} is --cache itself; give another folder")
    return found


def open_source(folder: Path, stack: ExitStack) -> Source:
    """Verify a key folder and read whose it is.

    Raises:
        CacheError: its key does not fit its name, nothing says which model it is of, or a newer
            version wrote it.
    """
    store = stack.enter_context(Store.read(folder))
    if fingerprint(store.key)[:16] != folder.name:
        raise CacheError(f"{shown(folder / 'key.json')} is not the key of its folder; not merged")
    if store.has("network"):
        return Source(store=store, model=store.read_network()[0].name)
    try:
        return Source(store=store, model=unescape_name(folder.parent.name))
    except ValueError as error:
        raise CacheError(f"{shown(folder)} does not say which model it is of ({error})") from error


def suited_sources(sources: Iterable[Source], cache: Path) -> tuple[list[Source], list[str]]:
    """Those that belong to what the cache shows of their models, and a line for each other one.

    Raises:
        CacheError: of a model, none does.
    """
    suited, strangers = [], {}
    for source in sources:
        difference = stranger(source, cache)
        if difference:
            strangers[source] = f"{shown(source.folder)}: {difference}"
        else:
            suited.append(source)
    models = {source.model for source in suited}
    for source, line in strangers.items():
        if source.model not in models:
            raise CacheError(f"{line}; merge it into another --cache")
    return suited, list(strangers.values())


def stranger(source: Source, cache: Path) -> str:
    """Return why a key folder is of another atlas than the cache shows; "" if it is not."""
    target = target_of(source, cache)
    selection = target.parent / SELECTION
    if target.exists() or not selection.exists():
        return ""
    current = target.parent / read_selection(selection).key
    differing = differences(read_key(current), source.store.key) if current.exists() else ["key"]
    names = ", ".join(name.replace("_", " ") for name in differing)
    return f"another atlas of {source.model} than {shown(current)}: other {names}"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The fields in which two keys differ, those of the model by their own names."""
    first, second = ({**key, **key["model"]} for key in (one, other))
    names = sorted(({*first} | {*second}) - {"model"})
    return [name for name in names if first.get(name) != second.get(name)]


def foreign_lines(here: Store, source: Source) -> list[str]:
    """A line for each dictionary of a source that is another one than that of its name here."""
    return [
        f"{shown(source.folder)}: all that is of {layer}, another dictionary than the one of this "
        "name here; machines round differently, so let one of them find it (`rank`) and copy its "
        "cache to the others first"
        for layer in sorted(foreign_layers(here, source.store))
    ]


def target_of(source: Source, cache: Path) -> Path:
    """Return the folder to which the results of a source belong."""
    name = fingerprint(key_of(source, cache))[:16]
    return cache / escape_name(source.model) / name


def key_of(source: Source, cache: Path) -> dict[str, Any]:
    """The key of a source, as the cache has it."""
    return known_key(cache / escape_name(source.model), source.store.key)


def copy_selection(source: Source, cache: Path) -> None:
    """Show what the source shows, where the cache has no selection for the model yet."""
    there, here = source.folder.parent / SELECTION, selection_path(cache, source.model)
    if there.exists() and not here.exists() and read_selection(there).key == source.folder.name:
        atomic_write(here, read_bytes(there))
