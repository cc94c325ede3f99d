"""The processes of a cluster: how many there are, what each does, and what if one is lost.

A worker is an object that every process of the pool builds once; a task is a value with a method
`run(worker)`. This module knows nothing else of either. Whatever ends a process (a lost node, a
lack of memory, a crash), its task goes to another one. Start at `Pool.map`.
"""

import concurrent.futures
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ..errors import AtlasError, InputError, one_line

RETRIES = 3
"""Number of times that a task is given to another process after the loss of its own."""

PATIENCE = 300.0
"""Seconds without any process after which the run gives up."""

REVIEW = 5.0
"""Seconds between two looks at how many processes the cluster has room for."""

TICK = 1.0
"""Seconds that a signal waits at most."""

NAMESPACE = "cnn-atlas"
"""Namespace of the processes of all runs, so that runs can count one another."""


class Task(Protocol):
    """Something to do; a plain value that can be sent."""

    def run(self, worker: Any) -> Any:
        """Do it with what the process has built."""
        ...


T = TypeVar("T", bound=Task)


class LostError(AtlasError):
    """Every process that tried a task was lost."""


class Actor:
    """Worker that runs in a process of the pool."""

    def __init__(self, folder: str) -> None:
        if os.path.isdir(folder):  # the user's own modules and relative paths mean the same there
            os.chdir(folder)

    def start(self, build: Callable[[], object]) -> None:
        """Build the worker; once, however many tasks follow."""
        self.worker = build()

    def run(self, task: Task) -> object:
        """Do a task; the same task gives the same result however often it is done."""
        return task.run(self.worker)


@dataclass(slots=True, eq=False)
class Errand(Generic[T]):
    """A task and how often it was lost with its process."""

    task: T
    losses: int = 0


@dataclass(slots=True, eq=False)
class Process(Generic[T]):
    """A process as the driver sees it.

    Attributes:
        handle: Ray's handle of the actor.
        doing: the result that it owes, a future of Python's and not Ray's own reference: waiting
            for that would turn SIGTERM into Ctrl-C. None while it is idle.
        errand: what it does; None while it starts or is idle.
    """

    handle: Any
    doing: Any
    errand: Errand[T] | None = None


class TaskQueue(Generic[T]):
    """Queue of the tasks: those of lost processes first, then new ones when they are asked for.

    Attributes:
        more: whether there may be any.
    """

    def __init__(self, tasks: Iterable[T]) -> None:
        self._new = map(Errand, tasks)
        self._again: deque[Errand[T]] = deque()
        self.more = True

    def next(self) -> Errand[T] | None:
        """The next one, or None."""
        errand = self._again.popleft() if self._again else next(self._new, None)
        self.more = errand is not None
        return errand

    def again(self, errand: Errand[T]) -> bool:
        """Put one back whose process was lost; False if that happened too often."""
        errand.losses += 1
        if errand.losses > RETRIES:
            return False
        self._again.append(errand)
        self.more = True
        return True


class Pool:
    """Processes of a cluster, one for each GPU or CPU that is this run's share.

    The cluster is looked at again and again: lost processes are replaced, nodes that join are
    taken into use, and runs that work side by side take equal shares.

    Args:
        ray: the module, connected.
        build: makes the worker of a process; it and what it holds are sent once.
        gpus: one process for each GPU instead of each CPU.
        warn: told what was lost.

    Attributes:
        device: of every process, "cpu" or "cuda".
    """

    def __init__(
        self, ray: Any, build: Callable[[], object], gpus: bool, warn: Callable[[str], None]
    ) -> None:
        self.ray = ray
        self.device, self.resource = ("cuda", "GPU") if gpus else ("cpu", "CPU")
        self.warn = warn
        self.job = ray.get_runtime_context().get_job_id()
        self.build = ray.put(build)
        self.processes: list[Process[Any]] = []
        self.target = self.hired = self.stillborn = 0
        self.last_sign = self.next_review = -math.inf

    def map(self, tasks: Iterable[T]) -> Iterator[tuple[T, Any]]:
        """Do every task; yields (task, result) as they are done, in any order.

        A task that was lost with its process too often has a `LostError` as its result.

        Args:
            tasks: plain values; each is made when a process is free for it.

        Raises:
            Exception: what a task or the building of a worker raised.
            InputError: the cluster has had no process for us for too long.
        """
        left, self.last_sign = TaskQueue(tasks), time.monotonic()
        while self.hand_out(left):
            results = [self.collect(process, left) for process in self.wait()]
            self.hand_out(left)  # before the results are used, so that no process waits for that
            while results:  # none is held longer than needed: of a GPU each may be 80 MB
                result = results.pop(0)
                if result is not None:
                    yield result
                del result

    def hand_out(self, left: TaskQueue[T]) -> bool:
        """Give tasks to idle processes; returns whether anything is still to come."""
        self.resize()
        for process in self.processes:
            errand = left.next() if process.doing is None and left.more else None
            if errand is not None:
                process.errand = errand
                process.doing = process.handle.run.remote(errand.task).future()
        return left.more or any(process.errand for process in self.processes)

    def wait(self) -> list[Process[Any]]:
        """The processes that have something for us, after a short while at most.

        Raises:
            InputError: no process has been there for too long.
        """
        owing = {one.doing: one for one in self.processes if one.doing is not None}
        done, _ = concurrent.futures.wait(owing, TICK, concurrent.futures.FIRST_COMPLETED)
        if done or any(process.errand for process in self.processes):
            self.last_sign = time.monotonic()
        if time.monotonic() - self.last_sign > PATIENCE:
            raise InputError(
                f"the Ray cluster has had no free {self.resource} for {PATIENCE:.0f} s; what is "
                "finished is safe, and the same command goes on when there are nodes again"
            )
        return [owing[one] for one in done]

    def collect(self, process: Process[T], left: TaskQueue[T]) -> tuple[T, Any] | None:
        """The task that a process did and its result; None if it only started or was lost.

        Raises:
            Exception: what the task or the building of the worker raised.
            InputError: process after process is lost while it starts.
        """
        errand = process.errand
        try:
            result = process.doing.result()
        except self.ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except self.ray.exceptions.RayError as error:
            self.dismiss(process)
            self.next_review = -math.inf
            if errand is None:
                self.count_stillborn(error)
                return None
            self.warn("a process of the cluster was lost; another one does its work again")
            if left.again(errand):
                return None
            lost = f"its process was lost {errand.losses} times, {one_line(error)}"
            return errand.task, LostError(lost)
        process.errand = process.doing = None
        self.stillborn = 0
        return None if errand is None else (errand.task, result)

    def count_stillborn(self, error: Exception) -> None:
        """Raise an InputError if process after process is lost while it starts."""
        self.stillborn += 1
        if self.stillborn > RETRIES:
            raise InputError(
                f"the processes of the Ray cluster end while they start ({one_line(error)}); every "
                "node needs cnn-atlas, the model's packages and its weights"
            ) from error

    # --- how many

    def resize(self) -> None:
        """Have as many processes as are our share, as soon as those too many are done."""
        if time.monotonic() >= self.next_review:
            self.next_review = time.monotonic() + REVIEW
            self.target = self.share()
        for process in [one for one in self.processes if one.errand is None][::-1]:
            if len(self.processes) > self.target:
                self.dismiss(process)
        while len(self.processes) < self.target:
            self.hire()

    def share(self) -> int:
        """The GPUs or CPUs of all nodes over the number of runs, at least one."""
        slots = int(self.ray.cluster_resources().get(self.resource, 0))
        names = self.ray.util.list_named_actors(all_namespaces=True)
        ours = [one["name"] for one in names if one["namespace"] == NAMESPACE]
        runs = {name.partition(".")[0] for name in ours} | {self.job}
        return max(1, slots // len(runs))

    def hire(self) -> None:
        """Ask for one more process; it starts where and when there is room."""
        self.hired += 1
        options = {
            "num_cpus": 1,
            "num_gpus": 1 if self.resource == "GPU" else 0,
            "max_restarts": 0,
            "name": f"{self.job}.{self.hired}",
            "namespace": NAMESPACE,
            "runtime_env": {"env_vars": {"PYTHONPATH": python_path()}},
        }
        handle = self.ray.remote(Actor).options(**options).remote(os.getcwd())
        self.processes.append(
            Process(handle=handle, doing=handle.start.remote(self.build).future())
        )

    def dismiss(self, process: Process[Any]) -> None:
        """Let a process go."""
        self.processes.remove(process)
        self.ray.kill(process.handle)


def python_path() -> str:
    """Return the paths on which processes find this package and the modules beside the driver."""
    folders = [str(Path(__file__).parents[2]), os.getcwd(), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, folders))
