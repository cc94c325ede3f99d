"""The pages of a map, and the meanings of units, as readers and scripts find them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.gallery.write import write_site
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas, mapped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a layer with a map."""
    site = tmp_path_factory.mktemp("site")
    atlas = mapped(make_atlas(layers=3, units=6, size=64, classes=3, class_names=tuple("abcd")))
    write_site(
        atlas, SyntheticPictures(atlas), site=site, labels={}, site_url="", templates=(), other=None
    )
    return site / "synthetic" / atlas.layers[1].info.name


def drawn(folder: Path) -> dict[str, object]:
    """What the script of the map draws."""
    page = (folder / "map.html").read_text()
    start = page.index('id="units">') + len('id="units">')
    return json.loads(page[start : page.index("</script>", start)])["layers"][0]


def test_every_cell_has_a_page_a_picture_and_a_place_on_the_sheet(folder: Path) -> None:
    cells = drawn(folder)["cells"]
    assert len(cells) == 12
    assert cells[1] is None
    assert [one[:2] for one in cells if one] == [[0, 0], *[[n, n - 1] for n in range(2, 12)]]
    for number in (0, *range(2, 12)):
        assert (folder / f"map/{number}.html").exists()
        assert (folder / f"map/img/{number}.jpg").exists()
    assert not (folder / "map/1.html").exists()
    assert (folder / "map/img/sheet-0.jpg").exists()
    assert (folder / "map/img/overview.jpg").exists()


def test_cells_are_tinted_by_the_classes_that_most_of_them_raise(folder: Path) -> None:
    """Cells whose number is no multiple of four raise a (class 0) and one of b, c, d."""
    cells = [one for one in drawn(folder)["cells"] if one]
    page = (folder / "map.html").read_text()
    names = [name for name in "abcd" if f"<bdi>{name}</bdi>" in page]
    assert names == ["a", "b", "c", "d"]
    order = {"a": 0, "c": 1, "d": 2, "b": 3}  # of eight cells; of three, three and two
    for number, _, tint, *_, called, _ in cells:
        assert called == ("" if number % 4 == 0 else "abcd"[number % 4])
        assert tint == (None if number % 4 == 0 else order["abcd"[number % 4]])


def test_without_a_script_the_map_is_a_table_in_its_order(folder: Path) -> None:
    page = (folder / "map.html").read_text()
    table = page[page.index("<noscript>") : page.index("</noscript>")]
    links = [int(part.split(".")[0]) for part in table.split('href="map/')[1:]]
    assert links == [0, *range(2, 12)]
    assert table.count("<tr>") == 3
    assert table.count("<td>") == 12


def test_map_json_follows_its_schema(folder: Path) -> None:
    value = json.loads((folder / "map.json").read_text())
    assert problems(value, "map") == []
    assert value["cells"][0]["image"] == "map/img/0.jpg"


def test_unit_files_with_meanings_follow_their_schema(folder: Path) -> None:
    counts = []
    for path in folder.glob("[0-9]*.json"):
        value = json.loads(path.read_text())
        assert problems(value, "unit") == []
        counts.append(len(value["meanings"]["meanings"]))
        page = path.with_suffix(".html").read_text()
        assert ("Two meanings" in page) == (counts[-1] == 2)
        assert "of sets of random images fall apart as clearly" in page
    assert sorted(counts) == [1, 1, 1, 2, 2, 2]
    layer = json.loads((folder / "layer.json").read_text())
    assert layer["meanings"] == {"units": 6, "several": 3}
    assert problems(layer, "layer") == []
    assert "3 of 6 units have several meanings" in (folder / "index.html").read_text()


def test_a_network_without_classes_has_a_map_without_tint(tmp_path: Path) -> None:
    atlas = mapped(make_atlas(layers=2, units=2, size=64))
    layer = replace(atlas.layers[1], map=replace(atlas.layers[1].map, reason="it has none"))
    atlas = replace(atlas, layers=(atlas.layers[0], layer))
    write_site(
        atlas,
        SyntheticPictures(atlas),
        site=tmp_path,
        labels={},
        site_url="",
        templates=(),
        other=None,
    )
    page = next(tmp_path.glob("*/*/map.html")).read_text()
    assert "No class is known: it has none." in page
    assert 'class="key' not in page
