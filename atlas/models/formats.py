"""Recognising the format of a weights file by its content. Start at `recognise`.

Two forms are read: safetensors, and what torch.save writes. Whatever else people give instead is
called by its name, with what to do; "cut short" is said only of a form that was recognised.
"""

import json
import re
import zipfile
from pathlib import Path

from ..errors import InputError
from ..files.names import shown

TORCH, SAFETENSORS = "torch", "safetensors"
"""The forms that are read."""

CONVERT = (
    "give the weights as PyTorch has them: torch.save(network.state_dict(), file) where the "
    "network runs"
)
UNPACK = "unpack it and give the file in it"
FETCH = "download the file itself"
JOIN = "load its parts, join their tensors in one dict and torch.save that"

TORCH_MAGIC = rb"\x80.(?:\x95.{8})?\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\."
"""First bytes of a file that torch.save wrote before version 1.6."""

BEGINNINGS = (
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch the file with `git lfs pull`"),
    (rb"(?i)\W*<(?:!doctype html|html|head)", "an HTML page", FETCH),
    (rb"(?:\xef\xbb\xbf)?\s*<", "an XML text", CONVERT),
    (rb"%PDF", "a PDF document", FETCH),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP", "a picture", "pictures are given with --images"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", CONVERT),
    (rb"\x93NUMPY", "an array of NumPy (.npy)", CONVERT),
    (rb"MATLAB ", "a MATLAB file", CONVERT),
    (rb"GGUF", "a GGUF file", CONVERT),
    (rb".{4}TFL3", "a TensorFlow Lite model", CONVERT),
    (rb".{4}ORTM", "an ONNX Runtime model", CONVERT),
    (rb".{4}ET\d\d", "an ExecuTorch program", CONVERT),
    (rb"[fp]trt", "a TensorRT engine", CONVERT),
    (rb"\x7fELF|MZ", "a program for one kind of machine", CONVERT),
    (rb"\x1f\x8b", "a gzip file", UNPACK),
    (rb"BZh\d", "a bzip2 file", UNPACK),
    (rb"\xfd7zXZ\0", "an xz file", UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard file", UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (rb".{257}ustar", "a tar archive", UNPACK),
    (rb"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", "a file of Lua Torch (.t7)", CONVERT),
    (rb"\x12\x01\0{14}", "an MXNet file", CONVERT),
    (rb"\0{4}\x02\0{3}", "a Darknet file", CONVERT),
    (rb"\0{64}", "zeros, as a download leaves that was broken off", "download the file again"),
    (rb"\x80[\x01-\x05]", "a plain Python pickle, which could run code", CONVERT),
    # Protobuf: the number and type of the first fields, and whether the second is a text.
    (
        rb"\x08[\x01-\x1f]\x12[\x80-\xff]*[\0-\x7f]\x0a",
        "a TensorFlow SavedModel or a Core ML model",
        CONVERT,
    ),
    (rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]", "an ONNX model", CONVERT),
    (rb"\x0a[\x80-\xff]*[\0-\x7f]\x0a[\x01-\x7f][\w/]", "a TensorFlow graph", CONVERT),
    (rb"\x0a[\x01-\x7f][\w./-]{3}", "a Caffe model", CONVERT),
    (rb"(?:[\x81-\x8f]|\xde..|\xdf.{4})[\xa1-\xbf]\w", "a msgpack file, as Flax writes", CONVERT),
)
"""Pattern of the first bytes, name, what to do; the first that matches counts."""

TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""Last bytes of a LevelDB table, the index of a TensorFlow checkpoint."""

MEMBERS = (
    (r"^[^/]+/constants\.pkl$", "a TorchScript program", CONVERT),
    (
        r"(^|/)(archive_format|serialized_exported_program\.json)$",
        "a program of torch.export (.pt2)",
        "give its weights: torch.save(torch.export.load(file).state_dict, 'weights.pth')",
    ),
    (r"(^|/)\.data/extern_modules$", "a program of torch.package", CONVERT),
    (r"^[^/]*/?data\.pkl$", TORCH, ""),
    (r"\.npy$", "arrays of NumPy (.npz)", CONVERT),
    (r"^model\.weights\.h5$", "a Keras model", CONVERT),
)
"""Pattern of the name of one file in a ZIP archive, name, what to do."""


def recognise(path: Path) -> str:
    """The form of a file, `TORCH` or `SAFETENSORS`.

    Raises:
        InputError: it cannot be opened, is in another form, or in none that is known.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
            file.seek(-min(8, path.stat().st_size), 2)
            tail = file.read(8)
        return known_form(path, head, tail)
    except OSError as error:
        raise InputError(f"weights {path} cannot be read: {error.strerror}") from error


def known_form(path: Path, head: bytes, tail: bytes) -> str:
    """The form of a file with these first and last bytes."""
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return zip_form(path)
    if re.match(TORCH_MAGIC, head, re.DOTALL):
        return TORCH
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 27:
        return SAFETENSORS
    if re.match(rb"\s*[{\[]", head):
        raise other(path, *json_form(path))
    for pattern, name, advice in BEGINNINGS:
        if re.match(pattern, head, re.DOTALL):
            raise other(path, name, advice)
    if tail == TABLE_END or ".data-0" in path.suffix:
        raise other(path, "a part of a TensorFlow checkpoint", CONVERT)
    if is_text(head):
        raise other(path, f"a text that begins with {head[:40].decode('utf-8', 'ignore')!r}", FETCH)
    raise other(path, f"in no form that is known (first bytes {head[:8].hex(' ')})", CONVERT)


def zip_form(path: Path) -> str:
    """The form of a ZIP archive, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise damaged(path, "a ZIP file, as torch.save writes", error) from error
    for pattern, name, advice in MEMBERS:
        if any(re.search(pattern, member) for member in names):
            if name == TORCH:
                return TORCH
            raise other(path, name, advice)
    if not names:
        raise other(path, "an empty ZIP archive", FETCH)
    raise other(path, f"a ZIP archive of {listed(names)}", UNPACK)


def json_form(path: Path) -> tuple[str, str]:
    """Name of a JSON text and what to do, also of the index of a checkpoint in several files."""
    try:
        content = json.loads(path.read_bytes())
        parts = sorted({str(part) for part in content["weight_map"].values()})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "a JSON text", FETCH
    advice = JOIN if len(parts) > 1 else "give that file"
    return f"the index of a checkpoint in {len(parts)} files ({listed(parts)})", advice


def is_text(head: bytes) -> bool:
    """Return whether bytes are readable words."""
    words = head.decode("utf-8", "ignore")
    return len(words) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in words)


def listed(names: list[str]) -> str:
    """At most three names."""
    return ", ".join(map(shown, names[:3])) + (", …" if len(names) > 3 else "")


def other(path: Path, name: str, advice: str) -> InputError:
    """The error of a file in a form that is not read."""
    return InputError(f"weights {path} are {name}, no weights file that can be read here; {advice}")


def damaged(path: Path, name: str, error: Exception) -> InputError:
    """The error of a file in a form that is read, and that cannot be read."""
    reason = str(error).split(".")[0].splitlines()
    detail = f"{type(error).__name__}: {reason[0]}" if reason else type(error).__name__
    return InputError(
        f"weights {path} ({path.stat().st_size:,} bytes) are {name}, cut short or damaged "
        f"({detail}); copy or download the file again"
    )
