"""Programs that some tests need and pip does not bring: found, or said to be missing.

Where one is missing its tests are skipped, and the last lines of the run say so. In CI, where
`.ci/run` has asked for all of them, they fail.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

CI = os.environ.get("CI") == "true"
NEEDS = "needs "
"""First words of the reason of every such skip."""

PROGRAMS = {
    "a browser": (
        *filter(None, [os.environ.get("CHROMIUM")]),
        *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    ),
    "java": ("java",),
    "npm": ("npm",),
    "a C compiler": ("cc",),
}
"""Tool → names under which it may be installed, the first one present."""

SOURCES = {
    "a browser": "apt-get install chromium, or CHROMIUM=/path/to/chrome",
    "java": "apt-get install default-jre-headless",
    "npm": "apt-get install npm, or Node.js from nodejs.org",
    "a C compiler": "apt-get install gcc libc6-dev",
}


def find(what: str) -> str:
    """Path of a program, or "" where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS[what])), "")


def reason(what: str) -> str:
    """Why a test is skipped, and how to get what it needs."""
    return f"{NEEDS}{what}: {SOURCES[what]}"


def need(what: str) -> str:
    """Path of a program; without it the test is skipped, or fails in CI."""
    return find(what) or missing(reason(what))


def missing(why: str) -> str:
    """Skip the test, or fail in CI, where everything has to be there."""
    if CI:
        pytest.fail(why)
    pytest.skip(why)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Say behind everything else which tests were skipped for want of a program."""
    yield
    reports = terminalreporter.stats.get("skipped", [])
    for line in missed(str(report.longrepr[2]) for report in reports):
        terminalreporter.write_line(line, yellow=True)


def missed(reasons: Iterable[str]) -> list[str]:
    """One line for each program that was missing, from the reasons of all skipped tests."""
    needs = [why.removeprefix("Skipped: ") for why in reasons]
    needs = [why for why in needs if why.startswith(NEEDS)]
    return [f"{counted(needs.count(why))} skipped: {why}" for why in sorted(set(needs))]


def counted(tests: int) -> str:
    """Return the number of tests in words."""
    return "1 test was" if tests == 1 else f"{tests} tests were"
