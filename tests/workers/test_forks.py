"""Processes of this machine that do tasks side by side."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from atlas.errors import InputError
from atlas.workers import forks
from atlas.workers.forks import ForkedError, how_many, spread

CPU = torch.device("cpu")


def silent(_: str) -> None:
    """Take a warning that a test does not ask for."""


def test_every_task_is_done_once_and_by_processes_of_their_own() -> None:
    found = dict(spread(lambda n: (n * n, os.getpid()), range(20), 2, silent))
    assert {n: square for n, (square, _) in found.items()} == {n: n * n for n in range(20)}
    assert os.getpid() not in {pid for _, pid in found.values()}


def test_one_process_is_this_one_and_keeps_the_order() -> None:
    found = list(spread(lambda n: os.getpid(), iter("abc"), 1, silent))
    assert found == [(one, os.getpid()) for one in "abc"]


def test_tasks_are_made_when_a_process_is_free() -> None:
    made = []

    def tasks() -> object:
        for n in range(50):
            made.append(n)
            yield n

    results = spread(lambda n: n, tasks(), 2, silent)
    next(results)
    assert len(made) <= 4
    results.close()


def test_a_process_has_the_memory_of_its_parent_and_the_threads_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = torch.arange(5.0)
    monkeypatch.setattr(forks, "threads_each", lambda processes: 1)
    ((_, found),) = spread(
        lambda n: (float(weights.sum()) + n, torch.get_num_threads()), [1], 2, silent
    )
    assert found == (11.0, 1)


def test_gradients_are_computed_in_a_process_whose_parent_has_computed_some() -> None:
    def slope(at: float) -> float:
        x = torch.full((200, 200), at, requires_grad=True)
        (gradient,) = torch.autograd.grad((x @ x).sum(), x)
        return float(gradient[0, 0])

    assert slope(1.0) == 400.0
    assert dict(spread(slope, [1.0, 2.0], 2, silent)) == {1.0: 400.0, 2.0: 800.0}


def test_an_error_of_ours_arrives_as_it_was() -> None:
    def fail(_: int) -> None:
        raise InputError("there is no such image")

    with pytest.raises(InputError, match=r"^there is no such image$"):
        list(spread(fail, [1], 2, silent))


def test_any_other_error_arrives_in_words() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} is not {two}")

    def fail(_: int) -> None:
        raise Odd(1, 2)

    with pytest.raises(ForkedError, match="1 is not 2"):
        list(spread(fail, [1], 2, silent))


def test_the_task_of_a_lost_process_is_done_here(tmp_path: Path) -> None:
    parent, told = os.getpid(), []

    def work(n: int) -> int:
        if n == 3 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return 10 * n

    assert dict(spread(work, range(8), 2, told.append)) == {n: 10 * n for n in range(8)}
    assert len(told) == 1
    assert "lost" in told[0]


def test_where_all_processes_are_lost_the_rest_is_done_here() -> None:
    parent, told = os.getpid(), []

    def work(n: int) -> int:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    assert dict(spread(work, range(8), 3, told.append)) == {n: n for n in range(8)}
    assert len(told) == 3


def test_nothing_is_left_of_a_process_that_was_lost() -> None:
    parent = os.getpid()

    def work(n: int) -> int:
        if n == 0 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    with forks.forked(work, 2, silent) as do:
        first, second = multiprocessing.active_children()
        assert dict(do(range(6))) == {n: n for n in range(6)}
        there = [Path(f"/proc/{child.pid}").exists() for child in (first, second)]
        assert sorted(there) == [False, True]


def test_no_process_is_left_when_the_caller_stops() -> None:
    results = spread(lambda n: (time.sleep(0), os.getpid())[1], range(100), 2, silent)
    _, pid = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


PARENT = """
import os, sys, time
from atlas.workers.forks import spread

def work(n):
    print(os.getpid(), flush=True)
    while True:
        time.sleep(0.05)

list(spread(work, [1, 2], 2, print))
"""


def test_processes_end_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        children = [int(one.stdout.readline()) for _ in range(2)]
        one.kill()
        one.wait()
        rest = one.stdout.read()  # ends when the last process that could write is gone
    assert rest == ""
    assert len({*children}) == 2


def test_there_are_as_many_as_threads_and_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")

    def count(threads: int, gigabytes: int) -> int:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(forks, "memory", lambda: gigabytes << 30)
        return how_many(CPU)

    assert count(2, 24) == 2
    assert count(1, 24) == 1
    assert count(64, 512) == 8
    assert count(4, 8) == 2
    assert count(4, 2) == 1


def test_none_is_forked_for_a_gpu_beside_one_or_on_another_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(forks, "memory", lambda: 64 << 30)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert how_many(CPU) == 1
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert how_many(torch.device("cuda")) == 1
    assert how_many(CPU) == 4
    monkeypatch.setattr(sys, "platform", "darwin")
    assert how_many(CPU) == 1


def in_a_pool(_: int) -> int:
    """What a worker of somebody's pool makes of it."""
    torch.set_num_threads(2)
    return how_many(CPU)


def test_a_worker_of_a_pool_has_no_processes() -> None:
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with context.Pool(1) as pool:
            assert pool.map(in_a_pool, [0]) == [1]


def test_a_process_that_is_left_behind_ends_at_sigterm() -> None:
    """As multiprocessing asks for when Python ends; an ignored one would keep it from ending."""
    fork = forks.start(lambda _: None, 1)
    fork.line.send(0)
    assert fork.line.recv() == (True, None)
    fork.process.terminate()
    fork.process.join(30)
    assert fork.process.exitcode == -signal.SIGTERM
    fork.line.close()


def test_a_container_has_the_memory_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text("1000000\n")
    none.write_text("max\n")
    monkeypatch.setattr(forks, "CGROUP_LIMITS", (str(none), str(tmp_path / "absent")))
    whole = forks.memory()
    assert whole > 1_000_000
    monkeypatch.setattr(forks, "CGROUP_LIMITS", (str(none), str(limit)))
    assert forks.memory() == 1_000_000
