"""Pages, data and cache agree, builds leave each other alone (13 and 14)."""

import csv
import json
import math
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page

from atlas.records.atlas import ModelAtlas
from atlas.records.units import Rendering
from tests.browser import sites
from tests.browser.sites import FIRST, Site, marks
from tests.synthetic import SyntheticPictures, make_atlas

pytestmark = marks

SCORES = ("activation", "reach", "select", "robust", "hf")


def test_page_data_and_cache_agree_and_pictures_are_near_the_renderings(
    site: Site, page: Page
) -> None:
    atlas = sites.two_models()[0]
    leads = [one for layer in atlas.layers for one in layer.renderings if one.recipe == "octaves"]
    pictures = SyntheticPictures(atlas)
    table = read_table(site.folder / FIRST / "units.csv")
    for lead in random.Random(0).sample(leads, 20):
        where = f"{FIRST}/{lead.unit.layer}"
        page.goto(f"{site.http}{where}/{lead.unit.channel}.html")
        expected = dict(zip(SCORES, numbers_of(lead), strict=True))
        block = page.locator(".scores").first
        shown = {
            name: block.locator(f"[data-name={name}]").get_attribute("value") for name in SCORES
        }
        assert {name: as_number(value) for name, value in shown.items()} == expected
        row = layer_row(site.folder / where / "layer.json", lead.unit.channel)
        assert {name: row[name] for name in SCORES} == expected
        cells = table[lead.unit.layer, str(lead.unit.channel)]
        assert {name: as_number(cells[name]) for name in SCORES} == expected
        written = cv2.imread(str(site.folder / where / row["image"]))[..., ::-1]
        cached = pictures.rendering(lead.unit, lead.recipe).image.transpose(1, 2, 0)
        assert psnr(written, np.rint(cached.astype(np.float64) * 255)) > 28


def numbers_of(rendering: Rendering) -> list[float | None]:
    scores = rendering.scores
    values = [scores.activation, scores.reach, scores.select, scores.robust, scores.hf]
    return [value if math.isfinite(value) else None for value in values]


def as_number(text: str | None) -> float | None:
    return float(text) if text else None


def read_table(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as lines:
        return {(row["layer"], row["channel"]): row for row in csv.DictReader(lines)}


def layer_row(file: Path, channel: int) -> dict:
    units = json.loads(file.read_bytes())["units"]
    return next(unit for unit in units if unit["channel"] == channel)


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    error = np.mean((one.astype(np.float64) - two) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else math.inf


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def without_last_unit(atlas: ModelAtlas) -> ModelAtlas:
    *others, last = atlas.layers
    gone = last.chosen[-1]
    kept = tuple(one for one in last.renderings if one.unit.channel != gone)
    return replace(atlas, layers=(*others, replace(last, chosen=last.chosen[:-1], renderings=kept)))


def test_builds_leave_other_models_and_unchanged_files_alone_and_clear_up(
    tmp_path: Path, page: Page
) -> None:
    one, two = (
        make_atlas(name=name, layers=2, units=3, images=9, size=32, plain=True)
        for name in ("one", "two")
    )
    sites.build(tmp_path, one, side=64)
    before = contents(tmp_path / "one")
    sites.build(tmp_path, two, side=64)
    assert contents(tmp_path / "one") == before
    written = times(tmp_path)
    sites.build(tmp_path, two, side=64)
    assert times(tmp_path) == written
    layer = two.layers[-1]
    sites.build(tmp_path, without_last_unit(two), side=64)
    with sites.served(tmp_path) as served:
        for path in (f"{layer.chosen[-1]}.html", f"img/{layer.chosen[-1]}.jpg"):
            answer = page.goto(f"{served.http}two/{layer.info.name}/{path}")
            assert answer is not None
            assert answer.status == 404
        page.goto(f"{served.http}index.html")
        assert page.locator("section.model").count() == 2
