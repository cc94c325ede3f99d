"""The installed packages are the declared ones, and CI has few permissions."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.lock import lock, normalise
from tests.faults.scoreboard import ROWS
from tests.faults.shim import ROOT

ROW = "supply"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKED = re.compile(r"([a-z0-9-]+)==([^ ;]+) --hash=sha256:[0-9a-f]{64}")
ALLOWED = {"contents: read", "pages: write", "id-token: write"}
"""Permissions that a workflow may ask for; the last two are what publishing a site needs."""


def wanted() -> dict[str, str]:
    """Package → condition, for all that pyproject.toml asks for and the lock file holds."""
    extras = PROJECT["optional-dependencies"]
    lines = [
        *PROJECT["dependencies"],
        *(line for e in ("demo", "publish", "dev") for line in extras[e]),
    ]
    return {normalise(re.split(r"[<>=!\[]", line)[0]): line for line in lines}


def numbers(version: str) -> tuple[int, ...]:
    """`2.14.1+cpu` as (2, 14, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0]))


def satisfies(version: str, condition: str) -> bool:
    """Return whether a version obeys `>=`, `<` and `==` conditions."""
    rules = re.findall(r"(>=|<|==)([\d.]+)", condition)
    order = {
        ">=": lambda a, b: a >= b,
        "<": lambda a, b: a < b,
        "==": lambda a, b: a[: len(b)] == b,
    }
    return all(order[sign](numbers(version), numbers(bound)) for sign, bound in rules)


def test_the_lock_file_holds_every_dependency_at_an_allowed_version(
    score: Callable[..., None],
) -> None:
    locked = dict(LOCKED.findall(LOCK))
    for name, condition in wanted().items():
        assert satisfies(locked[name], condition), f"{name} {locked.get(name)} for {condition}"
    score(row=ROW, tried=len(wanted()), survived=len(wanted()))


def test_every_line_of_the_lock_file_has_a_digest_and_none_an_address() -> None:
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    assert lines == sorted(lines)
    assert all(LOCKED.fullmatch(line) for line in lines)
    assert "://" not in LOCK


def test_the_lock_file_is_what_its_own_program_writes() -> None:
    report: dict[str, Any] = {
        "install": [
            {
                "metadata": {"name": name.replace("-", "_"), "version": version},
                "download_info": {"archive_info": {"hashes": {"sha256": digest}}},
            }
            for name, version, digest in re.findall(r"(\S+)==(\S+) --hash=sha256:(\S+)", LOCK)
        ]
    }
    assert lock(report) == LOCK


def test_every_dependency_has_a_lower_bound() -> None:
    assert [line for line in wanted().values() if ">=" not in line] == []


def faults(workflow: str) -> list[str]:
    """List the permissions of a workflow that it should not have."""
    found = []
    blocks = re.findall(r"^( *)permissions:(.*)\n((?:\1 +\S.*\n)*)", workflow, re.MULTILINE)
    if not any(not indent for indent, _, _ in blocks):
        found.append("no permissions at the top: it has whatever the repository grants")
    for _, inline, lines in blocks:
        asked = {line.split("#")[0].strip() for line in lines.splitlines()}
        found += [f"permission {one}" for one in {*asked, inline.strip()} - {""} - ALLOWED]
    for name in re.findall(r"uses: (\S+)", workflow):
        if not re.fullmatch(r"[\w./-]+@(v\d[\w.]*|[0-9a-f]{40})", name):
            found.append(f"action {name} is not pinned")
    if "pull_request_target" in workflow:
        found.append("it runs foreign code with this repository's rights")
    found += [
        f"{one} in a command" for one in re.findall(r"run:.*(\$\{\{ *github\.[^}]*)", workflow)
    ]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_do_little(path: Path, score: Callable[..., None]) -> None:
    assert faults(path.read_text("utf-8")) == []
    score(row=ROW, tried=1, survived=1)


@pytest.mark.parametrize(
    "change",
    [
        ("contents: read", "contents: write"),
        ("permissions:\n  contents: read", "permissions: write-all"),
        ("permissions:\n  contents: read\n", ""),
        ("@v4", "@main"),
    ],
)
def test_a_workflow_that_may_do_more_would_fail(
    change: tuple[str, str], score: Callable[..., None]
) -> None:
    text = next(path for path in WORKFLOWS if path.stem == "ci").read_text("utf-8")
    assert change[0] in text
    assert faults(text.replace(*change)) != []
    score(row=ROW, tried=1, survived=1)


def test_the_audit_runs_every_week_and_reads_the_lock_file() -> None:
    text = next(path for path in WORKFLOWS if path.stem == "scheduled").read_text("utf-8")
    assert re.search(r"cron: .* [0-7]\"?$", text, re.MULTILINE)
    assert re.search(r"pip-audit .*-r requirements\.lock", text)
    assert "continue-on-error" not in text


def test_the_documentation_holds_every_row_of_the_scoreboard() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    assert [row for row in ROWS if f"| {row}: {ROWS[row]} |" not in text] == []


def test_every_row_of_the_scoreboard_is_scored_by_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [row for row in ROWS if f'"{row}"' not in tests] == []
