"""HDF5 blocks as bytes: `build_block` makes them in memory, `open_block` opens a file of them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
"""Version of every file in the cache. Newer ones are refused, older ones migrated."""

CHUNK_BYTES = 1 << 18
"""About how much of a dataset one checksum covers: a rendering of 224 pixels is a chunk."""

Array = NDArray[Any]


def build_block(
    attributes: Mapping[str, str | int],
    datasets: Mapping[str, Array],
    packed: Collection[str] = (),
) -> bytes:
    """The bytes of an HDF5 file, made in memory; equal arguments give equal bytes.

    Built in memory because a full disk inside the HDF5 library ends the process (16 of 20 points
    of failure), while the same bytes written by `os.write` give an ordinary error.

    Args:
        attributes: of the root group.
        datasets: name → array of numbers, truth values or byte strings, written in this order.
        packed: names of those that deflate makes smaller.
    """
    memory = {"driver": "core", "backing_store": False, "libver": ("v110", "v110")}
    with h5py.File("block", "w", **memory) as file:
        file.attrs["schema"] = SCHEMA
        for name, value in attributes.items():
            file.attrs[name] = value
        for name, array in datasets.items():
            add_dataset(file, name, array, name in packed)
        file.flush()
        return cast(bytes, file.id.get_file_image())


def add_dataset(file: Any, name: str, array: Array, packed: bool = False) -> None:
    """Write one array with checksums; an empty one has no chunks to check."""
    options: dict[str, Any] = {"data": array, "track_times": False}
    if array.size:
        rows = max(1, CHUNK_BYTES // (array[:1].nbytes or 1))
        options |= {"chunks": (min(rows, len(array)), *array.shape[1:]), "fletcher32": True}
        options |= {"compression": "gzip", "shuffle": True} if packed else {}
    file.create_dataset(name, **options)


def encode_texts(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """(N,) UTF-8 byte strings of one length, which unlike HDF5's variable ones are checksummed."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    longest = max([1, *map(len, encoded)])
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", longest))


def decode_texts(column: Array) -> list[str]:
    """The texts of `encode_texts`."""
    return [value.decode("utf-8", "surrogatepass") for value in column.tolist()]


def open_block(path: Path) -> Any:
    """An HDF5 file opened for reading, without the locks that network file systems lack.

    Raises:
        OSError: it cannot be read, or is no HDF5 file.
    """
    return h5py.File(path, "r", locking=False)
