"""The blocks of one model and one key: immutable files, committed by rename.

A result is built in memory as the bytes of an HDF5 or JSON file and written in one piece to a name
that ends in its own SHA-256 (`files.atomic_write`). The file with that name is the only sign that
the work is done, so whatever happens during a write, nothing finished is lost; writing into an open
HDF5 file instead lost finished units at 27 of 69 points of failure. The same input gives the same
bytes: what differs between runs (seconds, device, versions) is in a sidecar beside the block.

    key.json                                            what the 16 digits of the folder stand for
    network.<sha12>.json  samples.<sha12>.json          layer table; sample images
    images/<first>-<last>.<sha12>.h5                    squares of the sample images
    dictionaries/<layer>.<sha12>.h5                     directions of a layer
    ranking/<layer>.<sha12>.h5                          statistics of all channels of a layer
    tuning/<layer>.<sha12>.h5                           their responses to synthetic stimuli
    readout.<sha12>.h5                                  which channels raise which class
    renderings/<layer>/<first>-<last>.<sha12>.h5        renderings of some ranks, and .json sidecars
    features/<layer>/<first>-<last>.<sha12>.h5          what an observer sees of pictures or images
    masks/<layer>/<first>-<last>.<sha12>.h5             the pixels that peaks of units depend on
    circuits/<layer>/<first>-<last>.<sha12>.h5          what units feed, and what feeds them
    meanings/<layer>/<first>-<last>.<sha12>.h5          groups of the images that excite units most
    maps/<layer>/<first>-<last>.<sha12>.h5              cells of the map of a layer
    lenses/<first>-<last>.<sha12>.h5                    what the network makes of some sample images
    quarantine/                                         what was damaged or foreign
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ..errors import CacheError
from ..files.digests import canonical_json, fingerprint, sha256_bytes
from ..files.files import atomic_write, cannot, make_folder
from ..files.lock import lock
from ..files.names import escape_name, shown
from .audit import NOTE, CacheBlock, Kind, describe, inspect
from .folder import Problem, clean_up, read_key, refuse_newer, write_key
from .hdf5 import Array, build_block
from .index import Index
from .opened import OpenBlocks

T = TypeVar("T")


class Blocks:
    """A key folder that is open, and the blocks in it; `store.Store` says what they hold.

    Blocks are known from the moment of opening; what another process adds later is not seen.

    Attributes:
        folder: `cache/<model>/<key16>`.
        index: which blocks it holds.
        opened: those that are open for reading.
        quarantined: one line for every file that could not be used and was moved away (when only
            reading, left out).
    """

    def __init__(
        self, folder: Path, blocks: Iterable[CacheBlock], problems: Sequence[Problem]
    ) -> None:
        """Use `open` or `read` instead."""
        self.folder = folder
        self.index = Index(blocks)
        self.quarantined = [
            f"{shown(problem.path)}: {problem.text}"
            for problem in problems
            if problem.kind == "damaged"
        ]
        self.opened = OpenBlocks()
        self._stack = ExitStack()

    @classmethod
    def open(cls, cache: Path, model: str, key: Mapping[str, object]) -> Self:
        """Lock a key folder, make it if need be, clean it up and verify all that is in it.

        Leftovers of interrupted writes are deleted; damaged and foreign files move to
        `quarantine/` with a note, so that only their work is done again.

        Args:
            cache: the folder of all caches.
            model: name of the model.
            key: everything that changes the results; plain JSON values.

        Raises:
            CacheError: another run holds the lock, the folder cannot be written, or a newer
                version of this program wrote in it.
        """
        folder = cache / escape_name(model) / fingerprint(key)[:16]
        make_folder(folder)
        with ExitStack() as stack:
            stack.enter_context(lock(folder / ".lock"))
            write_key(folder, key)
            blocks, problems = inspect(folder)
            refuse_newer(problems)
            for problem in problems:
                clean_up(folder, problem)
            store = cls(folder, blocks, problems)
            store._stack = stack.pop_all()
        return store

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Look at a key folder without locking or changing it; damaged files are left out.

        Raises:
            CacheError: it is no key folder, or a newer version wrote in it.
        """
        read_key(folder)
        blocks, problems = inspect(folder)
        refuse_newer(problems)
        return cls(folder, blocks, problems)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the blocks that are open and give the lock back."""
        self.opened.close_all()
        self._stack.close()

    @property
    def key(self) -> dict[str, Any]:
        """The values that the 16 digits of the folder name identify."""
        return read_key(self.folder)

    # --- notes

    def write_note(self, name: str, value: object) -> None:
        """Replace a small note that is no result.

        Args:
            name: small letters, without ending.
            value: plain JSON values.
        """
        atomic_write(self._note(name), canonical_json(value).encode())

    def read_note(self, name: str) -> Any:
        """A note, or None where there is none or it is damaged."""
        try:
            return json.loads(self._note(name).read_bytes())
        except (OSError, ValueError):
            return None

    def _note(self, name: str) -> Path:
        assert NOTE.fullmatch(f"{name}.json"), name
        assert name != "key", "the key is no note"
        return self.folder / f"{name}.json"

    # --- blocks

    def write(
        self, place: str, datasets: Mapping[str, Array], sidecar: bytes = b"", **facts: str | int
    ) -> CacheBlock:
        """Commit a block whose attributes are `facts`, its sidecar first, and know of it."""
        path = self.commit(place, ".h5", build_block(facts, datasets), sidecar)
        block = describe(path, facts, datasets)
        self.index.add(block)
        return block

    def commit(self, place: str, suffix: str, data: bytes, sidecar: bytes = b"") -> Path:
        """Write bytes under a name that ends in their digest; there afterwards or not at all."""
        path = self.folder / f"{place}.{sha256_bytes(data)[:12]}{suffix}"
        make_folder(path.parent)
        if sidecar:
            atomic_write(path.with_suffix(".json"), sidecar)
        if path not in self.index.blocks:
            atomic_write(path, data)
        return path

    def replace(self, block: CacheBlock) -> None:
        """Know of a block, and delete the earlier ones in its place."""
        self.index.add(block)
        for earlier in self.index.outdated(block):
            self.opened.close(earlier.path)
            remove(earlier.path)
            self.index.forget(earlier)

    def of_layer(self, kind: Kind, layer: str, fingerprint: str) -> list[CacheBlock]:
        """The blocks of a kind that are of a layer."""
        known = self.index.of_layer(kind, layer)
        return [one for one in known if one.fingerprint == fingerprint]

    def write_rows(
        self,
        kind: Kind,
        layer: str,
        fingerprint: str,
        rows: Sequence[int],
        datasets: Mapping[str, Array],
        /,
        **facts: str | int,
    ) -> None:
        """Commit what belongs to some channels of a layer, or to some cells of its map.

        Args:
            kind, layer, fingerprint: of the block.
            rows: the channels or cells, at least one.
            datasets: of all of them.
            facts: further attributes.
        """
        place = f"{kind}/{escape_name(layer)}/{min(rows)}-{max(rows)}"
        self.write(place, datasets, b"", kind=kind, layer=layer, fingerprint=fingerprint, **facts)

    def need_row(
        self, kind: Kind, layer: str, fingerprint: str, row: int, what: str
    ) -> tuple[CacheBlock, int]:
        """The last block that holds a channel of a layer, or a cell of its map, and where in it.

        Raises:
            CacheError: none does; names `what`.
        """
        blocks = self.of_layer(kind, layer, fingerprint)
        holding = [block for block in blocks if row in block.channels]
        block = self.need(holding[-1] if holding else None, what)
        return block, block.channels.index(row)

    def need(self, found: T | None, what: str) -> T:
        """Return the record that was found, or raise a CacheError that names what is missing."""
        if found is None:
            raise CacheError(
                f"{shown(self.folder)} holds no {what}; run `build_atlas.py build` to make it"
            )
        return found


def remove(path: Path) -> None:
    """Delete a file that another one has replaced.

    Raises:
        CacheError: it cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot("remove", path, error) from error
