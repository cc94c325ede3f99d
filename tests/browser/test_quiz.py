"""The quiz in a browser: drawing, playing, keyboard, results."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.sites import FIRST, Site, marks

pytestmark = marks

PLAY = """([task, player]) => {
  const data = JSON.parse(document.getElementById("questions").textContent);
  let right = 0, asked = 0;
  for (let seed = 0; seed < 200; seed += 1) {
    for (const one of atlasQuizDraw(data, { task, shown: "mixed", layer: "", odd: true, seed })) {
      asked += 1;
      const best = one.choices.map((choice) => choice.activation);
      const answer = player === "random" ? Math.floor(Math.random() * one.choices.length)
        : task === "pair" ? best.indexOf(Math.max(...best))
        : one.choices.findIndex((choice) => choice.channel === one.unit.channel);
      right += answer === one.right;
    }
  }
  return [right / asked, asked];
}"""
"""200 games: share of right answers, and how many were asked."""

STRANGE = """(odd) => {
  const data = JSON.parse(document.getElementById("questions").textContent);
  const settings = { task: "pair", shown: "picture", layer: "", odd };
  const games = [...Array(50).keys()].map((seed) => atlasQuizDraw(data, { ...settings, seed }));
  return games.flat().some((one) => !one.unit.plain);
}"""
"""Whether any of 50 games asks about a unit whose picture fails a gate or identifies nothing."""


@pytest.mark.parametrize(("task", "chance"), [("pair", 0.5), ("four", 0.25)])
def test_a_random_player_gets_chance_and_one_who_knows_the_matrix_everything(
    site: Site, page: Page, task: str, chance: float
) -> None:
    page.goto(f"{site.http}{FIRST}/quiz.html")
    right, asked = page.evaluate(PLAY, [task, "random"])
    assert asked == 4000
    assert abs(right - chance) < 0.04  # five standard deviations of a half
    assert page.evaluate(PLAY, [task, "knows"])[0] == 1


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_twenty_questions_are_answered_by_keys_and_counted(
    site: Site, page: Page, scheme: str
) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{getattr(site, scheme)}{FIRST}/quiz.html?task=pair&shown=mixed&odd=1&seed=7")
    quiz = json.loads((site.folder / FIRST / "quiz.json").read_bytes())
    for at in range(20):
        expect(page.locator("#quiz h2")).to_contain_text(f"{at + 1} of 20")
        expect(page.locator("#quiz .choices img").first).to_be_visible()
        page.keyboard.press("1")
        expect(page.locator(".said b")).to_be_visible()
        page.keyboard.press("Enter")
    expect(page.locator("#quiz h2")).to_contain_text("of 20 right")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download my answers").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 20
    right = sum(row["answer"] == row["right"] for row in rows)
    expect(page.locator("#quiz h2")).to_have_text(f"{right} of 20 right")
    units = {(quiz["layers"][one["layer"]], one["channel"]): one for one in quiz["units"]}
    for row in rows:
        unit = units[row["layer"], int(row["channel"])]
        known = {one["image"]: one["activation"] for one in (*unit["high"], *unit["low"])}
        asked = [known[int(image)] for image in row["choices"].split()]
        assert int(row["right"]) == 1 + (asked[1] > asked[0])
    assert said == []


def test_the_address_of_a_game_gives_a_class_the_same_questions(
    site: Site, window: Callable[..., BrowserContext]
) -> None:
    found = []
    for _ in range(2):
        page = window().new_page()
        page.goto(f"{site.http}{FIRST}/quiz.html?odd=1&seed=41")
        sources = "(images) => images.map((image) => image.getAttribute('src'))"
        found.append(page.locator("#quiz img").evaluate_all(sources))
    assert found[0] == found[1]
    assert found[0]


def test_units_that_are_weak_or_unidentified_come_only_when_told_to(site: Site, page: Page) -> None:
    page.goto(f"{site.http}{FIRST}/quiz.html")
    assert page.evaluate(STRANGE, False) is False
    assert page.evaluate(STRANGE, True) is True
