"""The image files of a folder: which there are, and their bytes, whatever is there.

`list_images` names them in an order that no file system decides; `read_file` reads plain files
only, so that a FIFO, a device or a link out of the folder stops nothing and lets nothing in.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from ..files.names import shown
from ..records.samples import SkippedFile
from .headers import looks_like_picture

MAX_BYTES = 1 << 28
"""Largest file that is read at all, 256 MB."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
        *(".tif", ".tiff", ".npy"),
        *(".avif", ".heic", ".heif", ".jp2", ".jxl", ".pbm", ".pgm", ".ppm", ".pnm"),  # refused
    )
)
"""Names that end so are taken for images; of other files the first bytes decide."""

START_BYTES = 64
"""Enough of a file to tell a picture from another file."""


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


def nothing_usable(where: str, skipped: Sequence[SkippedFile], others: int = 0) -> InputError:
    """The error for a set without a single usable image; quotes the first reason.

    Args:
        where: the set, in words.
        skipped: files that were taken for images.
        others: number of files that were not, neither by name nor by content.
    """
    first = "".join(
        f"; the first of {len(skipped)}: {shown(file.name)} {file.reason}" for file in skipped[:1]
    )
    if others:
        first += f"; {others} other file(s) are no picture by suffix or content"
    return InputError(
        f"{where} holds no readable image{first}; give --images another folder, or leave it out "
        "for the embedded photographs"
    )


def list_images(
    root: Path, skipped: list[SkippedFile], follow_links: bool = False
) -> tuple[list[Path], int]:
    """Every path below `root` that is an image by its name or its content.

    A folder that can be reached in several ways is searched once, so that links that go round end.

    Args:
        root: the folder.
        skipped: takes the folders that stay closed.
        follow_links: search the folders that links lead to.

    Returns:
        The paths, and how many other files there are.
    """

    def skip(path: str, reason: str) -> None:
        name = shown_name(Path(path).relative_to(root))
        skipped.append(SkippedFile(name=name, reason=reason))

    def closed(error: OSError) -> None:
        skip(os.fspath(error.filename), f"cannot be opened: {error.strerror}")

    found: list[Path] = []
    others, seen = 0, {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, onerror=closed, followlinks=follow_links):
        if follow_links:
            for path in prune(folder, folders, seen):
                skip(path, "is searched already: a link leads to the same folder")
        else:  # each link is skipped with a reason when it is read
            paths = [Path(folder, name) for name in folders]
            found += [path for path in paths if path.is_symlink()]
        images = [name for name in names if looks_like_image(folder, name)]
        found += [Path(folder, name) for name in images]
        others += len(names) - len(images)
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(root).as_posix())), others


def prune(folder: str, folders: list[str], seen: set[str]) -> list[str]:
    """Leave only the folders that were not seen yet, plain ones before links; return the others."""
    places = {name: os.path.join(folder, name) for name in folders}
    again: list[str] = []
    for name in sorted(folders, key=lambda name: (os.path.islink(places[name]), os.fsencode(name))):
        target = os.path.realpath(places[name])
        if target in seen:
            folders.remove(name)
            again.append(places[name])
        seen.add(target)
    folders.sort(key=os.fsencode)
    return again


def looks_like_image(folder: str, name: str) -> bool:
    """Return whether a file is an image by its suffix or, unless hidden, by its first bytes."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in SUFFIXES or name.startswith("."):
        return suffix in SUFFIXES
    return looks_like_picture(first_bytes(os.path.join(folder, name)), named=bool(suffix))


def first_bytes(path: str) -> bytes:
    """The beginning of a plain file; nothing where it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            return file.read(START_BYTES)
    except OSError:
        return b""


def shown_name(path: Path) -> str:
    """A relative path as text; bytes that are no UTF-8 become `\\xff`."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def read_file(path: Path, root: Path) -> bytes:
    """All bytes of a plain file that is inside `root`.

    Raises:
        InputError: it is something else, cannot be read, or is too large; the message is the
            reason alone.
    """
    try:
        target = path.resolve(strict=True)
        if path.is_symlink() and not target.is_relative_to(root.resolve()):
            raise InputError("is a link out of the folder; --follow-links lets it in")
        # O_NONBLOCK: opening a FIFO must not wait for a writer
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return read_plain(file)
    except OSError as error:
        raise InputError(why_unreadable(path, error)) from error
    except RuntimeError as error:  # how Python 3.11 and 3.12 report links that go round
        raise InputError("is a link that goes round in a circle") from error


def read_plain(file: BinaryIO) -> bytes:
    """All bytes of an open file, if it is a plain file of reasonable size."""
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode):
        raise InputError("is not a plain file (a FIFO, a device or the like)")
    if state.st_size > MAX_BYTES:
        raise InputError(f"has {state.st_size >> 20} MB, the limit is {MAX_BYTES >> 20} MB")
    return file.read(MAX_BYTES)


def why_unreadable(path: Path, error: OSError) -> str:
    """The reason in words for a file that could not be opened."""
    if error.errno == errno.ENOENT:
        return "is a link that leads nowhere" if path.is_symlink() else "has vanished"
    if error.errno == errno.EISDIR:
        return "is a link to a folder; --follow-links searches it"
    if error.errno == errno.ELOOP:
        return "is a link that goes round in a circle"
    if error.errno == errno.ENXIO:
        return "is not a plain file (a socket or the like)"
    return f"cannot be read: {error.strerror}"
