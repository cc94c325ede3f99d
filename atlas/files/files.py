"""Files that are either there whole or not at all, and names that are safe as folders and in URLs.

Everything this package writes goes through `atomic_write`. A crash, a full disk or a lost power
line leaves the old file or the new one, and perhaps a temporary that `is_temporary` recognises.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import CacheError

TEMPORARY = ".tmp-"
"""How the name of every temporary file and folder begins."""

NAME_BYTES = 190
"""Longest escaped name: 255 is the limit of file systems, and suffixes are put behind it."""

RESERVED = frozenset({"assets", "classes", "compare", "images", "img", "vendor"})
"""Folders of the site that no model and no layer may take."""

RESERVED_ENDINGS = (
    *(".css", ".csv", ".h5", ".html", ".jpg", ".js"),
    *(".json", ".md", ".png", ".svg", ".txt", ".xml"),
)
"""Endings of the files that lie beside the folders of models and layers."""

DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
"""Names that Windows gives to devices, with any ending."""

REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "no permission; choose another folder or change its owner",
    errno.EPERM: "no permission; choose another folder or change its owner",
    errno.ENOTDIR: "a file is in the place of a folder; move it away",
    errno.EISDIR: "a folder is in the place of a file; move it away",
    errno.EIO: "the disk reports an error; check it, or choose a folder on another one",
}


def cannot(action: str, path: Path, error: OSError) -> CacheError:
    """The one-line error for a failed system call: what failed, where, why, what to do.

    Args:
        action: a verb, e.g. "write".
        path: what it was done to.
        error: as the system raised it.
    """
    reason = REASONS.get(error.errno or 0, error.strerror or str(error))
    return CacheError(f"cannot {action} {shown(path)}: {reason}")


def shown(path: Path | str) -> str:
    """A path as it may be printed: control characters and bytes that are no text are escaped."""
    text = str(path)
    return text if text.isprintable() else ascii(text)[1:-1]


# --- writing -------------------------------------------------------------------------------------


def temporary_name() -> str:
    """A fresh name for a temporary; it does not contain the final name, which may be long."""
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"


def is_temporary(name: str) -> bool:
    """Whether a file or folder name is one that an interrupted run left behind."""
    return name.startswith(TEMPORARY)


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file so that it is there with all its bytes, or not at all.

    When this returns, the bytes and the name have reached the disk.

    Args:
        path: final path; its folder must exist.
        data: the whole content.

    Raises:
        CacheError: a system call failed; what was at `path` before is still there.
    """
    with replacing(path) as temporary:
        write_through(temporary, data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a temporary beside `path` that takes its place when the block ends well.

    Whoever writes the temporary also sees it onto the disk.

    Raises:
        CacheError: a system call failed; what was at `path` before is still there.
    """
    temporary = path.parent / temporary_name()
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot("write", path, error) from error


def write_through(path: Path, data: bytes) -> None:
    """Create a file that does not exist yet and see its bytes onto the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """See the names inside a folder onto the disk, where the file system offers that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing, and see their names onto the disk.

    Raises:
        CacheError: the folder cannot be made.
    """
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            sync_folder(path.parent)
    except OSError as error:
        raise cannot("make folder", folder, error) from error


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a file, and its folders, unless it already holds `data`.

    Returns:
        Whether anything was written.

    Raises:
        CacheError: see `atomic_write`.
    """
    if has_content(path, data):
        return False
    make_folder(path.parent)
    atomic_write(path, data)
    return True


def has_content(path: Path, data: bytes) -> bool:
    """Whether a regular file holds exactly `data`."""
    try:
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def require_free(folder: Path, needed: int) -> None:
    """Refuse to start work whose result would not fit on the disk.

    Args:
        folder: where the result is to go; it need not exist yet.
        needed: bytes.

    Raises:
        CacheError: fewer bytes are free; the message names both in MB.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise cannot("measure", there, error) from error
    if free < needed:
        raise CacheError(
            f"{shown(folder)} has {free // 1_000_000} MB free and this run needs about "
            f"{-(-needed // 1_000_000)} MB; free some space or choose another folder"
        )


# --- folders -------------------------------------------------------------------------------------

AT_FDCWD = -100
RENAME_EXCHANGE = 2
"""Constants of renameat2(2)."""


def exchange(new: Path, old: Path) -> None:
    """Put folder `new` in the place of folder `old`, which takes the place of `new`.

    On Linux no moment passes without a folder at `old`; elsewhere there is a gap of two renames.
    Where `old` does not exist, `new` is simply renamed.

    Raises:
        CacheError: the folders cannot be renamed; both are where they were.
    """
    try:
        if not os.path.lexists(old):
            os.rename(new, old)
        elif not exchange_at_once(new, old):
            exchange_by_renames(new, old)
        for parent in {old.parent, new.parent}:
            sync_folder(parent)
    except OSError as error:
        raise cannot("replace", old, error) from error


def exchange_at_once(new: Path, old: Path) -> bool:
    """Exchange two paths in one system call; False where there is no such call."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if not call(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(old), RENAME_EXCHANGE):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number))


def exchange_by_renames(new: Path, old: Path) -> None:
    """Exchange two paths by three renames; a failure puts the old folder back."""
    aside = old.parent / temporary_name()
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(aside, old)
        raise
    os.rename(aside, new)


# --- digests -------------------------------------------------------------------------------------


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits, read in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- names ---------------------------------------------------------------------------------------

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def escape_name(name: str) -> str:
    """Turn any text into one folder name that is safe on every system and in a URL as it is.

    Letters, digits, `.`, `_` and `-` stay; every other byte of the UTF-8 text becomes `~` and two
    capital hexadecimal digits. A leading `_` or `.`, a trailing `.`, and the first letter of a
    reserved name (a folder or file of the site, a device of Windows) are escaped too; the empty
    text is `~`. Distinct texts give distinct names and `unescape_name` goes back, except beyond
    190 bytes: those end in `~~` and 16 digits of their SHA-256.

    Returns:
        1 to 190 ASCII characters out of `A-Z a-z 0-9 . _ - ~`.
    """
    data = name.encode("utf-8", "surrogatepass")
    if not data:
        return "~"
    marked = {0} if data[0] in b"_." or is_reserved(name) else set()
    if data.endswith(b"."):
        marked.add(len(data) - 1)
    escaped = "".join(
        chr(byte) if byte in PLAIN and at not in marked else f"~{byte:02X}"
        for at, byte in enumerate(data)
    )
    return escaped if len(escaped) <= NAME_BYTES else shorten(escaped, data)


def is_reserved(name: str) -> bool:
    """Whether the site or Windows uses this name, in whatever case."""
    lower = name.lower()
    return lower in RESERVED or lower.endswith(RESERVED_ENDINGS) or lower.split(".")[0] in DEVICES


def shorten(escaped: str, data: bytes) -> str:
    """Cut an escaped name to its limit; a digest of the whole keeps it distinct."""
    digest = sha256_bytes(data)[:16]
    start = re.sub(r"~.?$", "", escaped[: NAME_BYTES - len(digest) - 2])
    return f"{start}~~{digest}"


def unescape_name(escaped: str) -> str:
    """The text that `escape_name` was given.

    Raises:
        ValueError: not an escaped name, or one that was shortened or numbered.
    """
    if escaped == "~":
        return ""
    if not re.fullmatch(r"(?:[A-Za-z0-9._-]|~[0-9A-F]{2})+", escaped):
        raise ValueError(f"{escaped!r} is not an escaped name that can be turned back")
    data = re.sub(
        rb"~([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), escaped.encode()
    )
    return data.decode("utf-8", "surrogatepass")


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """Folder names for texts that stand side by side, also where `A` and `a` are one folder.

    The first of several that differ in case only keeps its escaped name, later ones get `~c2`,
    `~c3` and so on (in small letters, so that they are no escapes).

    Returns:
        text → folder name, in the order given; no two are equal when case is ignored.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        folder = plain = escape_name(name)
        number = 2
        while folder.lower() in taken:
            folder = f"{plain}~c{number}"
            number += 1
        folders[name] = folder
        taken.add(folder.lower())
    return folders


# --- one run at a time ---------------------------------------------------------------------------


def this_process() -> str:
    """Who holds a lock: `process 4711 on host since 2026-01-31 12:00:00 UTC`."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"process {os.getpid()} on {socket.gethostname()} since {now}"


@contextmanager
def lock(path: Path, holder_text: str) -> Iterator[None]:
    """Hold a lock file for the length of a `with` block; the system frees it if we die.

    The file is never deleted: a second process could lock the deleted one and a third the new one.

    Args:
        path: the lock file; its folder must exist.
        holder_text: written into the file for others to read; usually `this_process()`.

    Raises:
        CacheError: another process holds it (the message names it), or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot("lock", path, error) from error
    try:
        take_lock(descriptor, path, holder_text)
        yield
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, path: Path, holder_text: str) -> None:
    """Lock an open file without waiting and write the holder into it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder_text.encode("utf-8", "replace"), 0)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 400, 0).decode("utf-8", "replace") or "another process"
        raise CacheError(
            f"{shown(path.parent)} is in use by {holder}; wait until it is done, stop it, or "
            "choose another folder"
        ) from error
    except OSError as error:
        raise cannot("lock", path, error) from error


def require_writable(folder: Path) -> None:
    """Make a folder if need be and prove that a file can be written in it.

    Raises:
        CacheError: it cannot; nothing is left behind.
    """
    make_folder(folder)
    probe = folder / temporary_name()
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise cannot("write in", folder, error) from error
