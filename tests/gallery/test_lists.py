"""Lists on a site: units of several models, missing ones, and nothing left behind."""

import json
from collections.abc import Sequence
from pathlib import Path

from atlas.gallery.lists import UnitList
from atlas.gallery.write import check_site
from tests.gallery.test_write import Parsed, build, small, snapshot
from tests.schemas import problems

LONG = "pneumono" * 300


def a_list(*units: tuple[str, str], title: str = "A tour", text: str = "") -> UnitList:
    return UnitList(slug="tour", title=title, text=text, units=units)


def text_of(site: Path, path: str) -> str:
    return Parsed((site / path).read_text("utf-8")).text


def listed(site: Path) -> Sequence[dict[str, object]]:
    """The units of the first list as data."""
    data = json.loads((site / "lists/lists.json").read_text())
    assert problems(data, "lists") == []
    units: Sequence[dict[str, object]] = data["lists"][0]["units"]
    return units


def test_a_list_without_a_model_finds_its_unit_and_each_stop_has_a_page(tmp_path: Path) -> None:
    atlas = small(plain=True)
    first, second = atlas.layers[0].chosen[:2]
    units = ((f"conv_stem:{first}", "One."), (f"synthetic/conv_stem:{second}", "Two."))
    report = build(tmp_path, atlas, lists=[a_list(*units, text="Said.\n\nMore.")])
    assert report.warnings == ()
    assert check_site(tmp_path) == []
    assert [row["page"] for row in listed(tmp_path)] == [
        f"../synthetic/conv_stem/{channel}.html" for channel in (first, second)
    ]
    for number, (channel, said) in enumerate(((first, "One."), (second, "Two.")), 1):
        page = Parsed((tmp_path / f"lists/tour/{number}.html").read_text())
        assert said in page.text
        pictures = {str(image["src"]) for image in page.all("img")}
        home = f"../../synthetic/conv_stem/img/{channel}"
        assert pictures == {f"{home}.jpg", *(f"{home}.p{place}.jpg" for place in range(1, 6))}
    assert "Said." in text_of(tmp_path, "lists/tour/index.html")
    assert "A tour" in text_of(tmp_path, "index.html")


def test_a_list_spans_models_that_are_built_one_after_the_other(tmp_path: Path) -> None:
    first, second = small(name="first", plain=True), small(name="second", plain=True)
    names = [f"{one.model.name}/conv_stem:{one.layers[0].chosen[0]}" for one in (first, second)]
    lists = [a_list(*((name, "") for name in names))]
    before = build(tmp_path, first, lists=lists)
    assert before.warnings == (f"list “A tour”: there is no unit {names[1]} on this site",)
    assert [row["model"] for row in listed(tmp_path)] == ["first", None]
    assert "does not show this unit" in text_of(tmp_path, "lists/tour/2.html")
    assert build(tmp_path, second, lists=lists).warnings == ()
    assert [row["model"] for row in listed(tmp_path)] == ["first", "second"]
    assert check_site(tmp_path) == []


def test_a_name_that_means_two_units_shows_the_first_and_says_so(tmp_path: Path) -> None:
    atlas = small(name="second", plain=True)
    name = f"conv_stem:{atlas.layers[0].chosen[0]}"
    build(tmp_path, small(name="first", plain=True))
    (said,) = build(tmp_path, atlas, lists=[a_list((name, ""))]).warnings
    assert said.startswith(f"list “A tour”: first, second have a unit {name}; that of first is")
    assert [row["model"] for row in listed(tmp_path)] == ["first"]


def test_another_models_broken_data_is_a_missing_unit(tmp_path: Path) -> None:
    first = small(name="first", plain=True)
    channel = first.layers[0].chosen[0]
    build(tmp_path, first)
    (tmp_path / f"first/conv_stem/{channel}.json").write_text("{")
    lists = [a_list((f"first/conv_stem:{channel}", ""))]
    assert build(tmp_path, small(name="second"), lists=lists).warnings
    assert "does not show this unit" in text_of(tmp_path, "lists/tour/1.html")


def test_markup_and_very_long_words_in_lists_are_text(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>" onload=\u202e'
    atlas = small(plain=True)
    unit = (f"conv_stem:{atlas.layers[0].chosen[0]}", hostile)
    build(tmp_path, atlas, lists=[a_list(unit, (hostile, LONG), title=hostile, text=LONG)])
    for path in ("lists/index.html", "lists/tour/index.html", "lists/tour/1.html", "index.html"):
        markup = (tmp_path / path).read_text()
        assert "<script>alert" not in markup
        assert "\u202e" not in markup
        assert "<script>alert(1)</script>" in Parsed(markup).text


def test_units_that_are_not_ok_or_not_rendered_have_stops(tmp_path: Path) -> None:
    atlas = small(units=12)
    units = [f"{layer.info.name}:{one}" for layer in atlas.layers for one in layer.chosen]
    build(tmp_path, atlas, lists=[a_list(*((name, "") for name in units))])
    pages = [text_of(tmp_path, f"lists/tour/{at}.html") for at in range(1, len(units) + 1)]
    assert any("There is no picture of this unit." in page for page in pages)
    assert any("weak" in page for page in pages)


def test_a_list_that_is_gone_takes_its_pages_with_it_and_its_index_stays(tmp_path: Path) -> None:
    atlas = small(plain=True)
    name = f"conv_stem:{atlas.layers[0].chosen[0]}"
    build(tmp_path, atlas, lists=[a_list((name, ""))])
    before = snapshot(tmp_path)
    assert build(tmp_path, atlas, lists=[a_list((name, ""))]).written == 0
    assert snapshot(tmp_path) == before
    (tmp_path / "lists/notes.txt").write_text("not made here")
    report = build(tmp_path, atlas)
    assert report.removed == 2
    assert sorted(path.name for path in (tmp_path / "lists").rglob("*") if path.is_file()) == [
        *("index.html", "lists.json", "manifest.json", "notes.txt"),
    ]
    assert "There is no list of units yet" in text_of(tmp_path, "lists/index.html")
    assert "lists/index.html" not in (tmp_path / "synthetic/index.html").read_text()
    assert check_site(tmp_path) == []


def test_a_model_called_lists_has_a_folder_of_its_own(tmp_path: Path) -> None:
    build(tmp_path, small(name="lists"), lists=[a_list(("conv_stem:0", ""))])
    assert (tmp_path / "~6Cists/index.html").is_file()
    assert (tmp_path / "lists/tour/index.html").is_file()


def test_lists_and_their_stops_are_in_the_sitemap(tmp_path: Path) -> None:
    atlas = small(plain=True)
    name = f"conv_stem:{atlas.layers[0].chosen[0]}"
    build(tmp_path, atlas, url="https://me.example", lists=[a_list((name, ""))])
    text = (tmp_path / "sitemap.xml").read_text()
    for path in ("lists/index.html", "lists/tour/index.html", "lists/tour/1.html"):
        assert f"<loc>https://me.example/{path}</loc>" in text
    assert ".embed.html" not in text


# --- tags ----------------------------------------------------------------------------------------


def test_tags_reach_the_search_the_layer_and_the_wall(tmp_path: Path) -> None:
    atlas = small(plain=True)
    channel = atlas.layers[0].chosen[0]
    build(tmp_path, atlas, {f"synthetic/conv_stem:{channel}": "eyes, <b>dogs</b>"})
    table = json.loads((tmp_path / "synthetic/search.json").read_text())
    assert [row[7] for row in table["rows"] if len(row) > 7] == ["eyes,<b>dogs</b>"]
    cards = [tag["data-tags"] for tag in layer_page(tmp_path).all("li") if "data-tags" in tag]
    assert cards == ["eyes,<b>dogs</b>"]
    for path in ("search.html", "synthetic/conv_stem/index.html", "synthetic/wall.html"):
        markup = (tmp_path / path).read_text()
        assert "<option>&lt;b&gt;dogs&lt;/b&gt;</option><option>eyes</option>" in markup
    assert "<b>dogs</b>" in text_of(tmp_path, "search.html")
    assert f"synthetic/conv_stem/{channel}.html" in (tmp_path / "search.html").read_text()


def layer_page(site: Path) -> Parsed:
    return Parsed((site / "synthetic/conv_stem/index.html").read_text())


def test_only_the_most_used_tags_are_offered(tmp_path: Path) -> None:
    atlas = small(layers=1, units=210, channels=210, images=1, plain=True)
    labels = {f"synthetic/conv_stem:{one}": f"tag {one}, all" for one in range(210)}
    build(tmp_path, atlas, labels)
    assert (tmp_path / "search.html").read_text().count("<dt><bdi>") == 200
