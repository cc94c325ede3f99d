"""The shim, the scenarios that run in processes of their own, and the scoreboard at the end."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faults.scoreboard import Score, add, table
from tests.faults.shim import build_shim, run

Job = tuple[str, ...]
SOAK = bool(os.environ.get("FAULTS_SOAK"))
"""True if there are hours to try everything: `make soak`."""

MEMORY = Path("/dev/shm")
"""Folder of the scenarios if it exists: the same calls as on a disk, in less time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the scoreboard."""
    reports = [r for stat in ("passed", "failed") for r in terminalreporter.stats.get(stat, [])]
    values = [value for r in reports for name, value in r.user_properties if name == "faults"]
    scores = [
        Score(row=row, tried=tried, survived=survived, units=units, lost=lost)
        for row, tried, survived, units, lost in values
    ]
    if scores:
        terminalreporter.section("faults")
        for line in table(scores):
            terminalreporter.write_line(line)


@pytest.fixture
def score(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Call it with what was tried; see `Score`."""
    return lambda **values: add(request, Score(**values))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def jobs(
    request: pytest.FixtureRequest, shim: Path
) -> Iterator[dict[Job, "Future[dict[str, Any]]"]]:
    """All scenarios of the chosen tests, as many at a time as there are cores."""
    wanted = [
        item.callspec.params["job"]
        for item in request.session.items
        if "job" in getattr(getattr(item, "callspec", None), "params", {})
    ]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {job: pool.submit(run_job, shim, job) for job in wanted}


@pytest.fixture
def report(jobs: dict[Job, "Future[dict[str, Any]]"], job: Job) -> dict[str, Any]:
    """The results of a scenario."""
    return jobs[job].result()


def run_job(shim: Path, job: Job) -> dict[str, Any]:
    """Run `module what number …` in a folder of its own under the library."""
    module, what, *rest = job
    folder = tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    try:
        words = ["-m", f"tests.faults.{module}", what, Path(folder) / "work", *rest]
        done = run(shim, words, {"SOURCE_DATE_EPOCH": "1700000000"})
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
