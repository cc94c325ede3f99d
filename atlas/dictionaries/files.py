"""A dictionary from a file: `read_code`. Nothing in a file is run."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import INSTALL, InputError, one_line
from ..files.names import shown
from ..records.dictionary import Code

NAMES = ("encoder", "decoder", "bias")
"""Arrays that a file has to hold."""

FURTHER = {"threshold": 0.0, "offset": 0.0}
"""Those that it may hold, and the numbers that stand for them otherwise."""


def read_code(path: Path, parent: str, channels: int) -> Code:
    """Read a dictionary of a layer.

    Args:
        path: an .npz or .safetensors file.
        parent, channels: the layer that it reads, and how many channels that has.

    Raises:
        InputError: the file is not there, holds something else, or of another shape.
    """
    arrays = read_arrays(path)
    missing = [name for name in NAMES if name not in arrays]
    if missing:
        raise InputError(
            f"dictionary {shown(path)} lacks {' and '.join(missing)}; it holds "
            f"{', '.join(map(shown, sorted(arrays)[:8])) or 'nothing'}; expected are encoder and "
            f"decoder (K, {channels}) and bias (K,), and perhaps threshold (K,) and offset "
            f"({channels},)"
        )
    directions = len(arrays["encoder"]) if arrays["encoder"].ndim else 0
    shapes = {
        "encoder": (directions, channels),
        "decoder": (directions, channels),
        "bias": (directions,),
        "threshold": (directions,),
        "offset": (channels,),
    }
    for name, value in FURTHER.items():
        arrays.setdefault(name, np.full(shapes[name], value, np.float32))
    return Code(
        **{name: checked(path, parent, name, arrays[name], shapes[name]) for name in shapes}
    )


def checked(
    path: Path, parent: str, name: str, array: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """An array of numbers of a shape, in float32.

    Raises:
        InputError: it is of another shape, or not of finite numbers.
    """
    if array.shape != shape or not shape[0]:
        turned = "; turn it with .T" if array.shape == shape[::-1] and len(shape) == 2 else ""
        raise InputError(
            f"dictionary {shown(path)}: {name} has shape {array.shape}, expected {shape} for "
            f"{parent}: a row a direction, a column a channel{turned}"
        )
    plain = np.ascontiguousarray(array, np.float32) if array.dtype.kind in "fiu" else None
    allowed = None if plain is None else np.isfinite(plain)
    if plain is not None and name == "threshold":
        allowed = np.isfinite(plain) | np.isneginf(plain)
    if plain is None or allowed is None or not allowed.all():
        raise InputError(f"dictionary {shown(path)}: {name} holds something else than numbers")
    return plain


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by their names.

    Raises:
        InputError: it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"dictionary {shown(path)} is no file; check --dictionary")
    try:
        if path.suffix.lower() == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        return dict(read_safetensors(path))
    except InputError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError, TypeError) as error:
        raise InputError(f"dictionary {shown(path)} cannot be read: {one_line(error)}") from error


def read_safetensors(path: Path) -> Mapping[str, NDArray[Any]]:
    """The arrays of a safetensors file."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise InputError(
            f"reading {shown(path)} needs the package safetensors: {INSTALL}"
        ) from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"dictionary {shown(path)} cannot be read: {one_line(error)}") from error
