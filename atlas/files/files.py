"""Atomic writes: a file or a folder is there whole or not at all.

Everything this package writes goes through `atomic_write`. A crash, a full disk or a lost power
line leaves the old file or the new one, and perhaps a temporary that `is_temporary` recognises.
"""

import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import CacheError
from .names import shown

TEMPORARY = ".tmp-"
"""The beginning of the name of every temporary file and folder."""

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


# --- writing -------------------------------------------------------------------------------------


def temporary_name() -> str:
    """A fresh name for a temporary; it does not contain the final name, which may be long."""
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"


def is_temporary(name: str) -> bool:
    """Return whether a file or folder name is one that an interrupted run left behind."""
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


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or a CacheError that says why not."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot("read", path, error) from error


def has_content(path: Path, data: bytes) -> bool:
    """Return whether a regular file, and no link to one, holds exactly `data`."""
    try:
        found = path.lstat()
        same = stat.S_ISREG(found.st_mode) and found.st_size == len(data)
        return same and path.read_bytes() == data
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
