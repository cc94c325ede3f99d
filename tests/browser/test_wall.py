"""The wall in a browser: pointing, keys, colours and search, the address, and no script."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.sites import FIRST, LABEL, Site, marks
from tests.browser.test_links import BROKEN

pytestmark = marks

DATA = "() => JSON.parse(document.getElementById('units').textContent)"

PIXEL = """([x, y]) => {
  const canvas = document.querySelector("#wall canvas"), box = canvas.getBoundingClientRect();
  const pen = canvas.getContext("2d");
  return [...pen.getImageData(x - box.left, y - box.top, 1, 1).data].slice(0, 3);
}"""
"""Colour of the wall at a point of the window."""


def open_wall(page: Page, address: str, query: str = "") -> None:
    """Open the wall of the first model and wait for a picture."""
    page.goto(f"{address}{FIRST}/wall.html{query}")
    expect(page.locator("#wall[data-drawn]")).to_be_attached()


def place_of(page: Page, name: str) -> tuple[float, float]:
    """Where the middle of a unit is in the window: found by Enter in the search."""
    layer, channel = name.split(":")
    page.goto(f"{page.url.split('?')[0]}?at={layer}%3A{channel}&size=100")
    expect(page.locator("#here span")).to_contain_text(name)
    box = page.locator("#here").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def side_of(page: Page) -> float:
    """Pixels of the tile under the link."""
    return float(page.locator("#here").evaluate("(link) => parseFloat(link.style.width)"))


def settle(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def first_units(page: Page) -> list[str]:
    """Name of the first unit of each layer on the wall."""
    data: Any = page.evaluate(DATA)
    return [
        f"{layer['name']}:{next(cell for cell in layer['cells'] if cell)[0]}"
        for layer in data["layers"]
    ]


def page_of(name: str) -> str:
    layer, channel = name.split(":")
    return f"/{FIRST}/{layer}/{channel}.html"


def test_every_unit_stands_on_the_wall_once_with_its_sheet_and_colours(
    site: Site, page: Page
) -> None:
    open_wall(page, site.http)
    data: Any = page.evaluate(DATA)
    for layer in data["layers"]:
        units = json.loads((site.folder / FIRST / layer["folder"] / "layer.json").read_text())
        known = {unit["channel"]: unit for unit in units["units"]}
        cells = [cell for cell in layer["cells"] if cell]
        assert sorted(cell[0] for cell in cells) == sorted(known)
        for channel, place, status, reach, _, called, note, *_ in cells:
            unit = known[channel]
            assert (place is None) == (unit["image"] is None)
            assert place is None or units["units"][place] is unit
            assert (status is None) == (unit["status"] == "ok")
            assert (reach is None) == (unit["reach"] is None)
            assert unit["status"] == "ok" or unit["status"] in note
            assert called.startswith(unit["label"])


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_click_opens_the_unit_under_the_pointer(site: Site, page: Page, scheme: str) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    open_wall(page, getattr(site, scheme))
    for name in first_units(page):
        open_wall(page, getattr(site, scheme))
        page.mouse.click(*place_of(page, name))
        page.wait_for_url(f"**{page_of(name)}")
    assert said == []


def test_hovering_names_the_unit_and_leaves_the_place(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    names = first_units(page)
    x, y = place_of(page, names[1])
    page.mouse.move(x, y)
    expect(page.locator("#here span")).to_contain_text(names[1])
    page.mouse.move(x + 100, y)
    expect(page.locator("#here span")).not_to_contain_text(f"{names[1]} ")


def test_keys_alone_walk_zoom_and_open(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.locator("#here").evaluate("(link) => link === document.activeElement"):
            break
    here = page.locator("#here")
    expect(here).to_be_focused()
    first = str(here.get_attribute("href"))
    width = side_of(page)
    page.keyboard.press("ArrowRight")
    expect(here).not_to_have_attribute("href", first)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(here).to_have_attribute("href", first)
    page.keyboard.press("+")
    page.keyboard.press("+")
    settle(page)
    assert side_of(page) == pytest.approx(width * 2.25, rel=1e-4)
    page.keyboard.press("Home")
    settle(page)
    assert side_of(page) == width
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{first}")


def test_the_arrows_reach_every_layer(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    page.locator("#here").focus()
    seen = set()
    for key in ["ArrowRight"] * 8 + ["ArrowDown"] * 4 + ["ArrowLeft"] * 8:
        page.keyboard.press(key)
        seen.add(page.locator("#here").get_attribute("href").split("/")[0])  # type: ignore[union-attr]
    assert len(seen) == len(first_units(page))


def test_dragging_moves_the_wall_and_opens_nothing(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    name = first_units(page)[0]
    x, y = place_of(page, name)
    address = page.url.split("?")[0]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y - 30, steps=5)
    page.mouse.up()
    assert page.url.split("?")[0] == address
    box = page.locator("#here").bounding_box()
    assert box
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx(
        (x - 60, y - 30), abs=2
    )


def test_the_wheel_zooms_about_the_pointer(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    x, y = place_of(page, first_units(page)[2])
    page.mouse.move(x, y)
    before = side_of(page)
    page.mouse.wheel(0, -200)
    settle(page)
    assert side_of(page) == pytest.approx(before * math.exp(0.4), rel=1e-4)
    box = page.locator("#here").bounding_box()
    assert box
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx(
        (x, y), abs=2
    )


def test_two_fingers_zoom_and_a_tap_opens(
    site: Site, window: Callable[..., BrowserContext]
) -> None:
    page = window(viewport={"width": 390, "height": 844}, has_touch=True).new_page()
    open_wall(page, site.http)
    name = first_units(page)[0]
    x, y = place_of(page, name)
    client = page.context.new_cdp_session(page)
    before = side_of(page)
    still = [
        ("touchMove", 40)
    ] * 12  # fingers that leave in motion fling, and then a tap only stops
    for kind, apart in (("touchStart", 20), ("touchMove", 30), *still, ("touchEnd", 0)):
        points = [{"x": x + side * apart, "y": y, "id": side + 1} for side in (-1, 1) if apart]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        settle(page)
    assert side_of(page) == pytest.approx(2 * before, rel=1e-4)
    page.touchscreen.tap(x, y)
    page.wait_for_url(f"**{page_of(name)}")


def test_a_search_dims_all_other_units_and_enter_goes_to_the_first(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    label, other = page.locator("input[name=find]"), first_units(page)[0]
    x, y = place_of(page, other)
    expect(page.locator("#wall[data-drawn]")).to_be_attached()
    bright = page.evaluate(PIXEL, [x, y])
    label.fill(LABEL)
    expect(page.locator("#count")).to_have_text("1 of 28 units")
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    page.wait_for_function(
        f"([x, y]) => JSON.stringify(({PIXEL})([x, y])) !== '{json.dumps(bright)}'", arg=[x, y]
    )
    dim = page.evaluate(PIXEL, [x, y])
    far = [abs(one - int(ground)) for one, ground in zip(dim, paper, strict=True)]
    assert max(far) <= 0.16 * 255
    label.press("Enter")
    expect(page.locator("#here")).to_be_focused()
    expect(page.locator("#here span")).to_contain_text(LABEL)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{FIRST}/inception4c/447.html")


def test_numbers_are_found_as_whole_numbers(site: Site, page: Page) -> None:
    open_wall(page, site.http)
    page.locator("input[name=find]").fill("447")
    expect(page.locator("#count")).to_have_text("4 of 28 units")
    page.locator("input[name=find]").fill("44")
    expect(page.locator("#count")).to_have_text("0 of 28 units")


@pytest.mark.parametrize("key", ["status", "reach", "ident"])
def test_a_colour_shows_its_key_only(site: Site, page: Page, key: str) -> None:
    open_wall(page, site.http)
    page.locator("select[name=colour]").select_option(key)
    expect(page.locator(".key:visible")).to_have_count(1)
    expect(page.locator(f".key.{key}")).to_be_visible()


def test_the_address_keeps_the_layer_the_place_and_the_colour(
    site: Site, window: Callable[..., BrowserContext]
) -> None:
    page = window().new_page()
    open_wall(page, site.http)
    name = first_units(page)[1]
    place_of(page, name)
    page.locator("select[name=colour]").select_option("reach")
    page.wait_for_url("**colour=reach&at=**")
    other = window(viewport={"width": 500, "height": 700}).new_page()
    other.goto(page.url)
    expect(other.locator("#here span")).to_contain_text(name)
    expect(other.locator("select[name=colour]")).to_have_value("reach")
    assert side_of(other) == 100
    page.locator("select[name=layer]").select_option("inception4c")
    page.wait_for_url("**?layer=inception4c&colour=reach")
    expect(page.locator("#count")).to_have_text("7 units")


def test_an_address_that_names_nothing_shows_the_whole(site: Site, page: Page) -> None:
    open_wall(page, site.http, "?layer=none&colour=none&at=none:3&size=400")
    expect(page.locator("#count")).to_have_text("28 units")
    assert side_of(page) < 200


def test_without_script_every_unit_is_a_link_with_a_lazy_picture(
    site: Site, window: Callable[..., BrowserContext]
) -> None:
    page = window(java_script_enabled=False).new_page()
    page.goto(f"{site.http}{FIRST}/wall.html")
    links = page.locator(".card > a")
    assert links.count() == 28
    assert page.locator(".card img:not([loading=lazy])").count() == 0
    assert page.evaluate(BROKEN) == []
    assert page.locator("#wall:visible, #look:visible").count() == 0
    target = str(links.nth(9).get_attribute("href"))
    links.nth(9).click()
    page.wait_for_url(f"**/{target}")
