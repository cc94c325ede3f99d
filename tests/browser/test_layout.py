"""Requests, layout, pictures, colour schemes and small screens (checks 7, 8, 11, 12)."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.sites import Site, marks
from tests.browser.test_links import BROKEN, open_settled

pytestmark = marks

WATCH_SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) window.shifted += each.value;
  }).observe({ type: "layout-shift", buffered: true });
}"""

UNDESCRIBED = """() => [...document.images]
  .filter((image) => !(image.getAttribute("width") && image.getAttribute("height")))
  .concat([...document.images].filter((image) => !image.alt.trim()))
  .map((image) => image.outerHTML)"""

SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, select, input, summary")]
  .filter((node) => node.checkVisibility())
  .filter((node) => !node.closest("p, dd, figcaption, .prose li, .skip, .chart"))
  .map((node) => [node.outerHTML.slice(0, 120), node.getBoundingClientRect()])
  .filter(([, box]) => box.width && Math.min(box.width, box.height) < 23.9)
  .map(([text, box]) => `${text} ${box.width} × ${box.height}`)"""
"""Targets below 24 px (WCAG 2.2, 2.5.8), besides links inside a sentence, and bars, whose width is
data."""


def test_a_layer_of_1024_units_asks_for_at_most_40_pictures_and_does_not_jump(
    wide: Site, window: Callable[..., BrowserContext]
) -> None:
    page = window(viewport={"width": 1400, "height": 1000}).new_page()
    page.add_init_script(f"({WATCH_SHIFTS})()")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{wide.http}wide/conv_stem/index.html", wait_until="networkidle")
    assert 0 < len([url for url in asked if url.endswith(".jpg")]) <= 40
    for _ in range(8):
        page.mouse.wheel(0, 1500)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.evaluate("() => window.shifted") < 0.02


def test_every_picture_has_size_and_words_and_loads(
    site: Site, page: Page, pages_of_each_type: dict[str, str]
) -> None:
    for path in pages_of_each_type.values():
        open_settled(page, site.http + path)
        assert page.evaluate(UNDESCRIBED) == [], path
        assert page.evaluate(BROKEN) == [], path


def test_every_card_of_a_layer_has_a_name(site: Site, page: Page) -> None:
    page.goto(f"{site.http}synthetic/inception4c/index.html")
    for card in page.locator(".card > a").all():
        channel = str(card.get_attribute("href")).removesuffix(".html")
        assert channel in card.aria_snapshot()


OUTSIDE = """(names) => names
  .filter((name) => [...name.children].some((part) =>
    part.getBoundingClientRect().bottom > name.getBoundingClientRect().bottom + 1))
  .map((name) => name.textContent)"""


def test_label_and_reach_stand_on_the_line_of_the_channel(site: Site, page: Page) -> None:
    page.goto(f"{site.http}synthetic/inception4c/index.html")
    assert page.locator(".card .name .reach").count() > 0
    assert page.locator(".card .name").evaluate_all(OUTSIDE) == []


def background(page: Page) -> str:
    return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


def test_colours_follow_the_system_and_the_choice_persists(
    site: Site, window: Callable[..., BrowserContext]
) -> None:
    page = window(color_scheme="light").new_page()
    page.goto(f"{site.http}index.html")
    light = background(page)
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert light != dark
    page.locator("#theme").click()
    assert (page.locator("#theme").inner_text(), background(page)) == ("Theme: light", light)
    page.goto(f"{site.http}about.html")
    assert (page.locator("#theme").inner_text(), background(page)) == ("Theme: light", light)
    page.locator("#theme").click()
    page.emulate_media(color_scheme="light")
    assert (page.locator("#theme").inner_text(), background(page)) == ("Theme: dark", dark)


@pytest.mark.parametrize("script", [True, False])
def test_360_px_are_enough_without_sideways_scroll_or_tiny_targets(
    site: Site,
    window: Callable[..., BrowserContext],
    pages_of_each_type: dict[str, str],
    script: bool,
) -> None:
    page = window(viewport={"width": 360, "height": 740}, java_script_enabled=script).new_page()
    found = []
    for path in pages_of_each_type.values():
        page.goto(site.http + path)
        width = page.evaluate("() => document.scrollingElement.scrollWidth")
        found += [f"{path} is {width} px wide"] if width > 360 else []
        found += [f"{path}: {target}" for target in page.evaluate(SMALL_TARGETS)]
    assert found == []


def test_every_page_begins_at_the_top(
    site: Site, page: Page, pages_of_each_type: dict[str, str]
) -> None:
    tops = {}
    for kind, path in pages_of_each_type.items():
        page.goto(site.http + path)
        tops[kind] = page.evaluate("() => document.body.getBoundingClientRect().top")
    del tops["404"]  # its few lines stand in the middle
    assert set(tops.values()) == {0}, tops


def test_a_full_page_screenshot_and_print_show_every_row(site: Site, page: Page) -> None:
    page.goto(f"{site.http}synthetic/index.html")
    page.emulate_media(media="print")
    hidden = (
        "(rows) => rows.filter((row) => getComputedStyle(row).contentVisibility === 'auto').length"
    )
    assert page.locator(".row").evaluate_all(hidden) == 0
    assert page.locator(".scripted:visible").count() == 0
