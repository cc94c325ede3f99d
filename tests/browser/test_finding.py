"""Search, sort and deep links (checks 4 to 6)."""

import json
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import sites
from tests.browser.sites import FIRST, LABEL, Site, marks

pytestmark = marks

SEARCH_TIME = """(query) => new Promise((done) => {
  const box = document.querySelector("#q"), hits = document.querySelector("#hits");
  const start = performance.now();
  new MutationObserver((_, observer) => { observer.disconnect(); done(performance.now() - start); })
    .observe(hits, { childList: true });
  box.value = query;
  box.dispatchEvent(new Event("input", { bubbles: true }));
})"""
"""Milliseconds from the last key to the list of results."""

DATA = "(cards) => cards.map((card) => JSON.parse(card.dataset.v))"


@pytest.fixture(scope="package")
def large(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site with 10,000 units more to search."""
    folder = tmp_path_factory.mktemp("large") / "site"
    shutil.copytree(site.folder, folder)
    sites.add_rows(folder)
    with sites.served(folder) as served:
        yield served


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_a_unit_first_in_under_100_ms_and_enter_opens_it(
    large: Site, page: Page, scheme: str
) -> None:
    home = f"{getattr(large, scheme)}index.html"
    for query in ("4c 447", "4c:447", "inception4c 447", LABEL):
        page.goto(home)
        page.locator("#q").fill("conv stem")
        expect(page.locator("#hits a").first).to_be_visible()
        assert min(page.evaluate(SEARCH_TIME, query) for _ in range(2)) < 100, query
        first = page.locator("#hits a").first
        assert str(first.get_attribute("href")).endswith(f"{FIRST}/inception4c/447.html"), query
        page.locator("#q").press("Enter")
        page.wait_for_url("**/inception4c/447.html")


def missing_channel(site: Site) -> tuple[int, int]:
    """A channel of inception4c that this atlas does not show, and how many it shows."""
    pages = (site.folder / FIRST / "inception4c").glob("[0-9]*.json")
    shown = {int(path.stem) for path in pages}
    return next(one for one in range(448) if one not in shown), len(shown)


def test_a_number_is_a_whole_channel_and_a_unit_that_is_not_shown_is_answered(
    site: Site, page: Page
) -> None:
    page.goto(f"{site.http}index.html")
    page.locator("#q").fill("inception4c:44")  # 447 is there
    first = page.locator("#hits a").first
    expect(first).to_contain_text("inception4c:44 is not rendered: 7 of 448 channels are")
    assert "447" not in page.locator("#hits").inner_text()
    channel, shown = missing_channel(site)
    page.locator("#q").fill(f"inception4c {channel}")
    expect(first).to_contain_text(f"is not rendered: {shown} of 448 channels are")
    page.locator("#q").press("Enter")
    page.wait_for_url("**/inception4c/index.html")


def test_the_example_in_the_search_box_finds_a_unit(site: Site, page: Page) -> None:
    for path in ("index.html", f"{FIRST}/index.html", "second/index.html"):
        page.goto(site.http + path)
        box = page.locator("#q")
        example = str(box.get_attribute("placeholder")).split(": ")[1].split(",")[0]
        box.fill(example)
        channel = example.split()[-1]
        expect(page.locator("#hits a").first).to_have_attribute(
            "href", re.compile(rf"/{channel}\.html$")
        )


@pytest.mark.parametrize("depth", ["", "synthetic/inception4c/", "no/such/place/at/all/"])
def test_a_missing_page_leads_back_to_the_site(site: Site, page: Page, depth: str) -> None:
    markup = (site.folder / "404.html").read_text()
    address = f"{site.http}{depth}missing.html"
    page.route(
        address, lambda route: route.fulfill(status=404, body=markup, content_type="text/html")
    )
    page.goto(address)
    link = page.get_by_role("link", name="All layers")
    expect(link).to_be_visible()
    assert link.evaluate("(link) => link.href") == f"{site.http}search.html"
    page.locator("#q").fill(LABEL)
    page.locator("#q").press("Enter")
    page.wait_for_url(f"{site.http}search.html?q=*")
    expect(page.locator("#results a").first).to_contain_text("447")


def test_search_finds_a_class_by_its_name(site: Site, page: Page) -> None:
    page.goto(f"{site.http}search.html?q=class+447")
    found = page.locator("#results a")
    assert found.nth(0).get_attribute("href") == f"{FIRST}/classes/447.html"
    assert found.nth(1).get_attribute("href") == f"{FIRST}/classifier/447.html"


def test_classes_are_sorted_by_name_and_by_number(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/classes/index.html")
    cards = page.locator(".card .name")
    before = cards.all_inner_texts()
    page.locator("[name=sort]").select_option("name")
    assert cards.all_inner_texts() == sorted(before)
    page.locator("[name=sort]").select_option("channel")
    numbers = [int(name.removeprefix("class ")) for name in cards.all_inner_texts()]
    assert numbers == sorted(numbers)
    assert page.locator("#count").inner_text() == "7 classes"


def test_sorting_is_monotone_and_kept_by_the_address_reload_and_back(
    site: Site, page: Page
) -> None:
    layer = f"{site.http}{FIRST}/inception4c/index.html"
    page.goto(layer)
    columns = {"channel": (0, 1, 1), "mean": (0, 2, -1), "max": (0, 3, -1), "contrast": (0, 4, -1)}
    columns |= {"reach": (1, 1, -1), "select": (1, 2, 1), "robust": (1, 3, -1), "hf": (1, 4, 1)}
    columns |= {"ident": (1, 5, 1), "predict": (1, 6, -1), "similar": (0, 5, 1)}
    for name, (block, place, sign) in columns.items():
        page.locator("[name=sort]").select_option(name)
        rows = page.locator(".card").evaluate_all(DATA)
        found = [(row[block] or [None] * 9)[place] for row in rows]
        values = [sign * value for value in found if value is not None]
        assert values == sorted(values), name
        assert None not in found[: len(values)], name
    assert page.url == f"{layer}?sort=similar"
    before = page.locator(".card").evaluate_all(DATA)
    page.reload()
    assert page.locator(".card").evaluate_all(DATA) == before
    page.locator(".card > a").first.click()
    page.go_back()
    assert page.locator(".card").evaluate_all(DATA) == before
    assert page.locator("[name=sort]").input_value() == "similar"


def test_a_layer_that_nobody_judges_has_no_order_by_ident(wide: Site, page: Page) -> None:
    page.goto(f"{wide.http}wide/conv_stem/index.html")
    orders = page.locator("[name=sort] option").evaluate_all("(all) => all.map((o) => o.value)")
    assert "hf" in orders
    assert not {"ident", "predict"} & set(orders)


def test_the_status_filter_hides_the_others(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/index.html?status=ok")
    shown = page.locator(".card:visible").evaluate_all(DATA)
    assert shown
    assert {row[1][0] for row in shown} == {"ok"}


def test_a_deep_link_to_a_card_highlights_it(wide: Site, page: Page) -> None:
    layer = f"{wide.http}wide/conv_stem"
    page.goto(f"{layer}/index.html#u225")
    card = page.locator("#u225")
    expect(card).to_be_in_viewport()
    outlined = card.locator(".made").evaluate("(tile) => getComputedStyle(tile).boxShadow")
    assert outlined != "none"


def test_a_deep_link_to_a_unit_page_works(wide: Site, page: Page) -> None:
    answer = page.goto(f"{wide.http}wide/conv_stem/225.html")
    assert answer is not None
    assert answer.ok
    assert page.locator("h1").inner_text() == "conv_stem:225"


def test_units_are_sorted_by_what_they_prefer_and_those_without_come_last(
    site: Site, page: Page
) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/index.html")
    known = json.loads((site.folder / FIRST / "inception4c/layer.json").read_text())["units"]
    for name, down in (("orientation", 1), ("frequency", 1), ("hue", 1), ("colour", -1)):
        page.locator("[name=sort]").select_option(name)
        shown = page.locator("#grid .card").evaluate_all("cards => cards.map((card) => card.id)")
        places = {f"u{unit['channel']}": unit[name] for unit in known}
        numbers = [places[one] for one in shown]
        there = [down * one for one in numbers if one is not None]
        assert len(there) > 1
        assert there == sorted(there)
        assert set(numbers[len(there) :]) <= {None}
