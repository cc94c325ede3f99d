"""The wall as data and as links: every unit once, by pictures of the recipe that leads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from atlas.gallery.write import check_site
from atlas.records.atlas import ModelAtlas
from tests.gallery.test_write import Parsed, build, small
from tests.synthetic import judged, wired

EMPTY = np.array((128, 124, 118))


def wall_of(folder: Path, atlas: ModelAtlas) -> tuple[Any, Parsed]:
    """The data and the markup of a wall."""
    build(folder, atlas)
    text = (folder / "synthetic/wall.html").read_text()
    data = text.split('id="units">')[1].split("</script>")[0]
    return json.loads(data), Parsed(text)


def rows_of(layer: Any) -> list[Any]:
    return [cell for cell in layer["cells"] if cell]


def test_every_unit_is_a_cell_and_a_link_once(tmp_path: Path) -> None:
    atlas = small(units=7)
    data, page = wall_of(tmp_path, atlas)
    for layer, known in zip(data["layers"], atlas.layers, strict=True):
        assert layer["name"] == known.info.name
        assert sorted(row[0] for row in rows_of(layer)) == sorted(known.chosen)
        assert len(layer["cells"]) % layer["across"] == 0
    links = [str(tag["href"]) for tag in page.all("a") if str(tag.get("href")).count("/") == 1]
    pages = {f"{one.info.name}/{channel}.html" for one in atlas.layers for channel in one.chosen}
    assert {link for link in links if not link.startswith("..")} >= pages
    assert len([link for link in links if link in pages]) == len(pages)


def test_a_row_says_where_the_picture_is_and_which_colours_it_has(tmp_path: Path) -> None:
    atlas = judged(small(units=12, recipes=("octaves",)))
    data, _ = wall_of(tmp_path, atlas)
    for layer, known in zip(data["layers"], atlas.layers, strict=True):
        made = {one.unit.channel: one for one in known.renderings}
        assert known.evidence
        for channel, place, status, reach, ident, _, note in rows_of(layer):
            one = made.get(channel)
            assert (place is None) == (one is None)
            assert place is None or known.chosen[place] == channel
            assert (status is None) == (one is not None and one.status == "ok")
            assert reach == (
                None if one is None else sum(one.scores.reach >= x for x in (1, 2, 4, 8))
            )
            rank = known.evidence.pictures["octaves"].get(channel)
            expected = rank.ident if rank and one else 0
            assert ident == (sum(expected >= x for x in (2, 4, 11, 31)) if expected else None)
            assert (f"IDENT {expected}" in note) == bool(expected)


def test_the_overview_shows_each_unit_in_its_cell(tmp_path: Path) -> None:
    data, _ = wall_of(tmp_path, small(layers=1, units=7, plain=True))
    (layer,) = data["layers"]
    folder = tmp_path / "synthetic" / layer["folder"] / "img"
    overview = cv2.imread(str(folder / "overview.jpg")).astype(int)
    assert overview.shape == (32 * len(layer["cells"]) // layer["across"], 32 * layer["across"], 3)
    for at, cell in enumerate(layer["cells"]):
        row, column = divmod(at, layer["across"])
        tile = overview[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        if cell is None:
            assert np.abs(tile - EMPTY[::-1]).mean() < 4
            continue
        thumb = cv2.imread(str(folder / f"{cell[0]}.t.jpg"))
        expected = cv2.resize(thumb, (32, 32), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(tile - expected).mean() < 12


def test_the_recipe_that_leads_gives_the_pictures(tmp_path: Path) -> None:
    atlas = judged(small(units=6, plain=True, recipes=("octaves", "company")))
    assert atlas.recipes_of(atlas.layers[0])[0] == "company"
    data, page = wall_of(tmp_path, atlas)
    assert {layer["suffix"] for layer in data["layers"]} == {".company"}
    sheets = {str(tag["src"]) for tag in page.all("img")}
    assert sheets == {f"{one.info.name}/img/sheet.company-0.jpg" for one in atlas.layers}


def test_a_unit_without_a_picture_is_hatched_and_says_why(tmp_path: Path) -> None:
    atlas = small(layers=1, units=2, plain=True)
    (layer,) = atlas.layers
    lost = layer.chosen[1]
    kept = tuple(one for one in layer.renderings if one.unit.channel != lost)
    data, page = wall_of(tmp_path, replace(atlas, layers=(replace(layer, renderings=kept),)))
    rows = {row[0]: row for row in rows_of(data["layers"][0])}
    assert rows[lost][1] is None
    assert rows[lost][6] == "unrendered"
    assert len(page.all("img")) == 1
    picture = cv2.imread(str(tmp_path / "synthetic/conv_stem/img/overview.jpg"))
    at = [cell[0] for cell in data["layers"][0]["cells"]].index(lost)
    stripes = picture[:32, 32 * at : 32 * at + 32, 1].astype(int)
    assert stripes.max() - stripes.min() > 25


def test_labels_are_found_and_markup_in_them_is_harmless(tmp_path: Path) -> None:
    atlas = small(layers=1, units=3, plain=True)
    unit = f"conv_stem:{atlas.layers[0].chosen[0]}"
    build(tmp_path, atlas, {f"synthetic/{unit}": "</script><b>eyes"})
    text = (tmp_path / "synthetic/wall.html").read_text()
    assert "</script><b>" not in text
    rows = rows_of(json.loads(text.split('id="units">')[1].split("</script>")[0])["layers"][0])
    assert [row[5] for row in rows if row[5]] == ["</script><b>eyes"]


@pytest.mark.parametrize("units", [1, 2])
def test_one_layer_of_few_units_is_a_wall(tmp_path: Path, units: int) -> None:
    data, _ = wall_of(tmp_path, small(layers=1, units=units, images=1))
    assert len(rows_of(data["layers"][0])) == units
    assert check_site(tmp_path) == []
    assert "wall.html" in (tmp_path / "synthetic/index.html").read_text()


def test_layers_without_units_are_left_out_and_without_any_there_is_no_wall(tmp_path: Path) -> None:
    atlas = small(layers=2)
    nothing = [replace(one, chosen=(), renderings=()) for one in atlas.layers]
    data, _ = wall_of(tmp_path, replace(atlas, layers=(nothing[0], atlas.layers[1])))
    assert [layer["name"] for layer in data["layers"]] == [atlas.layers[1].info.name]
    build(tmp_path, replace(atlas, layers=tuple(nothing)))
    assert not (tmp_path / "synthetic/wall.html").exists()
    assert "wall.html" not in (tmp_path / "synthetic/index.html").read_text()


def test_a_page_of_10_000_units_would_have_less_than_4_mb(tmp_path: Path) -> None:
    build(tmp_path, small(layers=1, units=150, channels=150, plain=True))
    assert (tmp_path / "synthetic/wall.html").stat().st_size / 150 * 10_000 < 4e6


def test_units_are_found_by_the_classes_that_they_raise(tmp_path: Path) -> None:
    names = tuple(f"class {index}" for index in range(12))
    atlas = wired(small(units=6, classes=4, class_names=names))
    data, _ = wall_of(tmp_path, atlas)
    layer, known = data["layers"][1], atlas.layers[1]
    for channel, *_, called, _note in (row[:7] for row in rows_of(layer)):
        links = known.circuits[channel].of("classes")
        first = next(one for one in links if one.effect > 0)
        assert f"raises {atlas.model.class_names[first.channel]}" in called
