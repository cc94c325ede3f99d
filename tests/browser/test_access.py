"""Keyboard and assistive technology (checks 9 and 10)."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.sites import FIRST, Site, marks
from tests.browser.test_links import open_settled

pytestmark = marks

FOCUS = """() => document.activeElement.matches(":focus-visible")
  && getComputedStyle(document.activeElement).outlineStyle"""


def test_tab_shows_where_it_is_and_the_skip_link_leads_to_the_content(
    site: Site, page: Page
) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/447.html")
    page.keyboard.press("Tab")
    assert page.locator(".skip").evaluate("(link) => link === document.activeElement")
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS) == "solid"
        assert page.locator("main :focus").count() == 1


def href(link: Locator) -> str:
    return str(link.get_attribute("href"))


def test_keys_search_turn_pages_and_keep_quiet_while_typing(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/index.html")
    start = f"{page.url.removesuffix('index.html')}{href(page.locator('.card > a').first)}"
    page.locator(".card > a").first.click()
    page.wait_for_url(start)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != start)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(start)
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("a/b")
    page.keyboard.press("ArrowRight")
    assert page.locator("#q").input_value() == "a/b"
    assert page.url == start
    page.keyboard.press("Escape")
    expect(page.locator("#q")).not_to_be_focused()


def test_arrows_walk_through_the_results(site: Site, page: Page) -> None:
    page.goto(f"{site.http}index.html")
    page.keyboard.press("/")
    page.keyboard.type("inception4c")
    expect(page.locator("#hits a").nth(1)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#hits a").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#hits")).to_be_hidden()


def test_the_viewer_closes_by_escape_and_gives_the_focus_back(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/447.html")
    link = page.locator(".nine a.open").first
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.viewer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.viewer")).to_be_hidden()
    expect(link).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_any_type_of_page(
    site: Site,
    window: Callable[..., BrowserContext],
    pages_of_each_type: dict[str, str],
    scheme: str,
) -> None:
    page = window(color_scheme=scheme).new_page()
    for kind, path in pages_of_each_type.items():
        open_settled(page, site.http + path)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{kind}: {found.generate_report()}"
