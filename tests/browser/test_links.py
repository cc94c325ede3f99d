"""Every link leads somewhere, every picture is there, and people find their way (checks 1 to 3)."""

from collections.abc import Callable
from urllib.parse import urldefrag

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.sites import FIRST, Site, marks

pytestmark = marks

REFERENCES = """() => {
  const found = [];
  for (const node of document.querySelectorAll("[href], [src], [srcset]")) {
    for (const name of ["href", "src"]) {
      const value = node.getAttribute(name);
      if (value !== null) found.push(new URL(value, location.href).href);
    }
    for (const candidate of (node.getAttribute("srcset") || "").split(", ").filter(Boolean))
      found.push(new URL(candidate.split(" ")[0], location.href).href);
  }
  return { found, ids: [...document.querySelectorAll("[id]")].map((node) => node.id) };
}"""

BROKEN = """async () => {
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  await Promise.all(images.map((image) => image.decode().catch(() => null)));
  return images.filter((image) => !image.naturalWidth).map((image) => image.src);
}"""
"""Load every picture of the page and name those that have no pixels."""


def test_every_link_picture_and_fragment_resolves_and_nothing_leaves_the_site(
    address: str, page: Page, site: Site
) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: said.append(f"{request.failure}: {request.url}"))
    ids: dict[str, set[str]] = {}
    links: set[str] = set()
    todo = ["index.html", "404.html"]
    while todo:
        path = todo.pop()
        if path in ids:
            continue
        page.goto(address + path)
        assert page.evaluate(BROKEN) == [], path
        seen = page.evaluate(REFERENCES)
        ids[path] = set(seen["ids"])
        links |= {url for url in seen["found"] if not url.startswith(("data:", "https://arxiv"))}
        todo += [site.path_of(url) for url in seen["found"] if is_page(url, address)]
    assert [line for line in said if not line.startswith("net::ERR_ABORTED")] == []  # left behind
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert sorted({site.path_of(url) for url in links if not exists(site, url)}) == []
    assert sorted(url for url in links if not has_fragment(site, url, ids)) == []
    assert set(ids) == {path.relative_to(site.folder).as_posix() for path in all_pages(site)}


def open_settled(page: Page, url: str) -> None:
    """Open a page and wait for the results of its search, where it has one."""
    page.goto(url)
    if "?q=" in url:
        expect(page.locator("#results a").first).to_be_visible()


def is_page(url: str, address: str) -> bool:
    return url.startswith(address) and urldefrag(url)[0].split("?")[0].endswith((".html", "/"))


def exists(site: Site, url: str) -> bool:
    return (site.folder / site.path_of(url)).is_file()


def has_fragment(site: Site, url: str, ids: dict[str, set[str]]) -> bool:
    fragment = urldefrag(url)[1]
    return not fragment or fragment in ids[site.path_of(url)]


def all_pages(site: Site) -> list:
    return list(site.folder.rglob("*.html"))


def follow(page: Page, link: str) -> None:
    """Click the first such link and wait for its page."""
    with page.expect_navigation():
        page.locator(link).first.click()


def check_frame(page: Page, titles: set[str], here: str) -> None:
    """One heading, a title not seen before, breadcrumbs that end in this page."""
    assert page.locator("h1").count() == 1
    assert page.title() not in titles
    titles.add(page.title())
    if here:
        assert page.locator("nav.trail [aria-current=page]").inner_text() == here


def test_clicks_lead_from_home_to_a_unit_to_the_next_and_back(address: str, page: Page) -> None:
    titles: set[str] = set()
    page.goto(f"{address}index.html")
    check_frame(page, titles, "")
    follow(page, f"#{FIRST} a")
    check_frame(page, titles, "Synthetic")
    follow(page, "#inception4c h2 a")
    check_frame(page, titles, "inception4c")
    first, second = (page.locator(".card > a").nth(at).get_attribute("href") for at in (0, 1))
    follow(page, ".card > a")
    check_frame(page, titles, str(first).removesuffix(".html"))
    follow(page, "a[rel=next][data-key=ArrowRight]")
    check_frame(page, titles, str(second).removesuffix(".html"))
    page.go_back()
    assert page.url.endswith(f"/{first}")
    follow(page, "nav.trail li:nth-last-child(2) a")
    assert page.url.endswith("/inception4c/index.html")


def test_clicks_lead_from_the_model_to_a_class_and_to_the_next(address: str, page: Page) -> None:
    page.goto(f"{address}{FIRST}/index.html")
    follow(page, "#classes h2 a")
    check_frame(page, set(), "Classes")
    names = page.locator(".card .name").all_inner_texts()
    follow(page, ".card > a")
    check_frame(page, set(), names[0])
    with page.expect_navigation():
        page.keyboard.press("ArrowRight")
    check_frame(page, set(), names[1])


def test_without_script_all_levels_are_reached_and_all_pictures_shown(
    address: str, window: Callable[..., BrowserContext]
) -> None:
    page = window(java_script_enabled=False).new_page()
    page.goto(f"{address}index.html")
    for step in (f"#{FIRST} a", "section.row h2 a", ".card > a"):
        assert page.evaluate(BROKEN) == [], page.url
        assert page.locator(".scripted:visible").count() == 0, page.url
        follow(page, step)
    assert page.evaluate(BROKEN) == []
    assert page.locator("button:visible, select:visible, input[type=range]:visible").count() == 0
    page.goto(f"{address}search.html")
    assert page.locator(".layers a:visible").count() == 4 + 1 + 3  # layers and classes, layers
