"""The HDF5 of the export: written through a stream, readable by any program, read back whole."""

import hashlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..shapes import Size, pair
from .hdf5 import Array, encode_texts

IMAGE = {
    "CLASS": "IMAGE",
    "IMAGE_VERSION": "1.2",
    "IMAGE_SUBCLASS": "IMAGE_TRUECOLOR",
    "INTERLACE_MODE": "INTERLACE_PIXEL",
    "IMAGE_COLORMODEL": "RGB",
    "DISPLAY_ORIGIN": "UL",
}
"""Attributes that mark a dataset as RGB pictures with the origin at the upper left.

Source: HDF5 Image and Palette Specification 1.2, section 1.2. It describes one picture, (H, W, 3);
ours are stacked, (U, H, W, 3), which its truecolor layout does not name: viewers that know the
attributes show one row, others a plain array.
"""

READ_BYTES = 1 << 22
"""About how much of a dataset is read at a time when a whole file is looked through."""


def new_file(stream: Any) -> Any:
    """An empty HDF5 file that is written into an open binary stream.

    Args:
        stream: whatever has `seek`, `readinto`, `write`, `truncate` and `flush`.
    """
    return h5py.File(stream, "w", libver=("v110", "v110"))


def add_group(file: Any, name: str, ordered: bool = False) -> Any:
    """Make a group without a date, so that equal content gives equal bytes.

    Args:
        file: an open file or group.
        name: of the group; the groups above it exist.
        ordered: whether its members are listed in the order they are made in, not by name.
    """
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    if ordered:
        order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
        properties.set_link_creation_order(order)
    return h5py.Group(h5py.h5g.create(file.id, name.encode(), gcpl=properties))


def add_pictures(file: Any, name: str, count: int, size: Size) -> Any:
    """An empty dataset for `count` RGB pictures of a size, a checksummed chunk for each."""
    shape = (count, *pair(size), 3)
    options: dict[str, Any] = {"shape": shape, "dtype": np.uint8, "track_times": False}
    if count:
        options |= {"chunks": (1, *shape[1:]), "fletcher32": True}
    dataset = file.create_dataset(name, **options)
    for attribute, value in IMAGE.items():
        add_c_text(dataset, attribute, value)
    return dataset


def add_c_text(item: Any, name: str, value: str) -> None:
    """An attribute as the image specification wants it: ASCII of one length, ended by a NUL."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(value) + 1)
    item.attrs.create(name, value.encode("ascii"), dtype=h5py.Datatype(kind))


def visible_text(text: str) -> str:
    """A text that is valid UTF-8 without NUL, which any reader takes; other parts as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def encode_visible(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """The column of `encode_texts` for readers outside; there may be no texts at all."""
    if not texts:
        return np.zeros(0, dtype=h5py.string_dtype("utf-8", 1))
    return encode_texts([visible_text(text) for text in texts])


def start_digest(shape: Sequence[int], dtype: Any) -> "hashlib._Hash":
    """A SHA-256 that knows the shape and dtype of an array and waits for its bytes, row by row."""
    return hashlib.sha256(f"{tuple(shape)} {dtype.str} ".encode())


def digest_array(array: Array) -> str:
    """SHA-256 of an array's shape, dtype and bytes."""
    digest = start_digest(array.shape, array.dtype)
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def read_back(file: Any) -> dict[str, str]:
    """Read a whole file: each dataset's `digest_array`, and each attribute of a group as text.

    Returns:
        path of a dataset → 64 hexadecimal digits; `path@name` of an attribute → its value.

    Raises:
        OSError: a checksum does not fit.
    """
    found = {f"@{name}": str(value) for name, value in file.attrs.items()}
    datasets: list[str] = []

    def note(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            datasets.append(path)
        else:
            found.update({f"{path}@{name}": str(value) for name, value in item.attrs.items()})

    file.visititems(note)
    # opened one by one: each that is open keeps some 9 MB of its chunks
    return found | {path: digest_dataset(file[path]) for path in datasets}


def digest_dataset(dataset: Any) -> str:
    """SHA-256 of a dataset's shape, dtype and bytes, a few rows in memory at a time."""
    digest = start_digest(dataset.shape, dataset.dtype)
    if dataset.size:
        rows = max(1, READ_BYTES * len(dataset) // dataset.nbytes)
        for first in range(0, len(dataset), rows):
            digest.update(dataset[first : first + rows].tobytes())
    return digest.hexdigest()
