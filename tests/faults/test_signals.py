"""A run that is asked to stop does so soon, says what is safe, and the next one goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from atlas.config import Config
from tests.faults.shim import ROOT
from tests.faults.test_before_work import options

ROW = "storage: signals"
LIMIT = 10.0
"""Seconds that a run may take to stop."""


def start(config: Config, size: int, threads: int = 1) -> subprocess.Popen[str]:
    """A build whose renderings take a while, in as many processes as threads."""
    words = [*options(config), "--size", size, "--units", 4, "--precision", "fp32"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], pattern: str, folder: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + 60
    while not [*folder.rglob(pattern)]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # waits for the state to test, not for luck


def stop(process: subprocess.Popen[str], signals: list[signal.Signals]) -> tuple[float, str]:
    """Send signals; returns the seconds until the end and what was said."""
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)  # two signals at the same moment are one
    said = process.communicate(timeout=30)[1]
    return time.monotonic() - began, said


@pytest.mark.parametrize(
    ("signals", "pattern", "code", "threads"),
    [
        ([signal.SIGTERM], "ranking/*.h5", 143, 1),
        ([signal.SIGTERM], "renderings/*/*.h5", 143, 1),
        ([signal.SIGTERM], "renderings/*/*.h5", 143, 2),
        ([signal.SIGTERM], "key.json", 143, 1),
        ([signal.SIGINT], "renderings/*/*.h5", 130, 1),
        ([signal.SIGINT], "renderings/*/*.h5", 130, 2),
        ([signal.SIGINT, signal.SIGINT], "renderings/*/*.h5", 130, 1),
        ([signal.SIGTERM, signal.SIGTERM], "ranking/*.h5", 143, 1),
    ],
)
def test_a_signal_stops_a_build_and_the_next_one_completes_it(
    tiny: Callable[..., Config],
    signals: list[signal.Signals],
    pattern: str,
    code: int,
    threads: int,
    score: Callable[..., None],
) -> None:
    config = tiny()
    process = start(config, 224, threads)
    wait_for(process, pattern, config.cache)
    kept = {path: path.read_bytes() for path in config.cache.rglob("*.h5")}
    seconds, said = stop(process, signals)
    # a second signal may meet an interpreter that has put its own handlers away already
    assert process.returncode in (code, *(-one for one in signals[1:])), said
    assert seconds < LIMIT
    assert "Traceback" not in said
    if len(signals) == 1:
        assert "units of this run are safe; resume with: python build_atlas.py build" in said
        assert f"--cache {config.cache}" in said
    for path, data in kept.items():
        assert path.read_bytes() == data
    score(row=ROW, tried=1, survived=1, units=4 * len([p for p in kept if "renderings" in str(p)]))


def test_a_signal_while_libraries_are_loaded_is_one_line(
    tiny: Callable[..., Config], score: Callable[..., None]
) -> None:
    process = start(tiny(), 32)
    time.sleep(0.3)  # somewhere in the import of torch
    _, said = stop(process, [signal.SIGTERM])
    assert process.returncode in (143, -signal.SIGTERM)
    assert "Traceback" not in said
    score(row=ROW, tried=1, survived=1)
