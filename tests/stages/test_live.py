"""Pages can be looked at while a build goes on, and the build is none the worse for it."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path

import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.files.lock import turn
from atlas.gallery.write import check_site
from atlas.progress import Progress
from atlas.stages import live, render
from atlas.stages.live import Live, live_pages
from tests.faults.exhaust import read_tree
from tests.test_pipeline import Tiny, build, only_model

LIMIT = 120.0
"""Seconds after which a test gives the other process up."""


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are worth to be shown from the first moment, and their process waits for nobody."""
    monkeypatch.setattr(live, "PATIENCE", 0.0)
    monkeypatch.setattr(live, "REST", 0)
    monkeypatch.setattr(live, "START", live.START.replace("os.nice(19); ", ""))


def answered(one: Live) -> None:
    """Wait until the process has brought the pages up to date."""
    assert one.pipe is not None
    assert one.pipe.poll(LIMIT)


@contextlib.contextmanager
def waiting_for_pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let every step of a build wait until its pages are there; yields the home page after each."""
    seen: list[str] = []
    plain = Live.advance

    def advance(self: Live) -> None:
        plain(self)
        if self.is_busy:
            answered(self)
            home = self.config.site / "index.html"
            seen.append(home.read_text("utf-8") if home.exists() else "")

    with monkeypatch.context() as patch:
        patch.setattr(Live, "advance", advance)
        yield seen


@pytest.mark.usefixtures("at_once")
def test_pages_are_there_before_the_first_picture_and_the_last_site_knows_nothing_of_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(layers=("relu1", "relu2"), recipe=("pyramid",), live="on")
    with waiting_for_pages(monkeypatch) as seen:
        assert build(config) == 0
    assert "0 of 4 units are ready" in seen[0]
    assert "2 of 4 units are ready" in seen[1]
    assert "are ready" not in seen[-1]
    finished = read_tree(config.site)
    assert not [name for name in finished if "tmp-" in name]
    assert not [name for name, data in finished.items() if b"are ready" in data]
    fresh = Config(cache=config.cache, site=tmp_path / "fresh", quiet=True)
    assert pipeline.site(fresh, Progress(quiet=True)) == 0
    assert read_tree(fresh.site) == finished


@pytest.mark.usefixtures("at_once")
def test_pages_to_look_at_have_the_lists_of_the_build(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, found = tmp_path / "mine.toml", []
    file.write_text('[[list]]\ntitle = "A tour"\nunits = ["relu1:0"]\n')
    config = tiny(layers=("relu1",), recipe=("pyramid",), live="on", lists=str(file))
    plain = render.commit

    def commit(*arguments: object) -> object:
        found.append((config.site / "lists" / "a-tour" / "index.html").is_file())
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(render, "commit", commit)
    with waiting_for_pages(monkeypatch):
        build(config)
    assert found
    assert all(found)


@pytest.mark.usefixtures("at_once")
def test_stopped_build_leaves_pages_that_say_how_far_it_came(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(layers=("relu1", "relu2"), units=2, recipe=("pyramid",), live="on")
    plain, blocks = render.commit, []

    def commit(*arguments: object) -> object:
        if blocks:
            raise KeyboardInterrupt
        blocks.append(arguments)
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(render, "commit", commit)
    with waiting_for_pages(monkeypatch), pytest.raises(KeyboardInterrupt):
        build(config)
    assert "2 of 4 units are ready" in (config.site / "index.html").read_text("utf-8")
    assert check_site(config.site) == []
    assert not list(config.site.glob(".tmp-*"))
    waiting = next(only_model(config).glob("relu2/*[0-9].html")).read_text("utf-8")
    assert "Not rendered yet" in waiting
    assert "Real patches" in waiting


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("changes", [{"live": "off"}, {"live": "on", "shard": (1, 2)}])
def test_without_live_pages_no_process_is_started(
    tiny: Tiny, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Live) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(Live, "start", refuse)
    assert build(tiny(layers=("relu1",), units=1, recipe=("pyramid",), **changes)) == 0


def test_build_of_a_few_seconds_starts_no_process(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE", 1e9)
    started: list[Live] = []
    monkeypatch.setattr(Live, "start", started.append)
    assert build(tiny(layers=("relu1",), units=1, recipe=("pyramid",), live="on")) == 0
    assert not started


@pytest.mark.usefixtures("at_once")
def test_failure_is_one_warning_and_the_build_is_whole(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "START", "import os; os._exit(3) # {path} {arguments}")
    config = tiny(layers=("relu1", "relu2"), recipe=("pyramid",), live="on")
    with waiting_for_pages(monkeypatch):
        assert build(config) == 0
    said = capsys.readouterr().err
    assert said.count("pages cannot be looked at while this goes on") == 1
    assert (config.site / "index.html").exists()


def spoken_to(config: Config) -> tuple[Live, Callable[[str, float], None]]:
    """A `Live` whose process is this test, and how it answers."""
    here, there = Pipe()
    one = Live(config=config, progress=Progress(quiet=False), worth_at=0.0, is_on=True, pipe=here)

    def answer(error: str, seconds: float) -> None:
        there.send_bytes(json.dumps({"error": error, "seconds": seconds}).encode())

    return one, answer


def test_second_turn_waits_for_the_first_and_then_for_a_rest(tiny: Tiny) -> None:
    one, answer = spoken_to(tiny())
    one.advance()
    assert one.is_busy
    one.advance()
    assert one.is_busy
    answer("", 1000.0)
    one.advance()
    assert not one.is_busy
    assert one.worth_at >= time.monotonic() + 3990  # four times as long as it took
    one.worth_at = 0.0
    one.advance()
    assert one.is_busy


def test_only_the_first_failure_is_told(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    one, answer = spoken_to(tiny())
    for _ in range(3):
        one.advance()
        answer("site/index.html is in the way", 0.0)
        one.advance()
    said = capsys.readouterr().err
    assert said.count("warning: pages cannot be looked at while this goes on: site/index") == 1


def test_process_is_of_the_lowest_priority_and_out_of_reach_of_the_terminal(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=1, recipe=("pyramid",))
    build(config)
    one = Live(config=config, progress=Progress(quiet=True), worth_at=0.0, is_on=True)
    one.advance()
    assert one.process is not None
    began = time.monotonic()
    while os.getpriority(os.PRIO_PROCESS, one.process.pid) != 19:
        assert time.monotonic() < began + LIMIT
    assert os.getpgid(one.process.pid) != os.getpgid(0)
    process = one.process
    one.stop()
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.usefixtures("at_once")
def test_process_ends_with_the_build_that_started_it(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=1, recipe=("pyramid",))
    build(config)
    one = Live(config=config, progress=Progress(quiet=True), worth_at=0.0, is_on=True)
    one.advance()
    answered(one)
    assert one.pipe is not None
    assert one.process is not None
    one.pipe.close()  # as the system does if the build is killed
    assert one.process.wait(LIMIT) == 0


def test_exception_in_a_notebook_stops_the_process(tiny: Tiny) -> None:
    stopped: list[Live] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Live, "stop", lambda self: stopped.append(self))
        with pytest.raises(ZeroDivisionError), live_pages(tiny(live="on"), Progress(quiet=True)):
            raise ZeroDivisionError
    assert len(stopped) == 1


def test_two_builds_write_in_one_site_one_after_the_other(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with turn(tmp_path, lambda: (order.append("waits"), entered.set())):  # type: ignore[arg-type, func-returns-value]
            order.append("second")

    with turn(tmp_path, lambda: order.append("never")):
        other = threading.Thread(target=second)
        other.start()
        assert entered.wait(LIMIT)
        order.append("first")
    other.join(LIMIT)
    assert order == ["waits", "first", "second"]
    assert list(tmp_path.iterdir()) == []
