"""Records as the bytes of HDF5 blocks and back; the only module that knows HDF5.

`build_block` makes the bytes, `open_block` opens a file of them; between the two stand functions
that turn each record into named arrays and named arrays into the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from .records import (
    LayerInfo,
    LayerStats,
    ModelInfo,
    Rendering,
    Sample,
    SampleSet,
    Scores,
    SkippedFile,
    Start,
    Status,
    Unit,
)

SCHEMA = 1
"""Version of every file in the cache. Newer ones are refused, older ones migrated."""

CHUNK_BYTES = 1 << 18
"""About how much of a dataset one checksum covers: a rendering of 224 pixels is a chunk."""

Array = NDArray[Any]


def build_block(attributes: Mapping[str, str | int], datasets: Mapping[str, Array]) -> bytes:
    """The bytes of an HDF5 file, made in memory; equal arguments give equal bytes.

    Built in memory because a full disk inside the HDF5 library ends the process (16 of 20 points
    of failure), while the same bytes written by `os.write` give an ordinary error.

    Args:
        attributes: of the root group.
        datasets: name → array of numbers, truth values or byte strings, written in this order.
    """
    memory = {"driver": "core", "backing_store": False, "libver": ("v110", "v110")}
    with h5py.File("block", "w", **memory) as file:
        file.attrs["schema"] = SCHEMA
        for name, value in attributes.items():
            file.attrs[name] = value
        for name, array in datasets.items():
            add_dataset(file, name, array)
        file.flush()
        return cast(bytes, file.id.get_file_image())


def add_dataset(file: Any, name: str, array: Array) -> None:
    """Write one array with checksums; an empty one has no chunks to check."""
    options: dict[str, Any] = {"data": array, "track_times": False}
    if array.size:
        rows = max(1, CHUNK_BYTES // (array[:1].nbytes or 1))
        options |= {"chunks": (min(rows, len(array)), *array.shape[1:]), "fletcher32": True}
    file.create_dataset(name, **options)


def encode_texts(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """(N,) UTF-8 byte strings of one length, which unlike HDF5's variable ones are checksummed."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    longest = max(1, *map(len, encoded))
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", longest))


def decode_texts(column: Array) -> list[str]:
    """The texts of `encode_texts`."""
    return [value.decode("utf-8", "surrogatepass") for value in column.tolist()]


def pad(arrays: Sequence[Array], dtype: type) -> tuple[Array, NDArray[np.int32]]:
    """Stack arrays of one rank but perhaps several shapes, zeros behind the shorter ones.

    Returns:
        (U, …) the stack, and (U, rank) the shape of each.
    """
    shapes = np.array([array.shape for array in arrays], np.int32)
    stack = np.zeros((len(arrays), *shapes.max(0)), dtype)
    for row, array in zip(stack, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return stack, shapes


def unpad(row: Array, shape: Array) -> Array:
    """One array out of the stack of `pad`."""
    return np.ascontiguousarray(row[tuple(map(slice, shape))])


RAGGED: dict[str, type] = {
    "image": np.float16,
    "snapshots": np.float16,
    "objective": np.float32,
    "octave_steps": np.int64,
}
"""Fields of a Rendering that are arrays; a second dataset `<name>_shape` holds their shapes."""

PIXELS = ("image", "snapshots")
TEXTS = ("recipe", "status", "reason", "start", "precision")
INTEGERS = ("seed", "attempts")
SCORES = {"activation": float, "reach": float, "select": int, "robust": float, "hf": float}


def renderings_to_datasets(renderings: Sequence[Rendering]) -> dict[str, Array]:
    """The columns of a rendering block, one row per unit; `seconds` is left to the sidecar."""
    columns: dict[str, Array] = {"channel": np.array([r.unit.channel for r in renderings], "i4")}
    for name in TEXTS:
        columns[name] = encode_texts([getattr(r, name) for r in renderings])
    for name in INTEGERS:
        columns[name] = np.array([getattr(r, name) for r in renderings], np.int64)
    for name, type_ in SCORES.items():
        columns[name] = np.array([getattr(r.scores, name) for r in renderings], type_)
    for name, dtype in RAGGED.items():
        arrays: list[Array] = [np.asarray(getattr(r, name), dtype) for r in renderings]
        columns[name], columns[f"{name}_shape"] = pad(arrays, dtype)
    return columns


def read_columns(file: Any) -> dict[str, Array]:
    """Everything of a rendering block but its pixels."""
    return {name: file[name][...] for name in file if name not in PIXELS}


def rendering_from_columns(
    layer: str, columns: Mapping[str, Array], row: int, seconds: float
) -> Rendering:
    """One row of a block, with (3, 0, 0) image and (0, 3, 0, 0) snapshots."""
    texts = {name: decode_texts(columns[name][row : row + 1])[0] for name in TEXTS}
    arrays = {
        name: unpad(columns[name][row], columns[f"{name}_shape"][row])
        for name in RAGGED
        if name not in PIXELS
    }
    numbers = {name: columns[name][row].item() for name in (*INTEGERS, *SCORES)}
    return Rendering(
        unit=Unit(layer=layer, channel=int(columns["channel"][row])),
        recipe=texts["recipe"],
        image=np.zeros((3, 0, 0), np.float16),
        snapshots=np.zeros((0, 3, 0, 0), np.float16),
        status=cast(Status, texts["status"]),
        reason=texts["reason"],
        scores=Scores(**{name: numbers[name] for name in SCORES}),
        objective=arrays["objective"],
        octave_steps=tuple(arrays["octave_steps"].tolist()),
        seed=numbers["seed"],
        start=cast(Start, texts["start"]),
        attempts=numbers["attempts"],
        seconds=seconds,
        precision=texts["precision"],
    )


def stats_to_datasets(stats: LayerStats) -> dict[str, Array]:
    """The arrays of a LayerStats under their own names."""
    names = [field.name for field in fields(stats) if field.name != "layer"]
    return {name: np.asarray(getattr(stats, name)) for name in names}


def model_from_json(value: dict[str, Any]) -> ModelInfo:
    """The ModelInfo that `asdict` and JSON made lists of."""
    tuples = {name: tuple(value[name]) for name in ("mean", "std", "class_names")}
    return ModelInfo(**{**value, **tuples})


def layer_from_json(value: dict[str, Any]) -> LayerInfo:
    """The LayerInfo that `asdict` and JSON made lists of."""
    return LayerInfo(**{**value, "groups": tuple(value["groups"])})


def samples_from_json(value: dict[str, Any]) -> SampleSet:
    """The SampleSet that `asdict` and JSON made lists of."""
    samples = tuple(Sample(**{**row, "box": tuple(row["box"])}) for row in value["samples"])
    skipped = tuple(SkippedFile(**row) for row in value["skipped"])
    return SampleSet(**{**value, "samples": samples, "skipped": skipped})


def open_block(path: Path) -> Any:
    """An HDF5 file opened for reading, without the locks that network file systems lack.

    Raises:
        OSError: it cannot be read, or is no HDF5 file.
    """
    return h5py.File(path, "r", locking=False)
