"""Masks on the page of a unit, and their numbers in the data beside it."""

import csv
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from atlas.cache.export import predicted_bytes, write_export
from atlas.gallery import write as gallery
from atlas.gallery.draw_masks import masks_sheet
from atlas.gallery.mask_sentences import keep_sentence, patch_sentence
from atlas.records.atlas import ModelAtlas
from atlas.records.attribution import UnitMasks, no_masks
from atlas.records.units import Unit
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas, masked

LAYER = "conv_stem"


def small(**changes: object) -> ModelAtlas:
    settings: dict[str, object] = {"layers": 2, "units": 3, "images": 5, "size": 32, "plain": True}
    return make_atlas(**{**settings, **changes})  # type: ignore[arg-type]


def write(site: Path, atlas: ModelAtlas) -> Path:
    """Write a site; returns the folder of its model."""
    pictures = SyntheticPictures(atlas, side=64)
    gallery.write_site(atlas, pictures, site=site, labels={}, site_url="", templates=())
    return site / "synthetic"


@pytest.fixture(scope="module")
def atlas() -> ModelAtlas:
    """The last chosen unit of the first layer has no masks; the rest of it is a usual atlas."""
    whole = masked(small(classes=2, channels=8))
    first = whole.layers[0]
    last = first.chosen[-1]
    kept = replace(first, masks={**first.masks, last: no_masks(last)})
    return replace(whole, layers=(kept, *whole.layers[1:]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, atlas: ModelAtlas) -> Path:
    return write(tmp_path_factory.mktemp("masked"), atlas)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def text(path: Path) -> str:
    """The words of a page."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", path.read_text())).split())


def known(atlas: ModelAtlas, channel: int) -> UnitMasks:
    return atlas.layers[0].masks[channel]


# --- the sheet ------------------------------------------------------------------------------------


def test_a_sheet_has_a_tile_for_each_patch_and_is_white_elsewhere() -> None:
    masks = np.zeros((2, 112, 112), np.uint8)
    masks[1] = 64
    sheet = masks_sheet(masks)
    assert sheet.shape == (336, 336)
    assert not sheet[:112, :112].any()
    assert (sheet[:112, 112:224] == round(255 * (64 / 255) ** 0.5)).all()
    assert (sheet[112:] == 255).all()
    assert (sheet[:112, 224:] == 255).all()


def test_a_patch_that_is_no_square_is_whole_in_the_middle_of_its_tile() -> None:
    sheet = masks_sheet(np.zeros((1, 56, 112), np.uint8))
    assert not sheet[28:84, :112].any()
    assert (sheet[:28] == 255).all()
    assert (sheet[84:] == 255).all()


# --- pages ----------------------------------------------------------------------------------------


def test_each_patch_has_its_tile_of_the_sheet_over_it(site: Path, atlas: ModelAtlas) -> None:
    channel = atlas.layers[0].chosen[0]
    page = (site / LAYER / f"{channel}.html").read_text()
    veils = re.findall(r'<span class="veil"><img class="(\w+ \w+)" src="([^"]*)"', page)
    tiles = ["x0 y0", "x1 y0", "x2 y0", "x0 y1", "x1 y1"]  # five images
    assert [tile for tile, _ in veils] == tiles * 2  # once over the patches, once in the fold
    assert {file for _, file in veils} == {f"img/{channel}.masks.jpg"}
    sheet = cv2.imread(str(site / LAYER / f"img/{channel}.masks.jpg"), cv2.IMREAD_UNCHANGED)
    assert sheet.shape == (336, 336)
    pictures = SyntheticPictures(atlas).masks(Unit(layer=LAYER, channel=channel))
    assert np.abs(sheet.astype(int) - masks_sheet(pictures.masks)).mean() < 4
    assert page.count('type="checkbox"') == 1


def test_a_unit_prints_its_median_shares(site: Path, atlas: ModelAtlas) -> None:
    channel = atlas.layers[0].chosen[0]
    words = text(site / LAYER / f"{channel}.html")
    for shares, sentence in (
        (known(atlas, channel).patch, patch_sentence),
        (known(atlas, channel).keep, keep_sentence),
    ):
        value = median(shares[:5].tolist())
        assert sentence(value) in words
        assert f"{value:.3g}" in sentence(value)


def test_a_unit_without_masks_says_that_nothing_is_measured(site: Path, atlas: ModelAtlas) -> None:
    channel = atlas.layers[0].chosen[-1]
    page = site / LAYER / f"{channel}.html"
    assert "veil" not in page.read_text()
    assert "checkbox" not in page.read_text()
    assert text(page).count("Not measured: its peaks are not above 0") == 2
    assert not (site / LAYER / f"img/{channel}.masks.jpg").exists()


def test_without_masks_pages_are_silent_about_them(tmp_path: Path) -> None:
    folder = write(tmp_path, small())
    assert not list(folder.rglob("*.masks.jpg"))
    for path in folder.glob("*/[0-9]*.html"):
        page = path.read_text()
        assert not {word for word in ("masking", "veil", "PATCH", "KEEP") if word in page}
    (row, *_) = read(folder / LAYER / "layer.json")["units"]
    assert (row["patch"], row["keep"], row["masks"]) == (None, None, None)


def test_about_says_what_the_numbers_mean(site: Path) -> None:
    page = (site.parent / "about.html").read_text()
    assert 'id="patch"' in page
    assert 'id="keep"' in page


def test_a_recipe_called_masks_has_another_file(tmp_path: Path) -> None:
    atlas = masked(small(recipes=("octaves", "masks")))
    folder = write(tmp_path, atlas)
    channel = atlas.layers[0].chosen[0]
    names = {path.name for path in (folder / LAYER / "img").glob(f"{channel}.*")}
    assert {f"{channel}.masks.jpg", f"{channel}.~masks.jpg"} <= names


# --- data -----------------------------------------------------------------------------------------


def test_data_holds_the_medians_of_the_records(site: Path, atlas: ModelAtlas) -> None:
    with open(site / "units.csv", newline="", encoding="utf-8") as file:
        rows = {(row["layer"], row["channel"]): row for row in csv.DictReader(file)}
    for unit in read(site / LAYER / "layer.json")["units"]:
        channel, row = unit["channel"], rows[LAYER, str(unit["channel"])]
        own = read(site / LAYER / f"{channel}.json")
        assert problems(own, "unit") == []
        for name in ("patch", "keep"):
            shares = getattr(known(atlas, channel), name)[:5]
            value = None if np.isnan(shares).all() else pytest.approx(median(shares.tolist()))
            assert unit[name] == own[name] == value
            assert row[name] == ("" if unit[name] is None else str(unit[name]))
        is_there = channel != atlas.layers[0].chosen[-1]
        assert unit["masks"] == (f"img/{channel}.masks.jpg" if is_there else None)
    assert problems(read(site / LAYER / "layer.json"), "layer") == []


def test_an_export_holds_every_mask_and_number(tmp_path: Path, atlas: ModelAtlas) -> None:
    path, pictures = tmp_path / "atlas.h5", SyntheticPictures(atlas)
    write_export(path, atlas, pictures, "1")
    layer = atlas.layers[0]
    with h5py.File(path) as file:
        group = file[f"layers/{LAYER}/examples"]
        assert group["mask"].shape == (3, 9, 112, 112)
        for row, channel in enumerate(layer.chosen):
            one = layer.masks[channel]
            assert np.array_equal(group["patch"][row], one.patch, equal_nan=True)
            assert np.array_equal(group["keep"][row], one.keep, equal_nan=True)
            found = pictures.masks(Unit(layer=LAYER, channel=channel)).masks
            assert np.array_equal(group["mask"][row, : len(found)], found)
            assert not group["mask"][row, len(found) :].any()
        assert "mask" not in file["layers/class~20scores/examples"]


def test_an_export_without_masks_has_no_such_columns(tmp_path: Path) -> None:
    path, plain = tmp_path / "atlas.h5", small()
    write_export(path, plain, SyntheticPictures(plain), "1")
    with h5py.File(path) as file:
        assert set(file[f"layers/{LAYER}/examples"]) == {"activation", "box", "image_index"}


def test_the_predicted_size_of_an_export_counts_masks(atlas: ModelAtlas, tmp_path: Path) -> None:
    path = tmp_path / "atlas.h5"
    write_export(path, atlas, SyntheticPictures(atlas), "1")
    assert path.stat().st_size < predicted_bytes(atlas) < 2 * path.stat().st_size
