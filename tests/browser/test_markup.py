"""The markup of every page is valid (15); it takes no browser to say so."""

import subprocess
from pathlib import Path

import pytest

from tests import tools
from tests.browser.sites import Site

pytestmark = pytest.mark.browser


@pytest.fixture
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Nu HTML checker, fetched by npm into a temporary folder."""
    tools.need("java")
    folder = tmp_path_factory.mktemp("vnu")
    command = [tools.need("npm"), "install", "--no-audit", "--no-fund", "vnu-jar"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        tools.missing(f"needs npm's package vnu-jar: {done.stderr.strip()[-300:]}")
    return next(folder.rglob("vnu.jar"))


def test_the_nu_html_checker_finds_no_error_on_any_page(site: Site, checker: Path) -> None:
    pages = sorted(str(path) for path in site.folder.rglob("*.html"))
    command = ["java", "-Xss1m", "-jar", str(checker), "--errors-only", "--format", "text", *pages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
