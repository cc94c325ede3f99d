"""An atlas in several sites: every unit is on one of them, and they lead to each other."""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from atlas.errors import CheckError, UsageError
from atlas.gallery import tree as sitetree
from atlas.gallery.finish import SiteReport
from atlas.gallery.lists import UnitList
from atlas.gallery.parts import WHOLE, Part, cut, part_of, parts_needed, site_names
from atlas.gallery.write import check_site, unchecked_links, write_site
from atlas.records.atlas import ModelAtlas
from atlas.records.network import CLASSES
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas, mapped, masked, parted, tuned, wired

LENSES = (0, 3)


def example() -> ModelAtlas:
    """Four layers of three units, with all that links from unit to unit."""
    atlas = make_atlas(
        layers=4,
        units=3,
        channels=12,
        images=8,
        size=32,
        recipes=("octaves", "company"),
        class_names=tuple(f"class {index}" for index in range(12)),
        classes=3,
        lenses=LENSES,
    )
    return mapped(wired(tuned(masked(atlas))))


def build(
    site: Path, atlas: ModelAtlas, part: Part, lists: tuple[UnitList, ...] = ()
) -> SiteReport:
    return write_site(
        atlas,
        SyntheticPictures(atlas, side=64),
        site=site,
        labels={},
        site_url="",
        templates=(),
        lists=lists,
        part=part,
    )


def build_parts(folder: Path, count: int, lists: tuple[UnitList, ...] = ()) -> list[Path]:
    """All parts of the example, one after the other."""
    atlas, sites = example(), [folder / f"atlas-{number}" for number in range(1, count + 1)]
    for number, site in enumerate(sites, 1):
        build(site, atlas, parted(atlas, site, number, count), lists)
    return sites


def tour() -> tuple[UnitList, ...]:
    """A list with a unit of the first layer, one of the last, and one that is nowhere."""
    first, last = (layer.info.name for layer in (example().layers[0], example().layers[-1]))
    names = [f"{first}:{example().layers[0].chosen[0]}", f"{last}:{example().layers[-1].chosen[0]}"]
    units = tuple((name, "A sentence.") for name in [*names, f"{last}:11111"])
    return (UnitList(slug="tour", title="Tour", text="", units=units),)


@pytest.fixture(scope="module", params=[2, 3])
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build_parts(tmp_path_factory.mktemp("parts"), request.param, tour())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build_parts(tmp_path_factory.mktemp("made"), 2)


@pytest.fixture
def two(made: list[Path], tmp_path: Path) -> list[Path]:
    """Two parts that a test may spoil."""
    return [Path(shutil.copytree(site, tmp_path / site.name)) for site in made]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("whole")
    build(site, example(), WHOLE, tour())
    return site


def rows(site: Path) -> list[dict[str, str]]:
    with (site / "synthetic" / "units.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read(site: Path, path: str) -> str:
    return (site / path).read_text("utf-8")


def model_of(site: Path) -> dict:
    return json.loads(read(site, "synthetic/model.json"))


# --- how an atlas is cut -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "count", "lengths"),
    [
        ([1, 1, 1, 1], 2, [2, 2]),
        ([1, 1, 1, 1, 1], 2, [3, 2]),
        ([9, 1, 1, 1], 2, [1, 3]),
        ([1, 1, 1, 9], 2, [3, 1]),
        ([1, 1, 1, 9], 3, [2, 1, 1]),
        ([5, 5, 5], 3, [1, 1, 1]),
        ([0, 0, 0], 2, [2, 1]),
        ([10, 20, 30, 40], 1, [4]),
    ],
)
def test_layers_are_cut_into_ranges_of_about_equally_many_units(
    units: list[int], count: int, lengths: list[int]
) -> None:
    named = {f"layer{at}": number for at, number in enumerate(units)}
    ranges = cut(named, count)
    assert [len(one) for one in ranges] == lengths
    assert [layer for one in ranges for layer in one] == list(named)


def test_classes_count_as_units_of_the_last_part() -> None:
    assert cut({"a": 4, "b": 4, "c": 4, "d": 4}, 2) == [("a", "b"), ("c", "d")]
    assert cut({"a": 4, "b": 4, "c": 4, "d": 4, CLASSES: 8}, 2) == [("a", "b", "c"), ("d",)]


def test_more_parts_than_layers_are_refused() -> None:
    with pytest.raises(UsageError, match="asks for 3 parts and the atlas has 2 layers") as caught:
        cut({"a": 1, "b": 1, CLASSES: 5}, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "number", "names"),
    [
        ("atlas-2", 2, ("atlas-1", "atlas-2", "atlas-3")),
        ("2", 2, ("1", "2", "3")),
        ("net.v2_3", 3, ("net.v2_1", "net.v2_2", "net.v2_3")),
    ],
)
def test_sites_are_named_by_the_number_of_their_part(
    tmp_path: Path, name: str, number: int, names: tuple[str, ...]
) -> None:
    assert site_names(tmp_path / name, number, 3) == names


def test_the_folder_one_is_in_has_a_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "atlas-1").mkdir()
    monkeypatch.chdir(tmp_path / "atlas-1")
    assert site_names(Path(), 1, 2) == ("atlas-1", "atlas-2")


@pytest.mark.parametrize("name", ["site", "atlas-2", "atlas-11", "atlas-01", "my atlas-1", "ä-1"])
def test_a_site_that_does_not_end_in_the_number_is_refused_in_one_line(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match=r"--site-part 1/2 needs .*such as sites/atlas-1") as found:
        site_names(tmp_path / name, 1, 2)
    assert "\n" not in str(found.value)


def test_one_part_of_one_is_the_whole_site_whatever_its_name(tmp_path: Path) -> None:
    assert part_of(tmp_path / "site", 1, 1, {"a": 1}) is WHOLE


def test_a_site_too_large_says_in_how_many_parts_it_fits() -> None:
    assert parts_needed(950, limit=900) == 2
    assert parts_needed(1_570, limit=900) == 2
    assert parts_needed(1_600, limit=900) == 3  # an eighth is left free
    with pytest.raises(CheckError, match=r"or write it in 2 parts: --site-part 1/2$"):
        sitetree.check_budget(950_000_000)
    with pytest.raises(CheckError, match=r"in 3 parts: --site-part 1/3$"):
        sitetree.check_budget(901_000_000, parts=2)


# --- what is where -------------------------------------------------------------------------------


def test_every_unit_is_on_exactly_one_site_as_the_whole_site_has_it(
    parts: list[Path], whole: Path
) -> None:
    assert [row for site in parts for row in rows(site)] == rows(whole)
    for row in rows(whole):
        files = [
            f"synthetic/{row['page'].removesuffix('.html')}{end}" for end in (".html", ".json")
        ]
        (site,) = (one for one in parts if (one / files[0]).exists())
        assert (site / files[1]).read_bytes() == (whole / files[1]).read_bytes()
        assert (site / "synthetic" / row["image"]).is_file() == bool(row["image"])


def test_images_are_on_the_first_part_and_classes_on_the_last(parts: list[Path]) -> None:
    for site in parts:
        has = {path.parent.name for path in site.glob("synthetic/*/index.html")}
        assert ("images" in has) == (site == parts[0])
        assert ("classes" in has) == (site == parts[-1])
        for path in ("index.html", "search.html", "about.html", "404.html", "lists/index.html"):
            assert (site / path).is_file()
        for path in ("index.html", "wall.html", "quiz.html", "units.csv", "card.jpg"):
            assert (site / "synthetic" / path).is_file()


def test_every_part_lists_all_layers_and_says_which_are_elsewhere(
    parts: list[Path], whole: Path
) -> None:
    names = [row["layer"] for row in model_of(whole)["layers"]]
    for number, site in enumerate(parts, 1):
        model, page = model_of(site), read(site, "synthetic/index.html")
        assert [row["layer"] for row in model["layers"]] == names
        assert page.count('<section class="row"') == len(names)
        for row in model["layers"]:
            away = f"../../atlas-{row['part']}/synthetic/" if row["part"] != number else ""
            assert row["folder"] == f"{away}{row['layer']}"
            assert ("shown" in row) == bool(away)
            said = f"<bdi>{row['layer']}</bdi></a> <small>in part {row['part']}</small>"
            assert (said in page) == bool(away)
        assert f"This site is part {number} of {len(parts)} of the atlas" in page
        assert f"This site is part {number} of {len(parts)} of the atlas" in read(
            site, "index.html"
        )


def test_data_of_a_part_say_which_it_is_and_where_the_others_are(
    parts: list[Path], whole: Path
) -> None:
    for number, site in enumerate(parts, 1):
        model, (row,) = model_of(site), json.loads(read(site, "atlas.json"))["models"]
        assert problems(model, "model") == []
        assert problems(json.loads(read(site, "atlas.json")), "atlas") == []
        assert (
            (model["part"], model["parts"]) == (row["part"], row["parts"]) == (number, len(parts))
        )
        assert model["n_units"] == model_of(whole)["n_units"]
        places = [f"../../atlas-{one}/" for one in range(1, len(parts) + 1)]
        places[number - 1] = "../"
        assert [one["site"] for one in model["sites"]] == places
        assert [one["n_units"] for one in model["sites"]] == [len(rows(one)) for one in parts]
    assert not {"part", "parts", "sites"} & model_of(whole).keys()


def test_search_and_wall_are_of_a_parts_own_layers(parts: list[Path]) -> None:
    for site in parts:
        own = {row["layer"] for row in rows(site)}
        search = json.loads(read(site, "synthetic/search.json"))
        assert {layer[0] for layer in search["layers"]} - {"classes", "images"} == own
        data = re.search(r'id="units">(.*?)</script>', read(site, "synthetic/wall.html"))
        assert data
        assert {layer["name"] for layer in json.loads(data[1])["layers"]} == own


# --- how one leads to another --------------------------------------------------------------------


def test_every_link_of_every_part_leads_to_a_file(parts: list[Path]) -> None:
    kinds: Counter[bool] = Counter()
    for site in parts:
        assert check_site(site) == []
        assert unchecked_links(site) == []
        for page in site.rglob("*.html"):
            for link in re.findall(
                r'(?:href|src|data-page)="([^"#?:]+)[#?"]', page.read_text("utf-8")
            ):
                if not page.name.startswith("404"):
                    assert (page.parent / link).is_file(), (page, link)
                    kinds[site not in (page.parent / link).resolve().parents] += 1
    assert kinds[True] > 50


def test_the_last_layer_of_a_part_leads_to_the_first_of_the_next_and_back(
    parts: list[Path],
) -> None:
    layers = [[row["layer"] for row in rows(site)] for site in parts]
    for at in range(len(parts) - 1):
        last, first = layers[at][-1], layers[at + 1][0]
        onward = read(parts[at], f"synthetic/{last}/index.html")
        back = read(parts[at + 1], f"synthetic/{first}/index.html")
        there = f"../../../atlas-{at + 2}/synthetic/{first}/index.html"
        assert f'href="{there}"><bdi>{first}, part {at + 2}</bdi>' in onward
        assert f"../../../atlas-{at + 1}/synthetic/{last}/index.html" in back


def test_circuits_lead_to_units_of_other_parts_with_their_pictures(parts: list[Path]) -> None:
    first = rows(parts[1])[0]["layer"]
    pages = [read(path, "") for path in (parts[1] / "synthetic" / first).glob("[0-9]*.html")]
    away = "../../../atlas-1/synthetic/"
    assert any(re.search(rf'href="{away}[^"]*/\d+\.html"', page) for page in pages)
    assert any(re.search(rf'src="{away}[^"]*/img/\d+[^"]*\.t\.jpg"', page) for page in pages)


def test_a_list_leads_to_units_of_other_parts_and_misses_only_what_is_nowhere(
    tmp_path: Path,
) -> None:
    atlas, site = example(), tmp_path / "atlas-1"
    report = build(site, atlas, parted(atlas, site, 1, 2), tour())
    (warning,) = report.warnings
    assert ":11111" in warning
    name = tour()[0].units[1][0]
    layer, channel = name.split(":")
    there = f"../../synthetic/../../atlas-2/synthetic/{layer}/{channel}.html"
    assert f'href="{there}">part 2 of this atlas</a>' in read(site, "lists/tour/2.html")
    (units,) = (one["units"] for one in json.loads(read(site, "lists/lists.json"))["lists"])
    assert [one["channel"] is None for one in units] == [False, False, True]


def test_links_to_a_missing_part_are_counted_not_reported(two: list[Path]) -> None:
    first, second = two
    shutil.rmtree(second)
    assert check_site(first) == []
    (line,) = unchecked_links(first)
    assert re.fullmatch(r"\d+ links to atlas-2, which is not beside atlas-1: not checked", line)


def test_a_broken_link_to_a_part_that_is_there_is_found(two: list[Path]) -> None:
    first, second = two
    (second / "synthetic" / rows(second)[0]["page"]).unlink()
    found = check_site(first)
    assert found
    assert all("which is not there" in line and "../atlas-2/synthetic/" in line for line in found)


def test_a_link_beside_the_parts_is_broken(two: list[Path]) -> None:
    first, _ = two
    (first.parent / "atlas-3").mkdir()
    (first.parent / "atlas-3" / "index.html").write_text("")
    (first / "mine.html").write_text('<a href="../atlas-3/index.html">x</a>')
    assert check_site(first) == ["mine.html links to ../atlas-3/index.html, which is not there"]


# --- built again ---------------------------------------------------------------------------------


def test_another_part_in_the_same_folder_leaves_nothing_of_the_first(
    two: list[Path], tmp_path: Path
) -> None:
    atlas, site = example(), two[0]
    build(site, atlas, parted(atlas, site, 1, 3))
    fresh = tmp_path / "b" / "atlas-1"
    build(fresh, atlas, parted(atlas, fresh, 1, 3))
    for one, other in ((site, fresh), (fresh, site)):
        for path in one.rglob("*"):
            twin = other / path.relative_to(one)
            assert path.is_dir() or twin.read_bytes() == path.read_bytes(), path


def test_a_part_over_the_budget_leaves_the_old_one_as_it_is(
    two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    atlas, site = example(), two[0]
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    monkeypatch.setattr(sitetree, "BUDGET", 1000)
    with pytest.raises(CheckError, match="--site-part 1/"):
        build(site, atlas, parted(atlas, site, 1, 3))
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_an_unchanged_part_is_not_written_again(two: list[Path]) -> None:
    atlas = example()
    assert build(two[1], atlas, parted(atlas, two[1], 2, 2)).written == 0
