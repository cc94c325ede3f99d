"""What an observer recognises, on the pages and in the data beside them."""

import csv
import html
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from atlas.gallery import write as gallery
from atlas.models.observers import HOW_TO_GET
from atlas.records.atlas import ModelAtlas
from atlas.records.evidence import LayerEvidence, Place
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, judged, make_atlas

RECIPES = ("octaves", "company")


def write(site: Path, atlas: ModelAtlas) -> Path:
    """Write a site; returns the folder of its model."""
    pictures = SyntheticPictures(atlas, side=64)
    gallery.write_site(atlas, pictures, site=site, labels={}, site_url="", templates=())
    return site / "synthetic"


def atlas_of(**given: Any) -> ModelAtlas:
    small = {"layers": 2, "units": 8, "images": 5, "size": 32, "recipes": RECIPES}
    return make_atlas(**{**small, **given})


Site = tuple[Path, ModelAtlas]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The folder of a model that an observer judges."""
    atlas = judged(atlas_of(classes=4))
    return write(tmp_path_factory.mktemp("judged"), atlas), atlas


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same model where none judges."""
    return write(tmp_path_factory.mktemp("bare"), atlas_of(classes=4))


def text(path: Path) -> str:
    """The words of a page."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", path.read_text())).split())


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def places(evidence: LayerEvidence | None, recipe: str) -> dict[int, Place]:
    assert evidence is not None
    return dict(evidence.pictures.get(recipe, {}))


# --- data ----------------------------------------------------------------------------------------


def test_data_of_units_holds_the_places_of_the_records(site: Site) -> None:
    folder, atlas = site
    for layer in atlas.layers:
        assert layer.evidence is not None
        for unit in read(folder / layer.info.name / "layer.json")["units"]:
            channel = unit["channel"]
            assert unit["ident_photographs"] == (layer.evidence.photographs[channel].ident or None)
            for made in unit["renderings"]:
                place = places(layer.evidence, made["recipe"])[channel]
                assert made["ident"] == (place.ident or None)
                assert made["predict"] == (None if math.isnan(place.predict) else place.predict)
                assert made["unidentified"] == (place.ident > layer.evidence.live / 4)
            own = read(folder / layer.info.name / f"{channel}.json")
            if unit["renderings"]:
                assert unit["recipe"] == "company"
                assert unit["ident"] == unit["renderings"][0]["ident"] == own["ident"]
                assert unit["unidentified"] == own["unidentified"]


def test_the_table_of_units_says_the_same(site: Site) -> None:
    folder, atlas = site
    with open(folder / "units.csv", newline="", encoding="utf-8") as file:
        rows = {(row["layer"], row["channel"]): row for row in csv.DictReader(file)}
    for layer in atlas.layers:
        for unit in read(folder / layer.info.name / "layer.json")["units"]:
            row = rows[layer.info.name, str(unit["channel"])]
            for name in ("predict", "ident", "ident_photographs", "unidentified"):
                assert row[name] == ("" if unit[name] is None else str(unit[name])), name


def test_data_of_a_layer_has_medians_chance_and_the_control(site: Site) -> None:
    folder, atlas = site
    layer = atlas.layers[0]
    assert layer.evidence is not None
    data = read(folder / layer.info.name / "layer.json")["evidence"]
    assert (data["observer"], data["judges"], data["live"]) == ("Onlooker", 70, 15)
    assert data["chance"] == 8
    for recipe in RECIPES:
        idents = sorted(one.ident for one in places(layer.evidence, recipe).values() if one.ident)
        found = data["recipes"][recipe]
        assert (found["judged"], found["first"]) == (len(idents), idents.count(1))
        assert found["share"] == pytest.approx(sum(idents) / len(idents) / 15 - 0.5 / 15)
        assert found["swapped"] == 0.5
    assert data["photographs"]["swapped"] is None


@pytest.mark.parametrize("name", ["layer", "unit", "class"])
def test_data_obeys_its_schema(site: Site, bare: Path, name: str) -> None:
    pattern = {"layer": "*/layer.json", "unit": "[!ci]*/[0-9]*.json", "class": "classes/*.json"}
    for folder in (site[0], bare):
        for path in sorted(folder.glob(pattern[name]))[:20]:
            if name == "unit" or path.parent.name != "classes" or path.name != "layer.json":
                assert problems(read(path), name) == [], path


# --- pages ---------------------------------------------------------------------------------------


def test_a_unit_says_how_the_observer_picks_it_by_each_picture(site: Site) -> None:
    folder, atlas = site
    layer = atlas.layers[1]
    assert layer.evidence is not None
    flagged = 0
    for channel in layer.chosen[:-1]:
        said = text(folder / layer.info.name / f"{channel}.html")
        for recipe in RECIPES:
            place = places(layer.evidence, recipe).get(channel)
            if place is not None:
                assert re.search(rf"Onlooker picks this unit as {place.ident}\w\w of 15", said)
                flagged += place.ident > 15 / 4
        assert ("unidentified" in said) == any(
            places(layer.evidence, recipe).get(channel, Place(ident=1, predict=0)).ident > 15 / 4
            for recipe in RECIPES
        )
    assert flagged


def test_the_recipe_that_identifies_best_leads_under_the_addresses_of_before(site: Site) -> None:
    folder, atlas = site
    layer = atlas.layers[0]
    channel = next(one.unit.channel for one in layer.renderings if one.status == "ok")
    page = (folder / layer.info.name / f"{channel}.html").read_text()
    pictures = re.findall(r'<img src="(img/[^"]*)"', page)
    assert pictures.index(f"img/{channel}.company.jpg") < pictures.index(f"img/{channel}.jpg")
    grid = (folder / layer.info.name / "index.html").read_text()
    options = re.findall(r'<option value="(\w+)" data-suffix="([^"]*)"', grid)
    assert options == [("company", ".company"), ("octaves", "")]
    assert "img/sheet.company-0.jpg" in grid


def test_a_layer_has_a_row_for_each_recipe_the_photographs_and_chance(site: Site) -> None:
    folder, atlas = site
    layer = atlas.layers[0]
    said = text(folder / layer.info.name / "index.html")
    assert "What Onlooker recognises" in said
    names = ("company", "octaves", "nine photographs")
    positions = [
        re.search(rf"{name} \d+ of \d+ at the first place, median", said) for name in names
    ]
    starts = [found.start() for found in positions if found]
    assert len(starts) == 3
    assert starts == sorted(starts)
    assert "chance median 8th of 15" in said
    assert "70 photographs" in said
    assert "median IDENT" in text(folder / "index.html")


def test_cards_sort_by_ident_and_predict_of_each_recipe(site: Site) -> None:
    folder, atlas = site
    layer = atlas.layers[0]
    page = (folder / layer.info.name / "index.html").read_text()
    rows = [json.loads(html.unescape(one)) for one in re.findall(r'data-v="([^"]*)"', page)]
    assert len(rows) == 8
    for first, *made in rows:
        for recipe, values in zip(("company", "octaves"), made, strict=True):
            place = places(layer.evidence, recipe).get(first[1])
            assert (values is None) == (place is None)
            if place is not None:
                assert values[5] == (place.ident or None)
                assert values[6] == (
                    pytest.approx(place.predict, rel=1e-6) if place.ident else None
                )
    for key in ("ident", "predict"):
        assert f'<option value="{key}"' in page


# --- without an observer -------------------------------------------------------------------------


def test_without_an_observer_no_page_of_a_model_speaks_of_one(bare: Path) -> None:
    for path in bare.rglob("*.html"):
        said = path.read_text()
        for word in ("IDENT", "PREDICT", "identified", "observer", 'value="ident"'):
            assert word not in said, path
    for path in bare.rglob("layer.json"):
        data = read(path)
        assert data["evidence"] is None
        for unit in data["units"]:
            assert unit["ident"] is unit["predict"] is unit["ident_photographs"] is None
            assert not unit["unidentified"]


def test_the_about_page_explains_evidence_and_how_to_get_an_observer(bare: Path) -> None:
    said = text(bare.parent / "about.html")
    for part in (HOW_TO_GET, "IDENT", "PREDICT", "judging photographs", "nine photographs"):
        assert part in said
    for part in ("swapped", "unidentified", "comes first", "when nothing natural holds it"):
        assert part in said
