"""Processes that read, decode and cut files, because a file can still hang or kill a decoder.

Start at `perform_all`. A process that is lost is replaced, and the file it had is tried in another
one before it is blamed.
"""

import contextlib
import hashlib
import importlib
import json
import os
import queue
import resource
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..errors import InputError
from ..records.samples import CentralCrop
from ..shapes import Picture, Shape
from .bands import COLOUR, Bands, holds_bands, read_bands
from .decode import Pixels, decode
from .folder import read_file
from .squares import Crop, Cut, at_full_size, cut, spare_factor

Decoder = Callable[[bytes, int], Pixels]
"""Turns the bytes of a file into (H, W, 3) RGB, given the most pixels that are allowed."""

LOOKAHEAD = 32
"""Files decoded ahead of the consumer."""

TRIES = 2
"""A worker may die for reasons of its own, so a file is blamed at the second time only."""

Result = list[Cut] | str
"""The cuts of a file, or the reason why there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One file and all that is wanted of it."""

    path: str
    root: str
    sha256: str
    crops: tuple[Crop, ...]
    centre: CentralCrop
    size: Shape
    square_size: Shape
    max_pixels: int
    bands: Bands = COLOUR


def perform(task: Task, decoder: Decoder) -> list[Cut]:
    """Read, decode and cut one file.

    Raises:
        InputError: the file is no good; the message is the reason alone.
    """
    data = read_file(Path(task.path), Path(task.root))
    if hashlib.sha256(data).hexdigest() != task.sha256:
        raise InputError("changed after the run had begun")
    pixels, factor = pixels_of(task, data, decoder)
    rules = (task.centre, task.size, task.square_size, task.bands.shown)
    pieces = [cut(pixels, crop, *rules) for crop in task.crops]
    return [at_full_size(piece, factor) for piece in pieces]


def pixels_of(task: Task, data: bytes, decoder: Decoder) -> tuple[Picture, int]:
    """The pixels of a file, and by how much they are reduced."""
    if holds_bands(data, task.bands):
        return read_bands(data, task.bands, task.max_pixels), 1
    if decoder is not decode:
        return decoder(data, task.max_pixels), 1
    factor = spare_factor(data, task.crops, task.centre, max(task.size, task.square_size))
    return decode(data, task.max_pixels, factor), factor


def perform_all(
    tasks: Sequence[Task], workers: int, decoder: Decoder, time_limit: float
) -> Generator[Result, None, None]:
    """Perform tasks in order, here or ahead of time in processes."""
    if not workers:
        yield from (attempt(task, decoder) for task in tasks)
        return
    crew: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    members = [Worker(decoder, time_limit) for _ in range(workers)]
    for member in members:
        crew.put(member)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        pending: deque[Future[Result]] = deque()
        for task in tasks:
            pending.append(executor.submit(perform_there, task, crew))
            if len(pending) > LOOKAHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for member in members:
            member.stop()
        executor.shutdown(wait=True)


def attempt(task: Task, decoder: Decoder) -> Result:
    """Perform a task in this process; whatever is wrong with one file is a reason to skip it."""
    try:
        return perform(task, decoder)
    except InputError as error:
        return str(error)
    except Exception as error:  # a decoder meets inputs that nobody thought of
        return f"cannot be decoded ({type(error).__name__}: {error})"


def perform_there(task: Task, crew: "queue.SimpleQueue[Worker]") -> Result:
    """Perform a task in whichever worker is free; try again if the worker is lost."""
    worker = crew.get()
    try:
        reason = ""
        for _ in range(TRIES):
            try:
                return worker.perform(task)
            except WorkerLost as error:
                reason = f"{error}, {TRIES} times"
        return reason
    finally:
        crew.put(worker)


# --- worker processes ----------------------------------------------------------------------------

START_LIMIT = 60.0
"""Seconds that a worker may take to start on a busy machine."""

PIXEL_BYTES = 24
"""Memory for each pixel of a picture: 16 bits, four channels, the steps of compositing; a third
of it is enough for each other channel."""

SPARE_BYTES = 1 << 28
"""Memory for everything else: the file, the squares, what libraries keep."""

START = (
    "import sys; sys.path[:] = {path!r}; from atlas.images.sandbox import serve; serve{arguments!r}"
)
"""The program of a worker. Not `multiprocessing`'s own way to start one, because that imports the
main module again, and with it torch: three seconds and 300 MB for nothing."""


class WorkerLost(Exception):
    """A worker died or had to be killed; the message says which."""


class Worker:
    """A process that decodes one file at a time, started at first use and again when it is lost."""

    def __init__(self, decoder: Decoder, time_limit: float) -> None:
        self._decoder = f"{decoder.__module__}:{decoder.__qualname__}"
        self._time_limit = time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._stopped = False

    def perform(self, task: Task) -> Result:
        """Have one file read, decoded and cut.

        Raises:
            WorkerLost: the process died or took too long; the next call starts another.
        """
        try:
            return self._ask(task)
        except TimeoutError as error:
            self._discard()
            raise WorkerLost(f"took more than {self._time_limit:g} s to decode") from error
        except (OSError, EOFError) as error:
            raise WorkerLost(f"ended the process that decoded it ({self._discard()})") from error

    def _ask(self, task: Task) -> Result:
        pipe = self._pipe or self._start()
        pipe.send(task)
        if not pipe.poll(self._time_limit):
            raise TimeoutError
        return receive_result(pipe)

    def _start(self) -> Connection:
        if self._stopped:
            raise OSError("stopped")
        here, there = Pipe()
        arguments = (there.fileno(), self._decoder, self._time_limit)
        path = list(map(str, sys.path))  # in notebooks people put a Path there
        program = START.format(path=path, arguments=arguments)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                process_group=0,  # Ctrl-C in a terminal is for the main process to act on
            )
        self._pipe = here
        if self._stopped:  # by another thread, which may have seen no process yet
            self.stop()
        if not here.poll(START_LIMIT):
            raise OSError("a worker process does not start")
        here.recv_bytes()
        return here

    def stop(self) -> None:
        """End the process, now and for good; another thread may be waiting for it."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _discard(self) -> str:
        """Forget the process and say how it ended."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return "it could not be started"
        process.kill()
        code = process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def serve(pipe_descriptor: int, decoder: str, time_limit: float) -> None:
    """Be a worker: perform tasks until the other end of the pipe is closed.

    Args:
        pipe_descriptor: of an inherited pipe.
        decoder: `module:function`.
        time_limit: seconds per task; at twice that the worker ends itself, should nobody else.
    """
    cv2.setNumThreads(1)
    Image.MAX_IMAGE_PIXELS = None  # ours is checked before
    module, _, name = decoder.partition(":")
    function: Decoder = getattr(importlib.import_module(module), name)
    silence_libraries()
    with contextlib.suppress(EOFError, OSError), Connection(pipe_descriptor) as pipe:
        pipe.send_bytes(b"ready")
        while True:
            task: Task = pipe.recv()
            limit_memory(task.max_pixels * max(1, task.bands.channels // 3))
            signal.setitimer(signal.ITIMER_REAL, 2 * time_limit)
            result = attempt(task, function)
            signal.setitimer(signal.ITIMER_REAL, 0)
            send_result(pipe, result)


def limit_memory(max_pixels: int) -> None:
    """Let this process grow by what the largest allowed picture takes, and no further.

    A header may promise little and the data behind it ask for much; the allocation then fails and
    is a reason to skip the file.
    """
    with contextlib.suppress(OSError, ValueError):  # no /proc, or a lower limit that is set already
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + SPARE_BYTES + PIXEL_BYTES * max_pixels
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def silence_libraries() -> None:
    """Drop what the C libraries print about broken files; the reason is reported in our words."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)


def send_result(pipe: Connection, result: Result) -> None:
    """Send a reason, or box, shape and type of each cut, and then its pixels and square.

    Tasks are pickled, results never: a file may have got hold of the process that sends them.
    """
    if isinstance(result, str):
        pipe.send_bytes(json.dumps(result).encode())
        return
    heads = [[piece.box, piece.pixels.shape, piece.pixels.dtype.str] for piece in result]
    pipe.send_bytes(json.dumps(heads).encode())
    for piece in result:
        pipe.send_bytes(piece.pixels.tobytes())
        pipe.send_bytes(piece.square)


def receive_result(pipe: Connection) -> Result:
    """Return the result that `send_result` sent."""
    heads = json.loads(pipe.recv_bytes())
    if isinstance(heads, str):
        return heads
    pieces = []
    for (y0, x0, y1, x1), shape, kind in heads:
        flat = np.frombuffer(pipe.recv_bytes(), kind).copy()  # writable, as torch wants it
        square = pipe.recv_bytes()
        pieces.append(Cut(box=(y0, x0, y1, x1), pixels=flat.reshape(shape), square=square))
    return pieces
