"""One run at a time in a folder: `lock` refuses a second one, `turn` lets it wait."""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import CacheError
from .files import cannot
from .names import shown

LOOKS, WAIT = 50, 0.02
"""How often we look for the name of who holds a lock, and the seconds between two looks."""


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file for the length of a `with` block; the system frees it if we die.

    The file is never deleted: a second process could lock the deleted one and a third the new one.

    Args:
        path: the lock file; its folder must exist. Who holds it is written into it.

    Raises:
        CacheError: another process holds it (the message names it), or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot("lock", path, error) from error
    try:
        take_lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, path: Path) -> None:
    """Lock an open file without waiting and write into it who holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {now}"
        os.pwrite(descriptor, holder.encode("utf-8", "replace"), 0)
    except BlockingIOError as error:
        raise CacheError(
            f"{shown(path.parent)} is in use by {find_holder(descriptor)}; wait until it is done, "
            "stop it, or choose another folder"
        ) from error
    except OSError as error:
        raise cannot("lock", path, error) from error


def find_holder(descriptor: int) -> str:
    """Who holds a lock file; one that has only just got it has yet to write its name."""
    for _ in range(LOOKS):
        if name := os.pread(descriptor, 400, 0).decode("utf-8", "replace"):
            return name
        time.sleep(WAIT)
    return "another process"


@contextmanager
def turn(folder: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Write in a folder while no other process does that takes its turn too.

    The folder itself is locked, so that nothing is left in it. Where a file system cannot lock
    folders, nobody waits.

    Args:
        folder: must exist.
        wait: called before it is waited for another process.

    Raises:
        CacheError: the folder cannot be opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise cannot("open", folder, error) from error
    try:
        with suppress(OSError):
            take_turn(descriptor, wait)
        yield
    finally:
        os.close(descriptor)


def take_turn(descriptor: int, wait: Callable[[], None]) -> None:
    """Lock an open folder, and call `wait` before waiting."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        wait()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
