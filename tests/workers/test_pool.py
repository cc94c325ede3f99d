"""The processes of a cluster, without Ray: a stand-in that does tasks when it is told to."""

import concurrent.futures
import weakref
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from atlas.workers.pool import Pool
from tests.cluster_tasks import Double


class Result:
    """What a task comes to; that it is let go can be seen."""


class Cluster:
    """The stand-in, with so many CPUs; keeps what is to be done until `work`."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.waiting: deque[Any] = deque()
        self.exceptions = SimpleNamespace(RayTaskError=KeyError, RayError=OSError)
        self.util = SimpleNamespace(list_named_actors=lambda all_namespaces: [])

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_job_id=lambda: "job")

    def cluster_resources(self) -> dict[str, int]:
        return {"CPU": self.cpus}

    def put(self, value: object) -> object:
        return value

    def kill(self, handle: object) -> None:
        pass

    def remote(self, actor: type) -> Any:
        run = SimpleNamespace(remote=lambda task: SimpleNamespace(future=self.take))
        start = SimpleNamespace(remote=lambda build: SimpleNamespace(future=started))
        handle = SimpleNamespace(run=run, start=start)
        made = SimpleNamespace(remote=lambda folder: handle)
        return SimpleNamespace(options=lambda **options: made)

    def take(self) -> Any:
        self.waiting.append(concurrent.futures.Future[Result]())
        return self.waiting[-1]

    def work(self) -> None:
        """Be done with all that is to be done."""
        while self.waiting:
            self.waiting.popleft().set_result(Result())


def started() -> Any:
    """What a process owes that has just started."""
    future = concurrent.futures.Future[None]()
    future.set_result(None)
    return future


def tasks(cluster: Cluster, count: int) -> Iterator[Double]:
    """Tasks; when all CPUs have one, all are done at once."""
    for number in range(count):
        if len(cluster.waiting) == cluster.cpus - 1:
            cluster.work()
        yield Double(number)
    cluster.work()


def test_a_result_is_let_go_when_the_next_is_asked_for() -> None:
    cluster = Cluster(cpus=4)
    pool = Pool(cluster, Result, gpus=False, warn=print)
    seen: list[weakref.ref[Result]] = []
    for _, result in pool.map(tasks(cluster, 8)):
        assert not [earlier for earlier in seen if earlier() is not None]
        seen.append(weakref.ref(result))
        del result
    assert len(seen) == 8
