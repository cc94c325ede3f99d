"""The preloaded library `shim.c` from Python: build it, arm it, run a program under it.

Faults are real: the system call itself fails, writes half of its bytes, or is the last thing that
the process does.
"""

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools import need

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("shim.c")

CREATE, WRITE, SYNC, RENAME, OTHER, REMOVE = 1, 2, 4, 8, 16, 32
EVERY = 63
"""Kinds of calls, to be added: opening for writing, writing, fsync, rename, mkdir and the like,
deleting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Fault at the chosen call.

    Attributes:
        name: for people.
        action: as `shim.c` numbers them.
        error: errno, where the call fails.
        kills: whether the process ends there.
    """

    name: str
    action: int
    error: int = 0
    kills: bool = False


KILL = Fault(name="SIGKILL before the call", action=1, kills=True)
TEAR = Fault(name="half a write, then SIGKILL", action=2, kills=True)
NO_ROOM = Fault(name="disk full from here on", action=4, error=errno.ENOSPC)
NO_ROOM_ONCE = Fault(name="disk full once", action=3, error=errno.ENOSPC)
BROKEN = Fault(name="I/O error from here on", action=4, error=errno.EIO)
BROKEN_ONCE = Fault(name="I/O error once", action=3, error=errno.EIO)
SHORT = Fault(name="half a write, reported as such", action=5)
FAULTS = (KILL, TEAR, NO_ROOM, NO_ROOM_ONCE, BROKEN, BROKEN_ONCE, SHORT)

READ_ONLY = Fault(name="read-only file system", action=4, error=errno.EROFS)


def build_shim(folder: Path) -> Path:
    """Compile the library into a folder."""
    library = folder / "shim.so"
    compiler = need("a C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def run(
    library: Path | None, words: Sequence[object], extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python program in the repository's root, under the library if one is given."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(extra or {})}
    if library:
        environment["LD_PRELOAD"] = str(library)
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


# --- inside a program that runs under the library -------------------------------------------------


def arm(at: int, fault: Fault, kinds: int = EVERY) -> None:
    """Count calls from here on and act at number `at`, from 0."""
    call = ctypes.CDLL(None).shim_arm
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    call(at, fault.action, fault.error, kinds)


def disarm() -> int:
    """Stop; returns the number of calls since `arm`."""
    return int(ctypes.CDLL(None).shim_count())


DONE, REFUSED, UNTOUCHED, WRONG = 0, 3, 10, 1
"""Exit codes of `in_child`: done although the fault struck, an error for people, done without
having met the fault, anything else."""


def in_child(work: Callable[[], object], at: int, fault: Fault, kinds: int = EVERY) -> int:
    """Do some work in a forked process with a fault at one call.

    Returns:
        One of the codes above, or −9 where the fault killed the process.
    """
    child = os.fork()
    if not child:
        os._exit(attempt(work, at, fault, kinds))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def attempt(work: Callable[[], object], at: int, fault: Fault, kinds: int) -> int:
    """The life of such a process; returns its exit code."""
    from atlas.errors import AtlasError

    signal.alarm(60)  # a process that hangs is a failure too
    arm(at, fault, kinds)
    try:
        work()
    except AtlasError as error:
        return REFUSED if "\n" not in str(error) and str(error) else WRONG
    except BaseException as error:
        print(f"call {at}, {fault.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return WRONG
    return DONE if disarm() > at else UNTOUCHED


def is_acceptable(code: int, fault: Fault) -> bool:
    """Return whether a process ended as its fault allows: killed, or with an error for people."""
    if fault.kills:
        return code == -signal.SIGKILL
    return code == DONE if fault is SHORT else code in (DONE, REFUSED)
