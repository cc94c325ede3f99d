"""Recorded steps, without a GPU: a stub takes the place of the CUDA graph."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from atlas.network import recording
from atlas.network.recording import LARGEST, Mode, Recorder

GPU = torch.device("cuda")


class Graph:
    """A recording that does what it has recorded, plus an error."""

    def __init__(self, action: Callable[[], None], error: Callable[[], None]) -> None:
        self.action, self.error, self.replays = action, error, 0

    def replay(self) -> None:
        self.replays += 1
        self.action()
        self.error()


class Machine:
    """Something to record: adds one to its number; says how often its code ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self.graphs, self.captures = torch.zeros(2), [], 0
        self.fails: Exception | None = None
        self.error = 0.0
        monkeypatch.setattr(recording, "capture", self.capture)

    def capture(self, action: Callable[[], None], _device: torch.device) -> Any:
        self.captures += 1
        if self.fails:
            raise self.fails
        self.graphs.append(Graph(action, lambda: self.number.add_(self.error)))
        return self.graphs[-1]

    def act(self) -> None:
        self.number += 1

    def look(self) -> None:
        """An action that can be repeated."""
        self.number = torch.full((2,), 5.0)

    def result(self) -> Tensor:
        return self.number


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_an_action_is_recorded_at_its_second_call_and_done_once_at_each(machine: Machine) -> None:
    action = Recorder(GPU, "auto").recorded(100, machine.act)
    for call in range(1, 6):
        action()
        assert machine.number.tolist() == [call, call]
    assert machine.captures == 1
    assert machine.graphs[0].replays == 4


@pytest.mark.parametrize(
    ("mode", "device", "pixels", "recorded"),
    [
        ("auto", "cuda", LARGEST, True),
        ("auto", "cuda", LARGEST + 1, False),
        ("on", "cuda", LARGEST + 1, True),
        ("off", "cuda", 1, False),
        ("on", "cpu", 1, False),
    ],
)
def test_what_is_recorded(
    machine: Machine, mode: Mode, device: str, pixels: int, recorded: bool
) -> None:
    action = Recorder(torch.device(device), mode).recorded(pixels, machine.act)
    for _ in range(3):
        action()
    assert machine.captures == recorded
    assert machine.number.tolist() == [3, 3]


def test_what_cannot_be_recorded_runs_as_it_is_and_says_so_once(machine: Machine) -> None:
    machine.fails = RuntimeError("operation not permitted when stream is capturing\nand more")
    recorder = Recorder(GPU, "auto")
    first, second = (recorder.recorded(1, machine.act) for _ in range(2))
    for _ in range(3):
        first()
        second()
    assert machine.number.tolist() == [6, 6]
    assert machine.captures == 1
    assert recorder.failure == (
        "steps are not recorded as CUDA graphs: RuntimeError: operation not permitted when stream "
        "is capturing"
    )
    assert recorder.recorded(1, machine.act) == machine.act


def test_a_lack_of_memory_ends_the_recording_of_one_batch_only(machine: Machine) -> None:
    machine.fails = torch.OutOfMemoryError("CUDA out of memory")
    recorder = Recorder(GPU, "auto")
    large = recorder.recorded(1, machine.act)
    for _ in range(3):
        large()
    assert machine.number.tolist() == [3, 3]
    assert not recorder.failure
    machine.fails = None
    small = recorder.recorded(1, machine.act)
    for _ in range(3):
        small()
    assert machine.graphs[0].replays == 2


@pytest.mark.parametrize(("error", "kept"), [(0.0, True), (0.001, True), (0.1, False)])
def test_a_recording_that_gives_something_else_is_not_used(
    machine: Machine, error: float, kept: bool
) -> None:
    machine.error = error
    recorder = Recorder(GPU, "auto")
    action = recorder.recorded(1, machine.look, machine.result)
    for _ in range(3):
        action()
    assert bool(recorder.failure) == (not kept)
    assert machine.graphs[0].replays == (3 if kept else 1)
    assert float(machine.number[0]) == pytest.approx(5 + error * kept)


def test_not_a_number_is_no_agreement(machine: Machine) -> None:
    machine.error = float("nan")
    recorder = Recorder(GPU, "auto")
    action = recorder.recorded(1, machine.look, machine.result)
    for _ in range(3):
        action()
    assert "gives something else" in recorder.failure
    assert machine.number.tolist() == [5, 5]
