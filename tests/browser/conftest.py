"""One browser, three sites; each test gets a window of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import tools
from tests.browser import sites
from tests.browser.sites import Site

TIMEOUT = 10_000
"""Milliseconds after which a page that does not answer is an error."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A running browser; nothing is downloaded."""
    with sync_playwright() as playwright:
        path = tools.need("a browser")
        browser = playwright.chromium.launch(executable_path=path, args=sites.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two models, every page of which can be opened."""
    folder = tmp_path_factory.mktemp("site")
    first, second = sites.two_models()
    sites.build(folder, first, lists=True)
    sites.build(folder, second, compare=first, lists=True)
    with sites.served(folder) as served:
        yield served


@pytest.fixture(scope="package")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A layer of 1,024 units."""
    folder = tmp_path_factory.mktemp("wide")
    sites.build(folder, sites.wide_atlas(), side=64, variety=64)
    with sites.served(folder) as served:
        yield served


@pytest.fixture(params=["http", "file"])
def address(request: pytest.FixtureRequest, site: Site) -> str:
    """The address of the site: served under a prefix, and as plain files."""
    return str(getattr(site, request.param))


@pytest.fixture
def window(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Open windows with settings of their own."""
    opened: list[BrowserContext] = []

    def open_window(**settings: Any) -> BrowserContext:
        context = chromium.new_context(**settings)
        context.set_default_timeout(TIMEOUT)
        opened.append(context)
        return context

    yield open_window
    for context in opened:
        context.close()


@pytest.fixture
def page(window: Callable[..., BrowserContext]) -> Page:
    """An empty page."""
    return window().new_page()


@pytest.fixture
def pages_of_each_type(site: Site) -> dict[str, str]:
    """Path of one page of each type; the unit is the one with a label."""
    layer = f"{sites.FIRST}/inception4c"
    return {
        "home": "index.html",
        "about": "about.html",
        "search": "search.html?q=inception",
        "404": "404.html",
        "model": f"{sites.FIRST}/index.html",
        "wall": f"{sites.FIRST}/wall.html",
        "wall with colours": f"{sites.FIRST}/wall.html?colour=ident&find=447",
        "quiz": f"{sites.FIRST}/quiz.html",
        "quiz that runs": f"{sites.FIRST}/quiz.html?seed=3",
        "layer": f"{layer}/index.html",
        "unit": f"{layer}/447.html",
        "excites": f"{layer}/excites.html",
        "embedded": f"{layer}/447.embed.html",
        "search for a tag": "search.html?tag=edges",
        "lists": "lists/index.html",
        "list": "lists/first-tour/index.html",
        "stop": "lists/first-tour/1.html",
        "stop without its unit": "lists/first-tour/3.html",
        "images": f"{sites.FIRST}/images/index.html",
        "image": f"{sites.FIRST}/images/0.html",
        "image that was not fooled": f"{sites.FIRST}/images/2.html",
        "image without a classifier": "second/images/1.html",
        "classes": f"{sites.FIRST}/classes/index.html",
        "class": f"{sites.FIRST}/classes/447.html",
        "compare": f"second/compare/{sites.FIRST}.html",
        "unrendered": unit_of(site.folder / sites.FIRST, "unrendered"),
        "dead": unit_of(site.folder / sites.FIRST, "dead"),
    }


def unit_of(model: Path, status: str) -> str:
    """Page of a unit with a status, from the model's units.csv."""
    rows = [row.split(",") for row in (model / "units.csv").read_text().splitlines()]
    names = rows[0]
    found = [row for row in rows[1:] if row[names.index("status")] == status]
    return f"{model.name}/{found[0][names.index('page')]}"
