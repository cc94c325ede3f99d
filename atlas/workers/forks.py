"""Processes of this machine that do tasks side by side: `spread`, `forked`.

Each is a fork, so it has the network and whatever else an action needs without a copy, and computes
with threads of its own. Threads that share every single operation wait for one another, long where
operations are small or the machine is busy (docs/rendering.md); and where each process has a core,
no result depends on how many there are.
Linux only: elsewhere a fork may not use what its parent has opened.
"""

import ctypes
import functools
import itertools
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import torch

from ..errors import AtlasError, one_line
from ..network.memory import ask_for_large_pages, give_back_freed_memory

MOST = 8
"""Processes at most; with more cores each has several."""

ROOM = 3 << 30
"""Bytes of the machine's memory for each: a batch of VGG-16 at 224 px takes 2.5 GB."""

CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)

TICK = 1.0
"""Seconds that a signal waits at most."""

PR_SET_PDEATHSIG = 1
"""Parameter of prctl(2)."""

T = TypeVar("T")
R = TypeVar("R")


def how_many(device: torch.device) -> int:
    """Processes that work side by side on this machine; 1 where none is forked.

    As many as torch has threads, which OMP_NUM_THREADS sets, and as there is memory for. Where
    torch sees an accelerator, its backward pass has threads that do not survive a fork; a worker
    of somebody's pool may have no children.
    """
    if sys.platform != "linux" or device.type != "cpu" or torch.accelerator.is_available():
        return 1
    if multiprocessing.current_process().daemon:
        return 1
    return max(1, min(torch.get_num_threads(), MOST, memory() // ROOM))


def threads_each(processes: int) -> int:
    """Threads of each of so many processes."""
    return max(1, torch.get_num_threads() // processes)


def memory() -> int:
    """Bytes that the machine, or the container that this is, has in all."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMITS:
        try:
            total = min(total, int(Path(path).read_text("ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


class ForkedError(AtlasError):
    """What went wrong in a process and could not be sent as it was."""


@dataclass(slots=True, eq=False)
class Fork(Generic[T]):
    """A process as its parent sees it.

    Attributes:
        process: the process.
        line: on which it takes tasks and answers.
        tasks: the one that it is at; empty while it waits.
    """

    process: Any
    line: Connection
    tasks: list[T]

    def end(self) -> None:
        """End the process, whatever it does, and leave nothing of it behind."""
        self.process.kill()
        self.process.join()
        self.line.close()


Spread = Callable[[Iterable[T]], Iterator[tuple[T, R]]]
"""Does tasks; yields (task, result) as they are done, in any order."""


def spread(
    action: Callable[[T], R],
    tasks: Iterable[T],
    processes: int,
    warn: Callable[[str], None],
) -> Iterator[tuple[T, R]]:
    """Do an action for every task; see `forked`."""
    with forked(action, processes, warn) as do:
        yield from do(tasks)


@contextmanager
def forked(
    action: Callable[[T], R], processes: int, warn: Callable[[str], None]
) -> Iterator[Spread[T, R]]:
    """Processes that do an action for tasks, as often as they are given some.

    With one process it is this one, and in order. A task whose process is lost is done here.

    Args:
        action: needs nothing of this process but what is in memory now, and changes none of it.
        processes: how many.
        warn: told what was lost.

    Yields:
        A function from tasks, each of which is made when a process is free for it, to results. It
        raises what the action raised.
    """
    if processes == 1:
        yield lambda tasks: ((task, action(task)) for task in tasks)
        return
    forks = list[Fork[T]]()
    give_back_freed_memory()
    try:
        for _ in range(processes):
            forks.append(start(action, threads_each(processes)))
        yield functools.partial(do_all, forks, functools.partial(here, action, processes), warn)
    finally:
        for fork in forks:
            fork.end()


def do_all(
    forks: list[Fork[T]],
    alone: Callable[[T], R],
    warn: Callable[[str], None],
    tasks: Iterable[T],
) -> Iterator[tuple[T, R]]:
    """Let processes do tasks; what is lost with one of them is done alone."""
    left = iter(tasks)
    while busy := [fork for fork in forks if hand_out(fork, left)]:
        for fork in answered(busy):
            (task,) = fork.tasks
            try:
                done, result = fork.line.recv()
            except (EOFError, OSError):
                forks.remove(fork)
                fork.end()
                warn("a process was lost (killed for memory?); its work is done here again")
                yield task, alone(task)
                continue
            if not done:
                raise result
            fork.tasks.clear()
            hand_out(fork, left)  # before the result is used, so that it does not wait
            yield task, result
    yield from ((task, alone(task)) for task in left)  # where all were lost


def here(action: Callable[[T], R], processes: int, task: T) -> R:
    """Do a task in this process, with the threads that one of so many has."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads_each(processes))
    try:
        return action(task)
    finally:
        torch.set_num_threads(before)


def hand_out(fork: Fork[T], left: Iterator[T]) -> bool:
    """Give a process that waits its next task; returns whether it has one."""
    if not fork.tasks:
        fork.tasks.extend(itertools.islice(left, 1))
        try:
            for task in fork.tasks:
                fork.line.send(task)
        except OSError:  # it is gone, as its answer will say
            pass
    return bool(fork.tasks)


def answered(forks: list[Fork[T]]) -> list[Fork[T]]:
    """Those of busy processes that have something for us, after a short while at most."""
    lines = {fork.line: fork for fork in forks}
    return [lines[line] for line in wait(list(lines), TICK) if isinstance(line, Connection)]


def start(action: Callable[[T], Any], threads: int) -> Fork[T]:
    """Fork a process that waits for tasks."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=serve, args=(action, theirs, ours, threads, os.getpid()), daemon=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: ours wait
        process.start()
    theirs.close()
    return Fork(process=process, line=ours, tasks=[])


def serve(
    action: Callable[[Any], object], line: Connection, other: Connection, threads: int, parent: int
) -> None:
    """Do tasks until the parent is gone; Ctrl-C, which all of a terminal get, is its to answer."""
    other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    ask_for_large_pages()
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)  # those of the parent are not here
    while True:
        task = line.recv()
        try:
            answer: object = True, action(task)
        except Exception as error:  # others have arguments that may not be sent
            answer = False, error if isinstance(error, AtlasError) else ForkedError(one_line(error))
        line.send(answer)
