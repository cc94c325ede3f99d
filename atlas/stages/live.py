"""Pages to look at while a build goes on: another process brings the site up to date.

`live_pages` gives a `Live`, whose `advance` is called whenever there is more to show. The process
has the lowest priority, reads only the cache, and rests so long after each turn that it takes a
small part of the time. What goes wrong in it is one warning: the build does not need it, makes the
site itself at its end, and makes the same one with it or without.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

import cv2

from ..cache.selection import selection_path
from ..config import Config
from ..errors import AtlasError, one_line
from ..progress import Progress
from .write import our_turn, write_selected

PATIENCE = 5.0
"""Seconds that a build takes before it is worth to look at its pages."""

REST = 4
"""Times as long as its last turn took that the process rests."""

STOP_LIMIT = 10.0
"""Seconds that the process may take to leave the site in order when it is stopped."""

START = (
    "import os; os.nice(19); import sys; sys.path[:] = {path!r}; "
    "from atlas.stages.live import serve; serve{arguments!r}"
)
"""The program of the process; see `images.sandbox.START`."""


@dataclass(slots=True, kw_only=True)
class Live:
    """Has the pages of an atlas brought up to date, in a process started at the first call.

    Attributes:
        config, progress: of the run.
        worth_at: when pages are first worth to be shown, and later when the rest ends.
    """

    config: Config
    progress: Progress
    worth_at: float
    is_on: bool
    process: "subprocess.Popen[bytes] | None" = None
    pipe: Connection | None = None
    is_busy: bool = False
    has_said: set[str] = field(default_factory=set)

    def advance(self) -> None:
        """Have the pages brought up to date, unless that is under way, or too soon."""
        if not self.is_on:
            return
        try:
            self.hear()
            if not self.is_busy and time.monotonic() >= self.worth_at:
                self.ask()
        except (OSError, EOFError) as error:
            self.stop()
            self.warn(f"its process is lost ({one_line(error)})")

    def hear(self) -> None:
        """Take the answer of the process, if there is one."""
        if self.pipe is None or not self.pipe.poll():
            return
        answer = json.loads(self.pipe.recv_bytes())
        self.is_busy = False
        self.worth_at = time.monotonic() + REST * answer["seconds"]
        if answer["error"]:
            self.warn(answer["error"])
        else:
            self.say_once(f"{self.config.site / 'index.html'}: can be looked at while this goes on")

    def ask(self) -> None:
        """Let the process begin; start it if need be."""
        self.pipe = self.pipe or self.start()
        self.pipe.send_bytes(b"go")
        self.is_busy = True

    def start(self) -> Connection:
        """Start the process."""
        here, there = Pipe()
        selection = selection_path(self.config.cache, self.config.atlas_name)
        words = (str(selection), str(self.config.cache), str(self.config.site))
        options = (self.config.site_url, self.config.lists, self.config.site_part)
        arguments = (there.fileno(), *words, *options)
        path = list(map(str, sys.path))
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START.format(path=path, arguments=arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                process_group=0,  # Ctrl-C in a terminal is for the build to act on
            )
        return here

    def stop(self) -> None:
        """End the process, now and for good; the site is as it was at its last turn."""
        self.is_on = self.is_busy = False
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None

    def warn(self, text: str) -> None:
        """Warn of the first failure; the others are like it."""
        if "warning" not in self.has_said:
            self.progress.warn(f"pages cannot be looked at while this goes on: {text}")
        self.has_said.add("warning")

    def say_once(self, text: str) -> None:
        """Say a thing that is said once."""
        if text not in self.has_said:
            self.progress.say(text)
        self.has_said.add(text)


@contextmanager
def live_pages(config: Config, progress: Progress) -> Iterator[Live]:
    """Let pages be looked at until the block ends, with --live on and all units in one build."""
    is_on = config.live == "on" and config.shard == (1, 1)
    worth_at = time.monotonic() + PATIENCE
    live = Live(config=config, progress=progress, worth_at=worth_at, is_on=is_on)
    try:
        yield live
    finally:
        live.stop()


# --- in the other process ------------------------------------------------------------------------


def serve(
    pipe_descriptor: int,
    selection: str,
    cache: str,
    site: str,
    site_url: str,
    lists: str,
    site_part: tuple[int, int],
) -> None:
    """Bring the site up to date whenever asked, until the other end of the pipe is closed.

    Args:
        pipe_descriptor: of an inherited pipe.
        selection: path of what the pages are to show.
        cache, site, site_url, lists, site_part: as of the build.
    """
    signal.signal(signal.SIGTERM, leave)
    cv2.setNumThreads(1)
    config = Config(
        cache=Path(cache),
        site=Path(site),
        site_url=site_url,
        lists=lists,
        site_part=site_part,
        quiet=True,
    )
    with suppress(EOFError, OSError), Connection(pipe_descriptor) as pipe:
        while True:
            pipe.recv_bytes()
            began = time.process_time()
            error = refresh(Path(selection), config)
            spent = time.process_time() - began
            pipe.send_bytes(json.dumps({"error": error, "seconds": spent}).encode())


def leave(_number: int, _frame: FrameType | None) -> None:
    """End the process in order: what is half done is taken away on the way out."""
    raise SystemExit


def refresh(selection: Path, config: Config) -> str:
    """Bring the site up to date with the cache; returns what went wrong, or ""."""
    try:
        progress = Progress(quiet=True)
        with our_turn(config, progress):
            write_selected(selection, config, progress)
    except AtlasError as error:
        return str(error)
    except Exception as error:  # whatever it is, the build must not know more of it than a line
        return one_line(error)
    return ""
