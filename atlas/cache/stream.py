"""File objects that keep failures and signals out of the HDF5 library while it writes a file."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast


class Stream(io.FileIO):
    """A new file that takes whatever it is given and keeps the first error for `check`.

    A full disk inside the HDF5 library can end the process (16 of 20 points of failure), a file
    built in memory is as large as all pictures, and free space seen before says nothing of quotas
    or of other programs. So the library writes here and never learns of a failure: it goes on to
    its clean end, while `check` stops us after at most one more picture.

    Attributes:
        failure: what went wrong first, or None.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+b")
        self.failure: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or none after a failure, and say that it is written."""
        rest = memoryview(data).cast("B")
        try:
            while rest and self.failure is None:
                rest = rest[os.write(self.fileno(), rest) :]
        except BaseException as error:  # nothing at all may leave through the library
            self.failure = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        """Set the size, unless something failed before."""
        try:
            return super().truncate(size) if self.failure is None else 0
        except OSError as error:
            self.failure = error
            return 0

    def check(self) -> None:
        """Raise what went wrong, if anything."""
        if self.failure is not None:
            raise self.failure


Handler = Callable[[int, FrameType | None], object]


@contextmanager
def held_signals() -> Iterator[Callable[[], None]]:
    """Ctrl-C and SIGTERM, only noted while a `with` block runs, and acted upon when it is safe.

    Their handlers raise between any two steps of Python code, so also on the way into a `write`
    that the HDF5 library has called, where the exception is lost with the bytes and the process may
    crash (1 of 10 interruptions did both; held back, none of 32).

    Yields:
        what to call when it is safe: does what each signal that has come was to do; usually that
        raises. It is also done at the end of the block.
    """
    met: list[int] = []
    before: dict[int, Handler] = {}
    meets_signals = threading.current_thread() is threading.main_thread()
    for number in (signal.SIGINT, signal.SIGTERM) if meets_signals else ():
        handler = signal.getsignal(number)
        if callable(handler):  # neither ignored nor left to the system
            before[number] = cast(Handler, handler)
            signal.signal(number, lambda number, frame: met.append(number))

    def act() -> None:
        while met:
            first = met.pop(0)
            before[first](first, None)

    try:
        yield act
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        act()
