"""The image files of a folder: which there are, and their bytes, whatever lies there.

`list_images` names them in an order that no file system decides; `read_file` reads plain files
only, so that a FIFO, a device or a link out of the folder stops nothing and lets nothing in.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from .errors import InputError
from .files import shown
from .records import SkippedFile

MAX_BYTES = 1 << 28
"""Largest file that is read at all, 256 MB."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
        *(".tif", ".tiff"),
        *(".avif", ".heic", ".heif", ".jp2", ".jxl", ".pbm", ".pgm", ".ppm", ".pnm"),  # refused
    )
)
"""Names that end so are taken for images; other files of the folder are none of our business."""


def check_folder(root: Path) -> None:
    """Raise an InputError that says what to do unless `root` is a folder."""
    ways = "give --images a folder of pictures, or leave it out for the embedded photographs"
    try:
        mode = os.stat(root).st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"no folder of images at {shown(root)} ({reason}); {ways}") from error
    if not stat.S_ISDIR(mode):
        raise InputError(f"{shown(root)} is a file, not a folder of images; {ways}")


def nothing_usable(where: str, skipped: Sequence[SkippedFile]) -> InputError:
    """The error for a set without a single usable image; quotes the first reason."""
    first = "".join(
        f"; the first of {len(skipped)}: {shown(file.name)} {file.reason}" for file in skipped[:1]
    )
    return InputError(
        f"{where} holds no readable image{first}; give --images another folder, or leave it out "
        "for the embedded photographs"
    )


def list_images(root: Path, skipped: list[SkippedFile]) -> list[Path]:
    """Every path below `root` whose name looks like an image; adds folders that stay closed."""

    def closed(error: OSError) -> None:
        name = shown_name(Path(os.fspath(error.filename)).relative_to(root))
        skipped.append(SkippedFile(name=name, reason=f"cannot be opened: {error.strerror}"))

    found: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=closed):
        names += [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [Path(folder, name) for name in names if looks_like_image(folder, name)]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(root).as_posix()))


def looks_like_image(folder: str, name: str) -> bool:
    """Whether a name ends like an image; a link to a folder counts, to be skipped with a reason."""
    if os.path.splitext(name)[1].lower() in SUFFIXES:
        return True
    path = os.path.join(folder, name)
    return os.path.islink(path) and os.path.isdir(path)


def shown_name(path: Path) -> str:
    """A relative path as text; bytes that are no UTF-8 become `\\xff`."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def read_file(path: Path, root: Path) -> bytes:
    """All bytes of a plain file that lies inside `root`.

    Raises:
        InputError: it is something else, cannot be read, or is too large; the message is the
            reason alone.
    """
    try:
        target = path.resolve(strict=True)
        if path.is_symlink() and not target.is_relative_to(root.resolve()):
            raise InputError("is a link out of the folder")
        # O_NONBLOCK: opening a FIFO must not wait for a writer
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return read_plain(file.fileno())
    except OSError as error:
        raise InputError(why_unreadable(path, error)) from error
    except RuntimeError as error:  # how Python 3.11 and 3.12 report links that go round
        raise InputError("is a link that goes round in a circle") from error


def read_plain(descriptor: int) -> bytes:
    """All bytes of an open file, if it is a plain file of reasonable size."""
    state = os.fstat(descriptor)
    if stat.S_ISDIR(state.st_mode):
        raise InputError("is a folder or a link to one")
    if not stat.S_ISREG(state.st_mode):
        raise InputError("is not a plain file (a FIFO, a device or the like)")
    if state.st_size > MAX_BYTES:
        raise InputError(f"has {state.st_size >> 20} MB, the limit is {MAX_BYTES >> 20} MB")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(MAX_BYTES)


def why_unreadable(path: Path, error: OSError) -> str:
    """The reason in words for a file that could not be opened."""
    if error.errno == errno.ENOENT:
        return "is a link that leads nowhere" if path.is_symlink() else "has vanished"
    if error.errno == errno.ELOOP:
        return "is a link that goes round in a circle"
    if error.errno == errno.ENXIO:
        return "is not a plain file (a socket or the like)"
    return f"cannot be read: {error.strerror}"
