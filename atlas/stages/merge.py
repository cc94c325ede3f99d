"""Another cache folder → this cache: verified blocks are copied, nothing is computed.

Shards that worked apart come together by this. Everything is read, verified and locked before the
first file is written; then every file comes whole or not at all. Start at `merge_all`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cache.folder import key_folders, read_key
from ..cache.keys import known_key
from ..cache.merge import foreign_layers, merge_store
from ..cache.selection import SELECTION, read_selection, selection_path
from ..cache.store import Store
from ..errors import CacheError
from ..files.digests import fingerprint
from ..files.files import atomic_write, read_bytes, require_free, require_writable
from ..files.names import escape_name, shown, unescape_name
from ..progress import Progress


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The key folders that are merged into: each is verified once, whatever comes into it.

    Attributes:
        cache: where they are.
        stack: closes them.
        opened: those that are open, by folder.
    """

    cache: Path
    stack: ExitStack
    opened: dict[Path, Store] = field(default_factory=dict)

    def open(self, source: Source) -> Store:
        """The one to which the results of a source belong, locked.

        Raises:
            CacheError: a run holds the lock, or a newer version wrote it.
        """
        folder = target_of(source, self.cache)
        if folder not in self.opened:
            store = Store.open(self.cache, source.model, key_of(source, self.cache))
            self.opened[folder] = self.stack.enter_context(store)
        return self.opened[folder]


def merge_all(folders: Sequence[Path], cache: Path, progress: Progress) -> None:
    """Merge other caches into this one and say what came of each.

    Raises:
        CacheError: folders were not merged, or damaged files not copied; all others were.
    """
    damaged = refused = 0
    for folder, merged in zip(folders, merge_caches(folders, cache), strict=True):
        if isinstance(merged, CacheError):
            if len(folders) == 1:
                raise merged
            progress.warn(f"not merged: {merged}")
            refused += 1
            continue
        for line in merged.left_out:
            progress.warn(f"left out: {line}")
        for line in merged.damaged:
            progress.warn(f"damaged, not copied: {line}")
        progress.say(f"{folder}: copied {merged.copied} blocks ({merged.present} already there)")
        damaged += len(merged.damaged)
    if refused:
        raise CacheError(f"{refused} of {len(folders)} folders were not merged, all others were")
    if damaged:
        raise CacheError(
            f"{damaged} damaged files were not copied, all others were; `build` does their work "
            "again"
        )


def merge_caches(folders: Iterable[Path], cache: Path) -> Iterator[Merged | CacheError]:
    """Copy what other caches hold and this one does not, one after the other.

    Args:
        folders: other caches, folders of models in them, or key folders.
        cache: where to.

    Yields:
        what came of each folder, or why it was not merged; the next ones are all the same.
    """
    with ExitStack() as stack:
        targets = Targets(cache=cache, stack=stack)
        for folder in folders:
            try:
                merged: Merged | CacheError = merge_cache(folder, targets)
            except CacheError as error:
                merged = error
            yield merged


def merge_cache(folder: Path, targets: Targets) -> Merged:
    """Copy what another cache holds and this one does not.

    Results that are here already stay as they are, also where the bytes of the other ones differ.

    Raises:
        CacheError: the folder holds no results, or those of another atlas of a model that is here
            (the message says what differs); a newer version wrote it; a run holds the lock; no
            room. Nothing has been copied then.
    """
    cache = targets.cache
    with ExitStack() as stack:
        sources = [open_source(path, stack) for path in find_keys(folder, cache)]
        suited, left_out = suited_sources(sources, cache)
        size = sum(path.stat().st_size for one in suited for path in one.store.index.blocks)
        require_writable(cache)
        require_free(cache, size)
        for one in sorted(suited, key=lambda one: not target_of(one, cache).exists()):
            targets.open(one)
        for one in suited:
            left_out += foreign_lines(targets.open(one), one)
        copied = sum(merge_store(targets.open(one), one.store) for one in suited)
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
