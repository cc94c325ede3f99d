"""A real Ray cluster of two nodes on this machine's CPU, and what is said where there is none.

Warnings of Ray itself are let through: it leaves sockets and processes to the garbage collector
when a node is removed, which has nothing to do with what is tested.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import InputError
from atlas.progress import Progress
from atlas.rendering.kinds import FourierRecipe, Octave
from atlas.rendering.recipes import RECIPES
from atlas.stages import render as stage
from atlas.workers import pool as processes
from atlas.workers import ray as cluster
from atlas.workers import schedule
from atlas.workers.pool import Pool, TaskQueue
from atlas.workers.ray import open_pool
from tests.cluster_tasks import Die, DieOnce, Double, Fail, Greeting, Hold, Stillborn

Tiny = Callable[..., Config]

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


@dataclass(slots=True)
class Nodes:
    """A cluster: its head takes part with one CPU, and so does the other node."""

    cluster: Any
    other: Any

    def remove_other(self) -> None:
        self.cluster.remove_node(self.other, allow_graceful=False)
        self.other = None

    def add_other(self) -> None:
        if self.other is None:
            self.other = self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Nodes]:
    """Two nodes, for all tests of this file: they take seconds to start."""
    cluster.import_ray()
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": 80_000_000,
            "include_dashboard": False,
        },
    )
    yield Nodes(started, started.add_node(num_cpus=1, object_store_memory=80_000_000))
    started.shutdown()


@pytest.fixture
def nodes(two_nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """The cluster with both nodes, and its address where runs look for it."""
    two_nodes.add_other()
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.cluster.address)
    return two_nodes


def blocks(config: Config) -> dict[str, bytes]:
    """Every HDF5 file of the cache, by its path."""
    return {
        str(path.relative_to(config.cache)): path.read_bytes()
        for path in sorted(config.cache.rglob("*.h5"))
    }


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


# --- a lost node ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_loses_a_node_equals_the_local_run(
    nodes: Nodes,
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(schedule, "BLOCK_UNITS", 1)
    monkeypatch.setitem(RECIPES, "octaves", short_recipe())
    settings = {"units": 3, "facets": 1, "precision": "fp32", "batch": 1}
    local = tiny(**settings, cache=tmp_path / "local", site=tmp_path / "local-site")
    assert build(local) == 0
    os.mkfifo(tmp_path / "fifo")
    node = nodes.other.node_id
    pools: list[Pool] = []
    hand_out, groups, write = Pool.hand_out, stage.group_blocks, Store.write_renderings

    def watched(pool: Pool, left: TaskQueue[Any]) -> bool:
        pools.append(pool)
        return hand_out(pool, left)

    def held(*args: Any) -> Iterator[Hold]:
        return (Hold(group, node, str(tmp_path / "fifo")) for group in groups(*args))

    def write_and_remove(store: Store, *args: Any) -> None:
        write(store, *args)
        if nodes.other is None:
            return
        if all(process.errand for process in pools[-1].processes):
            nodes.remove_other()
            return
        for process in pools[-1].processes:
            if process.errand is None and process.doing is not None:
                process.doing.result()  # however slowly it starts, it gets a block before the end

    monkeypatch.setattr(Pool, "hand_out", watched)
    monkeypatch.setattr(stage, "group_blocks", held)
    monkeypatch.setattr(Store, "write_renderings", write_and_remove)
    assert build(tiny(**settings, engine="ray")) == 0
    assert nodes.other is None
    assert "a process of the cluster was lost" in capsys.readouterr().err
    assert blocks(tiny()) == blocks(local)


def short_recipe() -> FourierRecipe:
    """A few steps of the default recipe."""
    base = RECIPES["octaves"]
    assert isinstance(base, FourierRecipe)
    steps = (Octave(share=0.5, steps=3), Octave(share=1.0, steps=3))
    return replace(base, octaves=steps, seeds=2)


# --- tasks of our own ----------------------------------------------------------------------------


@pytest.fixture
def pool(nodes: Nodes, capsys: pytest.CaptureFixture[str]) -> Iterator[Pool]:
    with open_pool(Greeting, "auto", lambda text: print(text, file=sys.stderr)) as opened:
        yield opened


@pytest.mark.slow
def test_every_task_is_done_once_by_workers_that_are_built_once(pool: Pool) -> None:
    tasks = [Double(number) for number in range(40)]
    done = dict(pool.map(tasks))
    assert {task: text for task, (text, _) in done.items()} == {
        task: f"cpu {2 * task.number}" for task in tasks
    }
    assert len({process for _, process in done.values()}) <= 2
    assert pool.device == "cpu"
    assert list(pool.map([])) == []


@pytest.mark.slow
def test_a_task_that_takes_its_process_along_is_done_by_another(
    pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((_, result),) = pool.map([DieOnce(str(tmp_path / "died"))])
    assert result == "survived"
    assert capsys.readouterr().err.count("was lost") == 1


@pytest.mark.slow
def test_a_task_that_takes_every_process_along_is_given_up(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RETRIES", 1)
    ((_, result),) = pool.map([Die()])
    assert isinstance(result, Exception)
    assert "lost 2 times" in str(result)


@pytest.mark.slow
def test_what_a_task_raises_is_raised_here(pool: Pool) -> None:
    with pytest.raises(ArithmeticError, match=r"^no such unit$"):
        list(pool.map([Fail()]))


@pytest.mark.slow
def test_processes_that_end_while_they_start_end_the_run(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RETRIES", 1)
    with (
        open_pool(Stillborn, "cpu", print) as pool,
        pytest.raises(InputError, match="end while they start"),
    ):
        list(pool.map([Double(1)]))


@pytest.mark.slow
def test_without_any_process_the_run_gives_up_in_one_line(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 2.0)
    monkeypatch.setattr(pool, "resource", "GPU")  # of which the cluster has none
    with pytest.raises(InputError, match="no free GPU for 2 s; what is finished is safe"):
        list(pool.map([Double(1)]))


@pytest.mark.slow
def test_two_runs_share_the_cluster(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [{"name": "another.1", "namespace": processes.NAMESPACE}]
    names.append({"name": "third.1", "namespace": "of somebody else"})
    deadline = time.monotonic() + 60
    while pool.share() != 2:  # until the cluster has noticed that a node was removed before
        assert time.monotonic() < deadline, pool.share()
        time.sleep(0.1)
    monkeypatch.setattr(pool.ray.util, "list_named_actors", lambda all_namespaces: names)
    assert pool.share() == 1


@pytest.mark.slow
def test_the_answer_to_signals_stays_ours(nodes: Nodes) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with open_pool(Greeting, "cpu", print):
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_gpu_that_the_cluster_does_not_have_is_an_error(nodes: Nodes) -> None:
    with (
        pytest.raises(InputError, match="'cuda', but the Ray cluster has no GPU"),
        open_pool(Greeting, "cuda", print),
    ):
        pass


# --- no cluster ----------------------------------------------------------------------------------


def test_without_ray_one_line_says_how_to_get_it(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it is an ImportError now
    with pytest.raises(InputError, match=r'pip install "cnn-atlas\[ray\]"') as caught:
        build(tiny(engine="ray"))
    assert "\n" not in str(caught.value)
    assert not tiny().cache.exists()  # said before anything was computed


@pytest.mark.parametrize("address", ["127.0.0.1:{closed}", "ray://127.0.0.1:{closed}", "here:x"])
def test_cluster_that_does_not_answer_is_one_line_within_seconds(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", address.format(closed=held.getsockname()[1]))
        began = time.monotonic()
        with (
            pytest.raises(InputError, match="cannot be reached") as caught,
            open_pool(Greeting, "auto", print),
        ):
            pass
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 10


def test_lost_tasks_come_before_new_ones() -> None:
    left = TaskQueue([Double(1), Double(2)])
    first = left.next()
    assert first is not None
    assert left.again(first)
    assert left.next() is first
    second = left.next()
    assert second is not None
    assert second.task.number == 2
    assert left.more
    assert left.next() is None
    assert not left.more


def test_a_task_is_put_back_only_so_often() -> None:
    left = TaskQueue([Double(1)])
    errand = left.next()
    assert errand is not None
    assert [left.again(errand) for _ in range(5)] == [True, True, True, False, False]
