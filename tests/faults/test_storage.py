"""Nothing that was committed is lost: every fault at every call, and builds killed anywhere."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.conftest import SOAK, Job

GROUPS = ("1", "8", "31", "32", "100")
"""Units already there: one, some, a block but one, a block, several blocks."""

COMMITS: list[Job] = [
    *(("exhaust", what, units) for what in ("ranking", "rendering", "key") for units in GROUPS),
    ("exhaust", "network", "32"),
    *(("exhaust", "site", units) for units in ("1", "8")),
    *(("exhaust", "site", u, *([] if SOAK else ["few"])) for u in ("31", "32", "100")),
]
"""A commit to a site of 100 pages is 320 calls: two of the seven faults, all when soaking."""

BUILDS: dict[Job, str] = {
    ("builds", "between_commits", "1"): "storage: between commits",
    ("builds", "at_random", "300" if SOAK else "30"): "storage: random kills",
    ("builds", "started_twice", "200" if SOAK else "20"): "storage: two runs",
    ("builds", "site_crashes", "1" if SOAK else "30"): "site: crashes",
    ("builds", "holder_killed", "50" if SOAK else "5"): "storage: two runs",
}


def lost(problems: list[str]) -> int:
    """Count the problems about missing results."""
    return sum("lost" in text for text in problems)


@pytest.mark.parametrize("job", [*BUILDS], ids=lambda job: "-".join(job[1:]))
def test_builds_killed_anywhere_end_as_undisturbed_ones(
    job: Job, report: dict[str, Any], score: Callable[..., None]
) -> None:
    tried, problems = report["tried"], report["problems"]
    row, survived = BUILDS[job], tried - len({text.split(":")[0] for text in problems})
    score(row=row, tried=tried, survived=survived, units=report["units"], lost=lost(problems))
    assert problems == []
    assert tried >= 5


@pytest.mark.parametrize("job", COMMITS, ids=lambda job: "-".join(job[1:]))
def test_every_fault_at_every_call_of_a_commit_loses_nothing(
    job: Job, report: dict[str, Any], score: Callable[..., None]
) -> None:
    tried, problems = report["tried"], report["problems"]
    survived = tried - len({text.split(":")[0] for text in problems})
    score(
        row="storage: every call",
        tried=tried,
        survived=survived,
        units=report["units"],
        lost=lost(problems),
    )
    assert problems == []
    assert tried > 50
