"""Lists and tours, tags, a unit by chance, and what people copy from the page of a unit."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser import sites
from tests.browser.sites import FIRST, LABEL, Site, marks
from tests.browser.test_links import BROKEN, follow

pytestmark = marks

TOUR = "lists/first-tour/"
UNIT = f"{FIRST}/inception4c/447.html"


def test_arrow_keys_lead_through_a_tour_and_back(address: str, page: Page) -> None:
    page.goto(f"{address}{TOUR}index.html")
    seen = []
    for _ in range(4):
        with page.expect_navigation():
            page.keyboard.press("ArrowRight")
        seen.append(page.url.removeprefix(address + TOUR))
        assert page.evaluate(BROKEN) == []
    assert seen == ["1.html", "2.html", "3.html", "4.html"]
    page.keyboard.press("ArrowRight")  # there is no fifth one
    for _ in range(4):
        with page.expect_navigation():
            page.keyboard.press("ArrowLeft")
    assert page.url == f"{address}{TOUR}index.html"


def test_home_leads_to_a_tour_without_script_and_a_stop_to_its_unit(
    address: str, window: Callable[..., BrowserContext]
) -> None:
    page = window(java_script_enabled=False).new_page()
    page.goto(f"{address}index.html")
    follow(page, "#lists a")
    follow(page, "h2 a")
    assert page.locator("h1").inner_text() == "A first tour"
    follow(page, "a.go")
    assert page.locator("h1").inner_text() == f"inception4c:447 {LABEL}"
    assert page.locator(".say").inner_text() == "Spirals & <i>eyes</i>."
    assert page.locator(".nine img").count() == 9
    follow(page, "a[rel=next]")
    assert page.locator("h1").inner_text() == "conv_stem:0"
    follow(page, "a[rel=prev]")
    follow(page, "p.facts a:nth-of-type(2)")
    assert page.url == address + UNIT
    page.goto(f"{address}{FIRST}/index.html")
    follow(page, "a.go[href='../lists/index.html']")


def test_a_unit_that_is_missing_is_named_on_the_list_and_at_its_stop(
    site: Site, page: Page
) -> None:
    page.goto(f"{site.http}{TOUR}index.html")
    missing = page.locator(".stops li", has_text="This site does not show this unit.")
    assert missing.locator("h2").all_inner_texts() == ["nowhere/at.all:1"]
    page.goto(f"{site.http}{TOUR}3.html")
    assert "does not show this unit" in page.locator("main").inner_text()
    assert page.locator(".say").inner_text() == "It is on no page."


def test_the_patches_of_a_stop_open_their_whole_images(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{TOUR}1.html")
    page.locator(".nine a").first.click()
    box = page.locator("dialog.viewer svg")
    expect(box).to_be_visible()
    assert box.get_attribute("viewBox") == "0 0 224 224"


# --- tags ----------------------------------------------------------------------------------------


def test_a_tag_narrows_the_search_and_stays_in_the_address(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/conv_stem/447.html")
    assert page.locator(".tags a").all_inner_texts() == ["edges", "curls"]
    follow(page, ".tags a")
    found = page.locator("#results a")
    expect(found).to_have_count(1)
    assert found.get_attribute("href") == f"{FIRST}/conv_stem/447.html"
    page.locator("#facets [name=tag]").select_option(LABEL)
    expect(found).to_have_attribute("href", UNIT)
    assert "tag=spiral+eyes" in page.url
    page.locator("#facets [name=model]").select_option("0")  # none of its units has this tag
    expect(found).to_have_count(0)


def test_without_script_each_tag_lists_its_units(
    address: str, window: Callable[..., BrowserContext]
) -> None:
    page = window(java_script_enabled=False).new_page()
    page.goto(f"{address}search.html")
    terms = page.locator("section[aria-labelledby=tags] dt")
    assert terms.all_inner_texts() == ["curls", "edges", LABEL]
    follow(page, f"dl.terms div:has-text('{LABEL}') a")
    assert page.url == address + UNIT


def test_a_layer_and_the_wall_show_the_units_of_a_tag(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/index.html")
    page.locator("#tools [name=tag]").select_option(LABEL)
    assert page.locator(".card:visible").evaluate_all("(all) => all.map((c) => c.id)") == ["u447"]
    page.reload()
    assert page.locator("#count").inner_text() == "1 of 7 units"
    page.goto(f"{site.http}{FIRST}/inception4c.branch2/index.html")
    expect(page.locator("#tools [name=tag]")).to_be_hidden()  # no unit has one
    page.goto(f"{site.http}{FIRST}/wall.html?tag=curls")
    expect(page.locator("#count")).to_have_text("1 of 28 units")
    page.locator("#look [name=tag]").select_option("")
    expect(page.locator("#count")).to_have_text("28 units")


# --- a unit by chance ----------------------------------------------------------------------------


def test_r_opens_a_unit_with_a_picture(address: str, site: Site, page: Page) -> None:
    for start in ("index.html", f"{FIRST}/index.html"):
        page.goto(address + start)
        page.keyboard.press("r")
        page.wait_for_url(re.compile(r"/\d+\.html$"))
        path = site.folder / page.url.removeprefix(address)
        assert json.loads(path.with_suffix(".json").read_text())["image"]


def test_r_is_a_letter_in_the_search(site: Site, page: Page) -> None:
    page.goto(f"{site.http}index.html")
    page.locator("#q").press("r")
    assert page.locator("#q").input_value() == "r"
    assert page.url == f"{site.http}index.html"


# --- copying and embedding -----------------------------------------------------------------------


@pytest.mark.parametrize(("place", "start"), [("#bibtex", "@misc{"), ("#markdown", "[![")])
def test_texts_are_copied_with_the_address_of_the_site(
    site: Site, window: Callable[..., BrowserContext], place: str, start: str
) -> None:
    context = window(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(site.http + UNIT)
    page.locator(".cite summary").click()
    page.locator(f".command:has({place}) button").click()
    expect(page.locator(f".command:has({place}) button")).to_have_text("Copied")
    text = page.evaluate("() => navigator.clipboard.readText()")
    assert text.startswith(start)
    assert "…" not in text
    assert start != "[![" or f"]({site.http}{UNIT})" in text


def test_the_copied_frame_shows_the_unit_and_leads_to_its_page(
    site: Site, window: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    context = window(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.http + UNIT)
    page.locator(".cite summary").click()
    page.locator(".command:has(#frame) button").click()
    expect(page.locator(".command:has(#frame) button")).to_have_text("Copied")
    markup = page.evaluate("() => navigator.clipboard.readText()")
    (tmp_path / "blog.html").write_text(f"<!doctype html><title>A blog</title>{markup}")
    with sites.served(tmp_path) as blog:
        page.goto(f"{blog.http}blog.html")
        frame = page.frame_locator("iframe")
        expect(frame.locator("img").first).to_be_visible()
        inside = next(one for one in page.frames if one.url.endswith(".embed.html"))
        assert inside.evaluate("() => document.scrollingElement.scrollHeight <= innerHeight")
        assert inside.evaluate("() => [...document.images].every((image) => image.naturalWidth)")
        with page.expect_navigation(url=site.http + UNIT):
            frame.locator("h1 a").click()
    assert said == []


def test_without_script_the_texts_can_be_selected_and_nothing_is_to_be_pressed(
    address: str, window: Callable[..., BrowserContext]
) -> None:
    page = window(java_script_enabled=False).new_page()
    page.goto(address + UNIT)
    page.locator(".cite summary").click()
    expect(page.locator("#bibtex")).to_be_visible()
    assert page.locator("button:visible").count() == 0
    follow(page, ".cite a")
    assert page.url.endswith("/447.embed.html")
