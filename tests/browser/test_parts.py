"""An atlas in two sites side by side is walked through as if it were one."""

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

from tests.browser import sites
from tests.browser.sites import FIRST, Site, marks
from tests.browser.test_links import BROKEN, follow
from tests.synthetic import parted

pytestmark = marks

PAGES = (
    *("index.html", "search.html", f"{FIRST}/index.html", f"{FIRST}/wall.html"),
    *(f"{FIRST}/quiz.html", "lists/first-tour/index.html", "lists/first-tour/1.html"),
    f"second/compare/{FIRST}.html",
)
"""Pages that every part has."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The folder of two sites that show two models."""
    folder, (first, second) = tmp_path_factory.mktemp("parts"), sites.two_models()
    for number in (1, 2):
        site = folder / f"atlas-{number}"
        sites.build(site, first, lists=True, part=parted(first, site, number, 2))
        sites.build(site, second, compare=first, lists=True, part=parted(second, site, number, 2))
    with sites.served(folder) as served:
        yield served


@pytest.fixture(params=["http", "file"])
def beside(request: pytest.FixtureRequest, parts: Site) -> str:
    """The address of the folder that holds both sites."""
    return str(getattr(parts, request.param))


def of_layer(parts: Site, number: int) -> str:
    """The first layer of a part."""
    folder = parts.folder / f"atlas-{number}" / FIRST
    return (folder / "units.csv").read_text("utf-8").splitlines()[1].split(",")[0]


def test_clicks_lead_to_a_unit_of_the_other_part_and_back(
    beside: str, parts: Site, page: Page
) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    layer = of_layer(parts, 2)
    page.goto(f"{beside}atlas-1/index.html")
    follow(page, f"#{FIRST} a")
    row = page.locator(f'section.row[id="{layer}"]')
    assert "in part 2" in row.inner_text()
    follow(page, f'section.row[id="{layer}"] h2 a')
    assert page.url == f"{beside}atlas-2/{FIRST}/{layer}/index.html"
    follow(page, ".card > a")
    assert page.url.startswith(f"{beside}atlas-2/{FIRST}/{layer}/")
    assert page.evaluate(BROKEN) == []
    follow(page, "nav.trail li:nth-last-child(2) a")
    assert "part 1" in page.locator("a[rel=prev]").inner_text()
    follow(page, "a[rel=prev]")
    assert page.url.startswith(f"{beside}atlas-1/{FIRST}/")
    assert "part 2" in page.locator("a[rel=next]").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"{beside}atlas-2/{FIRST}/{layer}/index.html")
    assert said == []


def test_the_line_on_every_part_leads_to_the_same_page_of_the_other(
    beside: str, page: Page
) -> None:
    for path in ("search.html", f"{FIRST}/index.html", f"{FIRST}/wall.html"):
        page.goto(f"{beside}atlas-1/{path}")
        line = page.get_by_label("Parts of Synthetic")
        assert "part 1 of 2" in line.inner_text()
        with page.expect_navigation():
            line.get_by_role("link", name="Part 2").click()
        assert page.url == f"{beside}atlas-2/{path}"
        with page.expect_navigation():
            line.get_by_role("link", name="Part 1").click()
        assert page.url == f"{beside}atlas-1/{path}"


def test_every_picture_loads_also_those_of_the_other_part(beside: str, page: Page) -> None:
    for number in (1, 2):
        for path in PAGES:
            page.goto(f"{beside}atlas-{number}/{path}")
            assert page.evaluate(BROKEN) == [], path
    page.goto(f"{beside}atlas-1/{FIRST}/images/0.html")
    assert page.evaluate(BROKEN) == []
    assert page.locator('img[src*="/atlas-2/"]').count()


@pytest.mark.parametrize("width", [360, 1400])
def test_no_page_of_a_part_scrolls_sideways(
    beside: str, window: Callable[..., BrowserContext], width: int
) -> None:
    page = window(viewport={"width": width, "height": 800}).new_page()
    for path in PAGES:
        page.goto(f"{beside}atlas-2/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_axe_finds_no_violation_on_the_pages_of_a_part(parts: Site, page: Page) -> None:
    for path in PAGES:
        page.goto(f"{parts.http}atlas-2/{path}")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"


def test_random_leads_to_units_of_the_part_itself(parts: Site, page: Page) -> None:
    own = {path.parent.name for path in (parts.folder / "atlas-2").glob("*/*/layer.json")}
    page.goto(f"{parts.http}atlas-2/index.html")
    page.keyboard.press("r")
    page.wait_for_url(lambda url: url.rsplit("/", 1)[1].split(".")[0].isdigit())
    assert page.url.startswith(f"{parts.http}atlas-2/")
    assert page.url.split("/")[-2] in own | {"classes"}
