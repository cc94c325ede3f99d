"""The cache of one model and one key: immutable blocks, committed by rename. Start at `Store.open`.

A result is built in memory as the bytes of an HDF5 or JSON file and written in one piece to a name
that ends in its own SHA-256 (`files.atomic_write`). The file with that name is the only sign that
the work is done, so whatever happens during a write, nothing finished is lost; writing into an open
HDF5 file instead lost finished units at 27 of 69 points of failure. The same input gives the same
bytes: what differs between runs (seconds, device, versions) lies in a sidecar beside the block.

    key.json                                            what the 16 digits of the folder stand for
    network.<sha12>.json  samples.<sha12>.json          layer table; sample images
    images/<first>-<last>.<sha12>.h5                    views of the sample images
    ranking/<layer>.<sha12>.h5                          statistics of all channels of a layer
    readout.<sha12>.h5                                  which channels raise which class
    renderings/<layer>/<first>-<last>.<sha12>.h5        renderings of some ranks, and .json sidecars
    lenses/<first>-<last>.<sha12>.h5                    what the network makes of some sample images
    quarantine/                                         what was damaged or foreign
"""

import json
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np

from ..config import canonical_json, fingerprint
from ..errors import CacheError
from ..files.files import (
    atomic_write,
    cannot,
    escape_name,
    lock,
    make_folder,
    sha256_bytes,
    shown,
    this_process,
)
from ..records import (
    LayerInfo,
    LayerStats,
    Lens,
    ModelInfo,
    Pictures,
    Readout,
    Rendering,
    RunInfo,
    SampleSet,
    Unit,
)
from .audit import NOTE, QUARANTINE, Block, Kind, Problem, inspect, newer, read_key
from .codec import (
    SCHEMA,
    Array,
    build_block,
    layer_from_json,
    lens_from_file,
    lenses_to_datasets,
    model_from_json,
    model_to_json,
    open_block,
    read_columns,
    readout_to_datasets,
    rendering_from_columns,
    renderings_to_datasets,
    samples_from_json,
    stats_to_datasets,
    unpad,
)

OPEN_FILES = 4
"""Blocks kept open while pages are written, which go through a layer from block to block."""


class Store:
    """The results of one model under one key.

    Use `Store.open` in a `with` block to add results, `Store.read` to look at them. Results are
    known from the moment of opening; what another process adds later is not seen.

    Attributes:
        folder: `cache/<model>/<key16>`.
        quarantined: one line for every file that could not be used and was moved away (when only
            reading, left out).
    """

    def __init__(self, folder: Path, blocks: Sequence[Block], problems: Sequence[Problem]) -> None:
        """Use `open` or `read` instead."""
        self.folder = folder
        self.quarantined = [
            f"{shown(problem.path)}: {problem.text}"
            for problem in problems
            if problem.kind == "damaged"
        ]
        self._blocks: dict[Path, Block] = {}
        self._units: dict[tuple[str, Unit], tuple[Path, int]] = {}
        self._opened: OrderedDict[Path, Any] = OrderedDict()
        self._columns: dict[Path, dict[str, Array]] = {}
        self._stack = ExitStack()
        for block in blocks:
            self._add(block)

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
            stack.enter_context(lock(folder / ".lock", this_process()))
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
        self._columns.clear()
        while self._opened:
            self._opened.popitem()[1].close()
        self._stack.close()

    @property
    def key(self) -> dict[str, Any]:
        """What the digits of the folder stand for."""
        return read_key(self.folder)

    # --- network and samples

    def write_network(self, model: ModelInfo, layers: Sequence[LayerInfo]) -> None:
        """Keep the model and its layer table, instead of any earlier one."""
        layers_json = [asdict(layer) for layer in layers]
        self._write_json_block("network", {"model": model_to_json(model), "layers": layers_json})

    def read_network(self) -> tuple[ModelInfo, tuple[LayerInfo, ...]]:
        """The model and its layer table.

        Raises:
            CacheError: they were never written.
        """
        value = self._read_json_block("network")
        return model_from_json(value["model"]), tuple(map(layer_from_json, value["layers"]))

    def write_samples(self, samples: SampleSet) -> None:
        """Keep the list of sample images, instead of any earlier one."""
        self._write_json_block("samples", {"set": asdict(samples)})

    def read_samples(self) -> SampleSet:
        """The list of sample images.

        Raises:
            CacheError: it was never written.
        """
        return samples_from_json(self._read_json_block("samples")["set"])

    def has(self, kind: Literal["network", "samples"]) -> bool:
        """Whether the layer table or the list of sample images is there."""
        return self._find(kind) is not None

    def _write_json_block(self, kind: Literal["network", "samples"], value: dict[str, Any]) -> None:
        data = canonical_json({"schema": SCHEMA, "kind": kind, **value}).encode()
        path = self._commit(self.folder, kind, ".json", data)
        for earlier in [block.path for block in self._blocks.values() if block.kind == kind]:
            if earlier != path:
                remove(earlier)
                del self._blocks[earlier]
        self._add(Block(path=path, kind=kind))

    def _read_json_block(self, kind: Literal["network", "samples"]) -> dict[str, Any]:
        path = self._need(self._find(kind), kind)
        return cast(dict[str, Any], json.loads(read_bytes(path)))

    # --- views of the sample images

    def write_views(self, first: int, views: Sequence[bytes]) -> None:
        """Keep the JPEG views of consecutive sample images, instead of any earlier ones.

        Args:
            first: index of the first of them.
            views: JPEG files.
        """
        last = first + len(views) - 1
        datasets: dict[str, Array] = {
            "end": np.cumsum([len(view) for view in views], dtype=np.int64),
            "jpeg": np.frombuffer(b"".join(views), np.uint8),
        }
        data = build_block({"kind": "images", "first": first, "last": last}, datasets)
        path = self._commit(self.folder / "images", f"{first}-{last}", ".h5", data)
        known = list(self._blocks.values())
        for earlier in [one.path for one in known if one.kind == "images" and one.first == first]:
            if earlier != path:
                remove(earlier)
                self._opened.pop(earlier, None)
                del self._blocks[earlier]
        self._add(Block(path=path, kind="images", first=first, last=last))

    def has_view(self, index: int) -> bool:
        """Whether the view of a sample image is there."""
        return self._find("images", lambda block: block.first <= index <= block.last) is not None

    def sample(self, index: int) -> bytes:
        """The view of a sample image, a JPEG of the part the network sees.

        Raises:
            CacheError: it was never written.
        """
        found = self._find("images", lambda block: block.first <= index <= block.last)
        path = self._need(found, f"view of sample image {index}")
        row, file = index - self._blocks[path].first, self._file(path)
        start = int(file["end"][row - 1]) if row else 0
        return cast(bytes, file["jpeg"][start : int(file["end"][row])].tobytes())

    # --- statistics

    def write_stats(self, stats: LayerStats) -> None:
        """Keep the statistics of one layer."""
        attributes = {"kind": "ranking", "layer": stats.layer}
        data = build_block(attributes, stats_to_datasets(stats))
        path = self._commit(self.folder / "ranking", escape_name(stats.layer), ".h5", data)
        self._add(Block(path=path, kind="ranking", layer=stats.layer))

    def has_stats(self, layer: str) -> bool:
        """Whether the statistics of a layer are there."""
        return self._find("ranking", lambda block: block.layer == layer) is not None

    def read_stats(self, layer: str) -> LayerStats:
        """The statistics of one layer.

        Raises:
            CacheError: they were never written.
        """
        found = self._find("ranking", lambda block: block.layer == layer)
        file = self._file(self._need(found, f"statistics of layer {layer!r}"))
        return LayerStats(layer=layer, **{name: file[name][...] for name in file})

    def write_readout(self, readout: Readout) -> None:
        """Keep which channels raise which class."""
        attributes: dict[str, str | int] = {"kind": "readout", "layer": readout.layer}
        data = build_block(attributes, readout_to_datasets(readout))
        path = self._commit(self.folder, "readout", ".h5", data)
        self._add(Block(path=path, kind="readout", layer=readout.layer))

    def read_readout(self) -> Readout | None:
        """Which channels raise which class; None where that was never written."""
        path = self._find("readout")
        if path is None:
            return None
        file = self._file(path)
        return Readout(layer=self._blocks[path].layer, **{name: file[name][...] for name in file})

    # --- lenses

    def write_lenses(self, first: int, last: int, fingerprint: str, lenses: Sequence[Lens]) -> None:
        """Keep what the network makes of some sample images.

        Args:
            first, last: indices of the first and the last of them.
            fingerprint: of everything that decides the result.
            lenses: at least one.
        """
        attributes: dict[str, str | int] = {
            "kind": "lenses",
            "fingerprint": fingerprint,
            "first": first,
            "last": last,
        }
        data = build_block(attributes, lenses_to_datasets(lenses))
        path = self._commit(self.folder / "lenses", f"{first}-{last}", ".h5", data)
        self._add(
            Block(
                path=path,
                kind="lenses",
                fingerprint=fingerprint,
                first=first,
                last=last,
                channels=tuple(lens.image for lens in lenses),
            )
        )

    def finished_lenses(self, fingerprint: str) -> set[int]:
        """The sample images whose lenses are there."""
        return {
            image
            for block in self._blocks.values()
            if block.kind == "lenses" and block.fingerprint == fingerprint
            for image in block.channels
        }

    def lens(self, image: int, fingerprint: str) -> Lens:
        """What the network makes of a sample image.

        Raises:
            CacheError: it was never looked at.
        """
        found = self._find(
            "lenses", lambda block: block.fingerprint == fingerprint and image in block.channels
        )
        return lens_from_file(self._file(self._need(found, f"lenses of image {image}")), image)

    # --- renderings

    def write_renderings(
        self,
        first: int,
        last: int,
        fingerprint: str,
        renderings: Sequence[Rendering],
        run: RunInfo,
    ) -> None:
        """Keep the renderings of one layer and one recipe at consecutive ranks.

        Args:
            first, last: positions in the ranking, from 0, both included.
            fingerprint: of everything that decides these renderings.
            renderings: at least one; all of one layer.
            run: what is recorded of the run; goes into the sidecar with the seconds.
        """
        layer = renderings[0].unit.layer
        assert all(rendering.unit.layer == layer for rendering in renderings)
        attributes: dict[str, str | int] = {
            "kind": "renderings",
            "layer": layer,
            "recipe": renderings[0].recipe,
            "fingerprint": fingerprint,
            "first": first,
            "last": last,
        }
        data = build_block(attributes, renderings_to_datasets(renderings))
        folder = self.folder / "renderings" / escape_name(layer)
        stem = f"{first}-{last}"
        write_sidecar(folder / f"{stem}.{sha256_bytes(data)[:12]}.json", renderings, run)
        path = self._commit(folder, stem, ".h5", data)
        self._add(
            Block(
                path=path,
                kind="renderings",
                layer=layer,
                fingerprint=fingerprint,
                first=first,
                last=last,
                channels=tuple(rendering.unit.channel for rendering in renderings),
            )
        )

    def finished(self, fingerprint: str) -> dict[str, dict[int, Rendering]]:
        """Every finished rendering without its pixels: layer → channel → rendering.

        Where two blocks hold the same unit, the one with the greater file name counts.
        """
        found: dict[str, dict[int, Rendering]] = {}
        for path in sorted(self._blocks, key=as_sorted):
            block = self._blocks[path]
            if block.kind == "renderings" and block.fingerprint == fingerprint:
                columns, seconds = self._metadata(path)
                for row, channel in enumerate(block.channels):
                    spent = seconds.get(channel, math.nan)
                    rendering = rendering_from_columns(block.layer, columns, row, spent)
                    found.setdefault(block.layer, {})[channel] = rendering
        return found

    def has_rendering(self, unit: Unit, fingerprint: str) -> bool:
        """Whether the rendering of a unit is there."""
        return (fingerprint, unit) in self._units

    def rendering(self, unit: Unit, fingerprint: str) -> Rendering:
        """The rendering of a unit with its pixels.

        Raises:
            CacheError: it was never finished.
        """
        path, row = self._units.get((fingerprint, unit), (None, 0))
        path = self._need(path, f"rendering of {unit}")
        columns, seconds = self._metadata(path)
        file = self._file(path)
        spent = seconds.get(unit.channel, math.nan)
        return replace(
            rendering_from_columns(unit.layer, columns, row, spent),
            image=unpad(file["image"][row], columns["image_shape"][row]),
            snapshots=unpad(file["snapshots"][row], columns["snapshots_shape"][row]),
        )

    def pictures(self, fingerprints: Mapping[str, str], lenses: str = "") -> Pictures:
        """Where pages read pixels from.

        Args:
            fingerprints: recipe name → fingerprint of its renderings.
            lenses: fingerprint of the lenses.
        """
        return StorePictures(self, dict(fingerprints), lenses)

    def write_json(self, name: str, value: object) -> None:
        """Replace a small note that is no result.

        Args:
            name: small letters, without ending.
            value: plain JSON values.
        """
        atomic_write(self._note(name), canonical_json(value).encode())

    def read_json(self, name: str) -> Any:
        """A note, or None where there is none or it is damaged."""
        try:
            return json.loads(self._note(name).read_bytes())
        except (OSError, ValueError):
            return None

    def _note(self, name: str) -> Path:
        assert NOTE.fullmatch(f"{name}.json"), name
        assert name != "key", "the key is no note"
        return self.folder / f"{name}.json"

    # --- other caches

    @property
    def paths(self) -> list[Path]:
        """Every file of results."""
        return list(self._blocks)

    def merge(self, other: "Store") -> int:
        """Copy the blocks of another store with the same key whose results are not here yet.

        What is here stays as it is, also where the bytes of the other one differ.

        Returns:
            How many were copied.

        Raises:
            CacheError: the keys differ, or a block cannot be read or written.
        """
        if other.key != self.key:
            raise CacheError(f"{shown(other.folder)} and {shown(self.folder)} have different keys")
        copied = 0
        for block in other._blocks.values():
            if not self._holds(block):
                self._copy(block, other.folder)
                copied += 1
        return copied

    def _holds(self, block: Block) -> bool:
        """Whether all that a block of another store tells is known here already."""
        known = [
            one
            for one in self._blocks.values()
            if (one.kind, one.layer, one.fingerprint)
            == (block.kind, block.layer, block.fingerprint)
        ]
        if block.kind == "images":
            return any(one.first <= block.first and block.last <= one.last for one in known)
        rows = {channel for one in known for channel in one.channels}
        return bool(known) and rows.issuperset(block.channels)

    def _copy(self, block: Block, source: Path) -> None:
        """Copy one verified file, its sidecar first.

        Raises:
            CacheError: it cannot be read or written, or has changed since it was verified.
        """
        path = self.folder / block.path.relative_to(source)
        data, sidecar = read_bytes(block.path), block.path.with_suffix(".json")
        if sha256_bytes(data)[:12] not in path.name:
            raise CacheError(f"{shown(block.path)} changed while it was copied; merge again")
        make_folder(path.parent)
        if block.kind == "renderings" and sidecar.exists():
            atomic_write(path.with_suffix(".json"), read_bytes(sidecar))
        atomic_write(path, data)
        self._add(replace(block, path=path))

    # --- inside

    def _commit(self, folder: Path, stem: str, suffix: str, data: bytes) -> Path:
        """Write bytes under a name that ends in their digest; there afterwards or not at all."""
        path = folder / f"{stem}.{sha256_bytes(data)[:12]}{suffix}"
        if path not in self._blocks:
            make_folder(folder)
            atomic_write(path, data)
        return path

    def _add(self, block: Block) -> None:
        """Know of a block from now on; of two with the same unit the greater name counts."""
        self._blocks[block.path] = block
        for row, channel in enumerate(block.channels if block.kind == "renderings" else ()):
            unit = (block.fingerprint, Unit(layer=block.layer, channel=channel))
            held = self._units.get(unit)
            if held is None or as_sorted(held[0]) <= as_sorted(block.path):
                self._units[unit] = (block.path, row)

    def _find(
        self, kind: Kind, wanted: Callable[[Block], bool] = lambda block: True
    ) -> Path | None:
        """The block of a kind that answers a question; the greatest name if several do."""
        paths = [b.path for b in self._blocks.values() if b.kind == kind and wanted(b)]
        return max(paths, key=as_sorted, default=None)

    def _need(self, path: Path | None, what: str) -> Path:
        if path is None:
            raise CacheError(
                f"{shown(self.folder)} holds no {what}; run `build_atlas.py build` to make it"
            )
        return path

    def _file(self, path: Path) -> Any:
        """An open block; the last few stay open, because pages come back to them."""
        if path in self._opened:
            self._opened.move_to_end(path)
            return self._opened[path]
        try:
            file = open_block(path)
        except OSError as error:
            raise CacheError(f"cannot read {shown(path)}: {error}; run `check`") from error
        self._opened[path] = file
        if len(self._opened) > OPEN_FILES:
            oldest, other = self._opened.popitem(last=False)
            self._columns.pop(oldest, None)
            other.close()
        return file

    def _metadata(self, path: Path) -> tuple[dict[str, Array], dict[int, float]]:
        """The columns of a rendering block without pixels, and its seconds by channel.

        Kept while the block is open: reading 20 small columns for each unit took most of the time.
        """
        file = self._file(path)
        if path not in self._columns:
            self._columns[path] = read_columns(file)
        return self._columns[path], read_seconds(path)


@dataclass(frozen=True, slots=True)
class StorePictures:
    """The pixels of a store under the names that pages know."""

    store: Store
    fingerprints: Mapping[str, str]
    lenses: str

    def rendering(self, unit: Unit, recipe: str) -> Rendering:
        """The rendering of a unit with its pixels.

        Raises:
            CacheError: it was never finished.
        """
        return self.store.rendering(unit, self.fingerprints[recipe])

    def sample(self, index: int) -> bytes:
        """The view of a sample image, a JPEG of the part the network sees.

        Raises:
            CacheError: it was never written.
        """
        return self.store.sample(index)

    def lens(self, image: int) -> Lens:
        """What the network makes of a sample image.

        Raises:
            CacheError: it was never looked at.
        """
        return self.store.lens(image, self.lenses)


def as_sorted(path: Path) -> tuple[str, str]:
    """The order of blocks: by name, then by folder; no file system decides it."""
    return path.name, path.as_posix()


def remove(path: Path) -> None:
    """Delete a file that another one has replaced.

    Raises:
        CacheError: it cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot("remove", path, error) from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or a CacheError that says why not."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot("read", path, error) from error


# --- opening -------------------------------------------------------------------------------------


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


# --- sidecars ------------------------------------------------------------------------------------


def write_sidecar(path: Path, renderings: Sequence[Rendering], run: RunInfo) -> None:
    """Record what differs between runs beside the block it belongs to."""
    seconds = {str(rendering.unit.channel): rendering.seconds for rendering in renderings}
    make_folder(path.parent)
    atomic_write(path, canonical_json({"run": asdict(run), "seconds": seconds}).encode())


def read_seconds(block: Path) -> dict[int, float]:
    """Channel → seconds from the sidecar of a block; empty where it is missing or damaged."""
    try:
        value = json.loads(block.with_suffix(".json").read_bytes())
        return {int(channel): float(spent) for channel, spent in value["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
