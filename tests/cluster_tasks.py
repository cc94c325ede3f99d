"""Tasks for a cluster's processes; apart from the tests, so that a process starts without torch."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Double:
    """Says its number twice, and in which process."""

    number: int

    def run(self, worker: str) -> tuple[str, int]:
        return f"{worker} {2 * self.number}", os.getpid()


@dataclass(frozen=True, slots=True)
class DieOnce:
    """Ends its process, but not any more once a file is there."""

    path: str

    def run(self, worker: str) -> str:
        if not os.path.exists(self.path):
            Path(self.path).touch()
            end()
        return "survived"


@dataclass(frozen=True, slots=True)
class Die:
    """Ends its process."""

    def run(self, worker: str) -> None:
        end()


@dataclass(frozen=True, slots=True)
class Fail:
    """Raises an exception."""

    def run(self, worker: str) -> None:
        raise ArithmeticError("no such unit")


@dataclass(frozen=True, slots=True)
class Greeting:
    """Builds a worker: a text."""

    text: str

    def __call__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Stillborn:
    """Ends its process instead of building anything."""

    device: str

    def __call__(self) -> None:
        end()


def end() -> None:
    """End this process as a lack of memory would."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Hold:
    """Another task, which on one node waits for ever: its result cannot come before the node goes.

    Attributes:
        task: whose attributes are asked for here, too.
        node: Ray's name of the node.
        fifo: what is waited for.
    """

    task: Any
    node: str
    fifo: str

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "task"), name)

    def run(self, worker: Any) -> Any:
        import ray

        if ray.get_runtime_context().get_node_id() == self.node:
            Path(self.fifo).read_bytes()
        return self.task.run(worker)
