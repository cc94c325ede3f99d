"""Masks lie over the patches when they are asked for, with a script or without."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Locator, Page

from tests.browser import sites
from tests.browser.sites import Site

pytestmark = sites.marks

UNIT = f"{sites.FIRST}/inception4c/447.html"


def strengths(veils: Locator) -> list[float]:
    """How much of each mask is seen."""
    script = "(all) => all.map((one) => Number(getComputedStyle(one).opacity))"
    return list(veils.evaluate_all(script))


def brightness(page: Page, which: Locator) -> float:
    """Mean brightness of what is drawn in a place."""
    page.wait_for_load_state("networkidle")
    data = np.frombuffer(which.screenshot(animations="disabled"), np.uint8)
    return float(cv2.imdecode(data, cv2.IMREAD_COLOR).mean())


@pytest.mark.parametrize("scripted", [True, False])
def test_masks_are_seen_on_hover_on_focus_and_by_the_switch(
    window: Callable[..., BrowserContext], site: Site, scripted: bool
) -> None:
    page = window(java_script_enabled=scripted, reduced_motion="reduce").new_page()
    page.goto(site.file + UNIT)
    patches, veils = page.locator(".patches .nine a"), page.locator(".patches .nine .veil")
    assert veils.count() == 9
    plain = brightness(page, patches.nth(4))
    assert strengths(veils) == [0] * 9
    patches.nth(4).hover()
    assert [place for place, seen in enumerate(strengths(veils)) if seen] == [4]
    page.mouse.move(0, 0)
    page.keyboard.press("Tab")
    patches.nth(1).focus()
    assert [place for place, seen in enumerate(strengths(veils)) if seen] == [1]
    page.locator(".masking[type=checkbox]").check()
    assert min(strengths(veils)) > 0.8
    assert brightness(page, patches.nth(4)) < 0.8 * plain
    page.locator(".masking[type=checkbox]").uncheck()
    assert strengths(veils) == [0] * 9


def test_the_masked_patches_are_pictures_of_their_own_in_a_fold(page: Page, site: Site) -> None:
    page.goto(site.file + UNIT)
    fold = page.locator(".where details")
    assert not fold.get_attribute("open")
    fold.locator("summary").click()
    shown = fold.locator(".masked > div")
    assert shown.count() == 9
    assert min(strengths(fold.locator(".veil"))) > 0.8
    texts = [one.get_attribute("alt") for one in fold.locator("div > img").all()]
    assert len(set(texts)) == 9
    over, under = shown.nth(8), page.locator(".patches .nine a").nth(8)
    assert over.bounding_box() is not None
    assert brightness(page, over) < 0.8 * brightness(page, under)


def test_a_unit_without_masks_has_no_switch(page: Page, site: Site) -> None:
    page.goto(site.file + f"second/conv_stem/{first_unit(site)}")
    assert page.locator(".masking, .veil, .where").count() == 0


def first_unit(site: Site) -> str:
    """A unit's page of the model without masks."""
    units = (site.folder / "second/conv_stem").glob("[0-9]*.json")
    return min(path.with_suffix(".html").name for path in units)


def test_nothing_is_wider_than_a_phone(window: Callable[..., BrowserContext], site: Site) -> None:
    page = window(viewport={"width": 390, "height": 800}).new_page()
    page.goto(site.file + UNIT)
    page.locator(".where summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    switch, label = (page.locator(f"{kind}.masking").bounding_box() for kind in ("input", "label"))
    assert switch is not None
    assert label is not None
    assert abs(switch["y"] - label["y"]) < 20  # on one line
