"""Pages of sample images, and sheets of renderings beside sheets of patches."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.sites import CHANNELS, FIRST, LENSES, Site, marks
from tests.browser.test_links import BROKEN

pytestmark = marks

OPACITIES = "(nodes) => nodes.map((node) => Number(getComputedStyle(node).opacity))"


def test_the_slider_fades_both_heat_maps_by_mouse_and_by_key(address: str, page: Page) -> None:
    page.goto(f"{address}{FIRST}/images/0.html")
    maps, slider = page.locator(".pane .above"), page.locator("#opacity")
    assert maps.evaluate_all(OPACITIES) == [0.6, 0.6]
    slider.fill("25")
    assert maps.evaluate_all(OPACITIES) == [0.25, 0.25]
    expect(page.locator("#shown")).to_have_text("25 %")
    slider.focus()
    page.keyboard.press("End")
    assert maps.evaluate_all(OPACITIES) == [1, 1]
    assert page.url.endswith("/images/0.html")  # the arrow keys of a slider turn no page


@pytest.mark.parametrize("script", [True, False])
def test_a_heat_map_lies_over_its_photograph_or_without_script_beside_it(
    site: Site, window: Callable[..., BrowserContext], script: bool
) -> None:
    page = window(java_script_enabled=script).new_page()
    page.goto(f"{site.http}{FIRST}/images/0.html")
    below, above = (
        page.locator(f".pane .{place}").first.bounding_box() for place in ("below", "above")
    )
    assert below
    assert above
    assert (above["width"], above["height"]) == (below["width"], below["height"])
    assert above["y"] == below["y"]
    assert (above["x"] == below["x"]) == script
    assert script or above["x"] >= below["x"] + below["width"]
    assert page.locator("#opacity:visible").count() == script
    assert page.evaluate(BROKEN) == []


def test_arrows_lead_from_image_to_image(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/images/index.html")
    page.locator(".photos a").first.click()
    first, second, last = LENSES
    for image, key in ((first, "ArrowRight"), (second, "ArrowRight"), (last, "ArrowLeft")):
        page.wait_for_url(f"**/images/{image}.html")
        page.keyboard.press(key)
    page.wait_for_url(f"**/images/{second}.html")


def test_search_finds_an_image_by_its_file_and_shows_it(site: Site, page: Page) -> None:
    page.goto(f"{site.http}search.html?q=photo+005")
    first = page.locator("#results a").first
    expect(first).to_have_attribute("href", f"{FIRST}/images/5.html")
    assert (
        first.locator("img").get_attribute("alt", timeout=1000).startswith("Sample image photo_005")
    )
    assert page.evaluate(BROKEN) == []
    first.click()
    expect(page.locator("h1")).to_have_text("photo_005.jpg")


def test_search_finds_an_image_by_the_class_it_is_taken_for(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/images/2.html")
    taken_for = page.locator(".guesses .what").first.inner_text()
    page.goto(f"{site.http}search.html?q={taken_for.replace(' ', '+')}")
    expect(page.locator(f'#results a[href="{FIRST}/images/2.html"]')).to_be_visible()


def test_a_rendering_and_its_patches_light_up_together(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/inception4c/excites.html")
    lit = page.locator(".half .lit")
    page.locator(f'.half [data-unit="{CHANNELS - 1}"]').last.hover()
    expect(lit).to_have_count(2)
    assert [node.get_attribute("data-unit") for node in lit.all()] == 2 * [str(CHANNELS - 1)]
    page.locator("h1").hover()
    expect(lit).to_have_count(0)
    page.locator(".half a").first.focus()
    expect(lit).to_have_count(2)


def test_both_sheets_stand_side_by_side_on_a_desk_and_one_below_the_other_on_a_phone(
    site: Site, page: Page
) -> None:
    for width, beside in ((1400, True), (390, False)):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{site.http}{FIRST}/inception4c/excites.html")
        made, real = (page.locator(".halves > section").nth(at).bounding_box() for at in (0, 1))
        assert made
        assert real
        assert (made["y"] == real["y"]) == beside
        columns = page.locator(".half").evaluate_all(
            "(lists) => lists.map((list) => getComputedStyle(list).gridTemplateColumns)"
        )
        assert columns[0] == columns[1]


def test_two_sheets_of_1024_units_ask_for_at_most_40_pictures(wide: Site, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{wide.http}wide/conv_stem/excites.html", wait_until="networkidle")
    assert 0 < len([url for url in asked if url.endswith(".jpg")]) <= 40
