"""The spectrum on the page of a unit: bars lead to strips, strips show parts of whole images."""

import re

from playwright.sync_api import Page, expect

from tests.browser.sites import FIRST, Site, marks

pytestmark = marks

UNIT = f"{FIRST}/inception4c/447.html"

INSIDE = """(cut) => {
  const outer = cut.getBoundingClientRect(), box = cut.viewBox.baseVal;
  const image = cut.querySelector("img").getBoundingClientRect();
  const scale = outer.width / box.width;
  return [image.left - outer.left + box.x * scale, image.top - outer.top + box.y * scale,
    image.width - 224 * scale, outer.width / outer.height - box.width / box.height];
}"""
"""By how much the image behind a strip's part is not where its box says: zeros."""


def test_a_click_on_a_bar_leads_to_the_strip_of_its_interval(site: Site, page: Page) -> None:
    page.goto(site.http + UNIT)
    bars = page.locator(".spectrum .chart a")
    assert bars.count() > 2
    for bar in bars.all():
        page.evaluate("() => scrollTo(0, 0)")
        name = str(bar.get_attribute("aria-label"))
        bar.click()
        strip = page.locator(f"#{page.url.split('#')[1]}")
        expect(strip).to_be_in_viewport()
        assert strip.locator("h3").inner_text().startswith(name)


def test_a_strip_shows_the_part_of_each_image_that_its_box_names(site: Site, page: Page) -> None:
    page.goto(site.http + UNIT)
    cuts = page.locator(".cuts svg")
    assert cuts.count() > 8
    for cut in cuts.all():
        assert all(abs(number) < 0.1 for number in cut.evaluate(INSIDE))


def test_the_viewer_draws_the_box_of_a_part(site: Site, page: Page) -> None:
    page.goto(site.http + UNIT)
    part = page.locator(".cuts a").first
    x, y, width, height = str(part.locator("svg").get_attribute("viewBox")).split()
    part.click()
    box = page.locator("dialog.viewer rect")
    expect(box).to_be_visible()
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == [
        *(x, y, width, height)
    ]
    name = page.locator(".cuts img").first.get_attribute("alt")
    assert page.locator("dialog.viewer p").inner_text().startswith(str(name))


def test_a_printed_unit_is_one_sheet(site: Site, page: Page) -> None:
    page.goto(site.http + UNIT)
    sheets = re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format="A4"))
    assert len(sheets) == 1
