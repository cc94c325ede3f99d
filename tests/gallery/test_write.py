"""The pages: records and pixels in, a site out."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from atlas.errors import CacheError, CheckError, UsageError
from atlas.gallery import finish
from atlas.gallery import tree as sitetree
from atlas.gallery.lists import UnitList
from atlas.gallery.write import SiteReport, check_site, write_site
from atlas.records.atlas import ModelAtlas
from atlas.records.samples import SkippedFile
from atlas.records.units import Unit
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas

DATA = "application/json"
"""Type of a block of data, which is no script though its tag says so."""


def small(**given: Any) -> ModelAtlas:
    return make_atlas(**{"layers": 3, "units": 4, "images": 5, "size": 32, **given})


def build(
    site: Path,
    atlas: ModelAtlas,
    labels: Mapping[str, str] | None = None,
    url: str = "",
    templates: tuple[Path, ...] = (),
    octaves: int = 0,
    lists: Sequence[UnitList] = (),
) -> SiteReport:
    pictures = SyntheticPictures(atlas, octaves=octaves, side=64)
    return write_site(
        atlas,
        pictures,
        site=site,
        labels=labels or {},
        site_url=url,
        templates=templates,
        lists=lists,
    )


def snapshot(site: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file."""
    return {
        path: ((site / path).stat().st_ino, (site / path).stat().st_mtime_ns)
        for path in sitetree.walk(site)
    }


def digest(site: Path) -> str:
    rows = [path.encode() + (site / path).read_bytes() for path in sorted(sitetree.walk(site))]
    return hashlib.sha256(b"".join(hashlib.sha256(row).digest() for row in rows)).hexdigest()


class Parsed(HTMLParser):
    """The parts of a page that the tests look at: tags with their attributes, ids, text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> list[str]:
        return [str(found["id"]) for _, found in self.tags if "id" in found]


def pages(site: Path) -> dict[str, Parsed]:
    paths = [path for path in sitetree.walk(site) if path.endswith(".html")]
    return {path: Parsed((site / path).read_text("utf-8")) for path in paths}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelAtlas]:
    """A site of one model with two recipes, octaves, labels, dead, weak and missing units."""
    site = tmp_path_factory.mktemp("built") / "site"
    atlas = small(units=12, recipes=("octaves", "company"), classes=6, lenses=(0, 3))
    unit = f"{atlas.layers[0].info.name}:{atlas.layers[0].chosen[0]}"
    build(site, atlas, {f"synthetic/{unit}": "stripes <&> “eyes”"}, octaves=2)
    return site, atlas


Built = tuple[Path, ModelAtlas]


# --- addresses -----------------------------------------------------------------------------------


def test_every_page_of_the_specification_is_where_it_belongs(built: Built) -> None:
    site, atlas = built
    channel = atlas.layers[1].chosen[0]
    for path in (
        *("index.html", "about.html", "search.html", "404.html", "atlas.json", ".nojekyll"),
        *("assets/atlas.css", "assets/atlas.js", "assets/units.js"),
        *("synthetic/index.html", "synthetic/model.json", "synthetic/units.csv"),
        *(
            "synthetic/card.jpg",
            "synthetic/blocks.0.0/index.html",
            "synthetic/blocks.0.0/layer.json",
        ),
        *("synthetic/blocks.0.0/units.csv", "synthetic/blocks.0.0/card.jpg"),
        *(f"synthetic/blocks.0.0/{channel}.html", f"synthetic/blocks.0.0/{channel}.json"),
        *("synthetic/blocks.0.0/excites.html", "synthetic/images/index.html"),
        *("synthetic/images/3.html", "synthetic/images/3.json", "synthetic/images/3.jpg"),
    ):
        assert (site / path).is_file(), path
    assert not (site / "sitemap.xml").exists()


def test_a_rendered_unit_has_its_picture_thumbnail_and_patches(built: Built) -> None:
    site, atlas = built
    rendering = next(found for found in atlas.layers[0].renderings if found.status == "ok")
    start = site / "synthetic/conv_stem/img" / str(rendering.unit.channel)
    for ending in (".jpg", ".t.jpg", ".company.jpg", ".company.t.jpg", ".o1.jpg", ".p1.jpg"):
        assert start.with_name(start.name + ending).is_file(), ending


def test_views_of_sample_images_are_published_byte_for_byte(tmp_path: Path) -> None:
    atlas = small(layers=1, images=1, plain=True)
    build(tmp_path, atlas)
    published = (tmp_path / "synthetic/images/0.jpg").read_bytes()
    assert published == SyntheticPictures(atlas, side=64).sample(0)


def test_every_link_picture_and_fragment_resolves(built: Built) -> None:
    site, _ = built
    found = pages(site)
    assert check_site(site) == []
    for path, page in found.items():
        for link in page.all("a"):
            address, _, fragment = str(link["href"]).partition("#")
            if fragment and not address.startswith("http"):
                target = os.path.normpath(os.path.join(os.path.dirname(path), unquote(address)))
                assert fragment in found[target if address else path].ids, (path, link)


def test_titles_are_unique_and_each_page_has_one_heading(built: Built) -> None:
    found = pages(built[0])
    titles = [
        re.search("<title>(.*?)</title>", (built[0] / path).read_text())[1]  # type: ignore[index]
        for path in found
    ]
    assert len(set(titles)) == len(titles)
    assert all(len(page.all("h1")) == 1 for page in found.values())


def test_ids_are_unique_on_each_page(built: Built) -> None:
    for path, page in pages(built[0]).items():
        assert len(page.ids) == len(set(page.ids)), path


def test_every_picture_has_a_size_and_words(built: Built) -> None:
    for path, page in pages(built[0]).items():
        for image in page.all("img"):
            assert image["alt"], path
            assert int(str(image["width"])) > 0, path
            assert int(str(image["height"])) > 0, path


def test_a_shown_size_is_the_size_of_the_picture(built: Built) -> None:
    site, _ = built
    for path, page in pages(site).items():
        for image in page.all("img"):
            if "class" not in image:
                file = site / os.path.dirname(path) / str(image["src"])
                shape = cv2.imread(str(file)).shape
                if "/images/" not in str(file) and path != "index.html":
                    assert (str(shape[0]), str(shape[1])) == (image["height"], image["width"])


def test_no_page_has_inline_style_or_script_or_a_request_off_the_site(built: Built) -> None:
    for path, page in pages(built[0]).items():
        for tag, attributes in page.tags:
            assert "style" not in attributes, path
            assert not any(name.startswith("on") for name in attributes), path
            if tag == "script" and attributes.get("type") != DATA and path != "404.html":
                assert attributes.get("src")  # 404.html is shown at any depth and refers to no file
            for name in ("src", "srcset", "href"):
                if tag in ("img", "script", "link", "image"):
                    assert not str(attributes.get(name) or "").startswith(("http", "//"))
        policy = next(
            found["content"]
            for found in page.all("meta")
            if found.get("http-equiv") == "Content-Security-Policy"
        )
        assert str(policy).startswith("default-src 'none';")
        assert "unsafe" not in str(policy)


def test_each_level_has_breadcrumbs_that_end_in_itself(built: Built) -> None:
    site, atlas = built
    channel = atlas.layers[0].chosen[0]
    found = pages(site)
    for path in (
        *("synthetic/index.html", "synthetic/conv_stem/index.html"),
        *(f"synthetic/conv_stem/{channel}.html", "about.html", "search.html"),
    ):
        assert sum(tag.get("aria-current") == "page" for _, tag in found[path].tags) >= 1, path


# --- what pages say ------------------------------------------------------------------------------


def test_page_and_both_data_files_agree_with_the_records(built: Built) -> None:
    site, atlas = built
    for layer in atlas.layers:
        folder = site / "synthetic" / layer.info.name
        data = json.loads((folder / "layer.json").read_bytes())
        with open(folder / "units.csv", newline="", encoding="utf-8") as file:
            table = {int(row["channel"]): row for row in csv.DictReader(file)}
        records = {
            rendering.unit.channel: rendering
            for rendering in layer.renderings
            if rendering.recipe == "octaves"
        }
        assert [unit["channel"] for unit in data["units"]] == list(layer.chosen)
        assert data["ranking"] == layer.ranking.tolist()
        for unit in data["units"]:
            channel, row = unit["channel"], table[unit["channel"]]
            shown = {
                found["data-name"]: found["value"]
                for found in Parsed((folder / f"{channel}.html").read_text()).all("data")[::-1]
            }
            assert np.float32(unit["mean_activation"]) == layer.stats.mean[channel]
            assert np.float32(row["max"]) == layer.stats.max[channel]
            if channel not in records:
                assert (unit["status"], row["reach"], unit["reach"]) == ("unrendered", "", None)
                continue
            scores = records[channel].scores
            for name in ("activation", "reach", "robust", "hf"):
                value = getattr(scores, name)
                expected = value if np.isfinite(value) else None
                assert unit[name] == expected
                assert row[name] == ("" if expected is None else str(expected))
            assert unit["select"] == scores.select == int(row["select"])
            if len(unit["renderings"]) == 1:
                assert shown["reach"] == str(scores.reach)


def test_the_unit_page_shows_the_scores_of_the_records(tmp_path: Path) -> None:
    atlas = small(plain=True)
    build(tmp_path, atlas)
    for layer in atlas.layers:
        for rendering in layer.renderings:
            page = tmp_path / "synthetic" / layer.info.name / f"{rendering.unit.channel}.html"
            shown = {
                found["data-name"]: found["value"]
                for found in Parsed(page.read_text()).all("data")
                if found["data-name"] != "example"
            }
            for name in ("activation", "reach", "select", "robust", "hf"):
                assert shown[name] == str(getattr(rendering.scores, name))


def test_a_decoded_picture_is_near_the_rendering(built: Built) -> None:
    site, atlas = built
    pictures = SyntheticPictures(atlas, side=64)
    for layer in atlas.layers:
        for rendering in layer.renderings[:6]:
            suffix = "" if rendering.recipe == "octaves" else ".company"
            name = f"{rendering.unit.channel}{suffix}.jpg"
            file = site / "synthetic" / layer.info.name / "img" / name
            pixels = cv2.imread(str(file))[..., ::-1].astype(float)
            made = pictures.rendering(rendering.unit, rendering.recipe).image.astype(float)
            error = np.mean((pixels - made.transpose(1, 2, 0) * 255) ** 2)
            assert 10 * np.log10(255**2 / max(error, 1e-9)) > 28


@pytest.mark.parametrize("name", ["layer", "unit", "class", "image", "model", "atlas"])
def test_data_obeys_its_schema(built: Built, name: str) -> None:
    site, _ = built
    pattern = {
        "unit": r"(?<!/classes)(?<!/images)/\d+\.json$",
        "class": r"/classes/\d+\.json$",
        "image": r"/images/\d+\.json$",
        "layer": r"/layer\.json$",
    }.get(name, rf"(^|/){name}\.json$")
    files = [path for path in sitetree.walk(site) if re.search(pattern, path)]
    assert files
    for path in files:
        assert problems(json.loads((site / path).read_bytes()), name) == [], path


def test_partial_atlases_say_how_many_units_there_are(built: Built) -> None:
    site, atlas = built
    layer = atlas.layers[0]
    rendered = len({rendering.unit for rendering in layer.renderings})
    assert rendered < len(layer.chosen)
    text = Parsed((site / "synthetic/conv_stem/index.html").read_text()).text
    assert f"{rendered} of {len(layer.chosen)} units" in " ".join(text.split())


def test_few_images_are_called_a_demonstration_on_every_page_with_scores(built: Built) -> None:
    for path, page in pages(built[0]).items():
        if re.search(r"synthetic/.+/(\d+|index)\.html$", path):
            assert "a demonstration, not a measurement" in page.text, path


def test_a_reference_set_is_named_where_scores_are(tmp_path: Path) -> None:
    atlas = small(reference=120)
    build(tmp_path, atlas)
    page = tmp_path / "synthetic/conv_stem" / f"{atlas.layers[0].chosen[0]}.html"
    assert "120 reference images" in Parsed(page.read_text()).text
    assert "a demonstration" not in Parsed(page.read_text()).text


def test_weak_dead_and_missing_units_are_listed_with_the_reason(built: Built) -> None:
    site, _ = built
    found = "".join(page.text for page in pages(site).values())
    for words in ("REACH below 1 after 3 seeds", "Not rendered yet", "Units to read with care"):
        assert words in found


def test_a_rendering_without_pixels_is_explained(tmp_path: Path) -> None:
    atlas = small(plain=True, layers=1)
    layer = atlas.layers[0]
    failed = replace(layer.renderings[0], status="failed", reason="out of memory")
    layer = replace(layer, renderings=(failed, *layer.renderings[1:]))
    atlas = replace(atlas, layers=(layer,))

    class Broken(SyntheticPictures):
        def rendering(self, unit: Unit, recipe: str) -> Any:
            made = super().rendering(unit, recipe)
            return replace(made, image=made.image[:, :0, :0]) if unit == failed.unit else made

    write_site(atlas, Broken(atlas, side=64), site=tmp_path, labels={}, site_url="", templates=[])
    page = tmp_path / "synthetic/conv_stem" / f"{failed.unit.channel}.html"
    assert "out of memory" in page.read_text()
    assert not (page.parent / "img" / f"{failed.unit.channel}.jpg").exists()
    assert check_site(tmp_path) == []


def test_a_failed_unit_shows_its_reason_on_both_pages(tmp_path: Path) -> None:
    atlas = small(layers=1, plain=True)
    layer = atlas.layers[0]
    reason = "ValueError: the channel is <cursed>"
    failed = replace(layer.renderings[0], status="failed", reason=reason)
    layers = (replace(layer, renderings=(failed, *layer.renderings[1:])),)
    build(tmp_path, replace(atlas, layers=layers))
    folder = tmp_path / "synthetic" / "conv_stem"
    for page in ("index.html", f"{layer.chosen[0]}.html"):
        assert "the channel is &lt;cursed&gt;" in (folder / page).read_text()
    assert "No scores: the rendering failed" in (folder / f"{layer.chosen[0]}.html").read_text()


def test_recipes_stand_side_by_side_in_the_order_of_the_atlas(tmp_path: Path) -> None:
    recipes = ("octaves", "phase", "octaves-negative", "octaves-facet-1")
    atlas = small(layers=1, plain=True, recipes=recipes)
    build(tmp_path, atlas, octaves=2)
    page = tmp_path / "synthetic" / "conv_stem" / f"{atlas.layers[0].chosen[0]}.html"
    html = page.read_text()
    titles = re.findall(r"<figcaption><b>([^<]*)</b> \(", html)
    expected = ["Rendering", "Under natural magnitudes", "What it dislikes", "Another facet 1"]
    assert titles == expected
    assert html.index("<b>Rendering</b>") < html.index("<b>Real patches</b>")
    assert html.count("Growth of the picture: ") == 4


def test_the_output_layer_names_its_classes_in_pages_and_search(tmp_path: Path) -> None:
    names = tuple(f"class {at}, tench" for at in range(8))
    build(tmp_path, small(class_names=names, plain=True))
    units = json.loads((tmp_path / "synthetic/blocks.1.0/layer.json").read_bytes())["units"]
    assert units[0]["class_name"] == names[units[0]["channel"]]
    assert "tench" in (tmp_path / "assets/units.js").read_text()
    assert "tench" not in (tmp_path / "synthetic/conv_stem/layer.json").read_text()


def test_previous_and_next_go_by_rank_and_by_channel(built: Built) -> None:
    site, atlas = built
    chosen = atlas.layers[0].chosen
    page = Parsed((site / f"synthetic/conv_stem/{chosen[1]}.html").read_text())
    keys = {link["data-key"]: link["href"] for link in page.all("a") if "data-key" in link}
    assert keys["ArrowLeft"] == f"{chosen[0]}.html"
    assert keys["ArrowRight"] == f"{chosen[2]}.html"
    later = [channel for channel in sorted(chosen) if channel > chosen[1]]
    assert keys.get("Shift+ArrowRight") == (f"{later[0]}.html" if later else None)


def test_empty_atlases_have_pages(tmp_path: Path) -> None:
    atlas = small(images=1)
    bare = replace(atlas.layers[1], chosen=(), renderings=())
    build(tmp_path, replace(atlas, layers=(atlas.layers[0], bare)))
    assert check_site(tmp_path) == []
    build(tmp_path, replace(atlas, layers=()))
    assert check_site(tmp_path) == []
    assert not (tmp_path / "synthetic/conv_stem").exists()


# --- labels --------------------------------------------------------------------------------------


def test_a_label_shows_on_its_pages_in_the_data_and_in_the_search(built: Built) -> None:
    site, atlas = built
    channel = atlas.layers[0].chosen[0]
    text = "stripes <&> “eyes”"
    for path in (f"synthetic/conv_stem/{channel}.html", "synthetic/conv_stem/index.html"):
        assert text in Parsed((site / path).read_text()).text
    units = json.loads((site / "synthetic/conv_stem/layer.json").read_bytes())["units"]
    assert units[0]["label"] == text
    assert json.dumps(text) in (site / "assets/units.js").read_text()


def test_a_label_for_a_unit_that_is_not_there_is_reported(tmp_path: Path) -> None:
    atlas = small()
    other = next(channel for channel in range(8) if channel not in atlas.layers[0].chosen)
    build(tmp_path, small(name="second"))
    labels = {
        f"synthetic/conv_stem:{other}": "not chosen",
        "synthetic/gone:1": "no such layer",
        "nobody/x:1": "no such model",
        "second/whatever:1": "belongs to a model that is there",
    }
    assert build(tmp_path, atlas, labels).unknown_labels == (
        "nobody/x:1",
        f"synthetic/conv_stem:{other}",
        "synthetic/gone:1",
    )


# --- the same, and only what changed -------------------------------------------------------------


def test_an_unchanged_rebuild_writes_nothing(tmp_path: Path) -> None:
    first = build(tmp_path, small(recipes=("octaves", "company")))
    before, stamp = snapshot(tmp_path), tmp_path.stat().st_mtime_ns
    second = build(tmp_path, small(recipes=("octaves", "company")))
    assert snapshot(tmp_path) == before
    assert tmp_path.stat().st_mtime_ns == stamp
    assert (second.written, second.removed) == (0, 0)
    assert second.unchanged == first.written
    assert second.bytes == first.bytes


def test_a_new_label_changes_only_the_files_that_show_it(tmp_path: Path) -> None:
    atlas = small(plain=True)
    build(tmp_path, atlas)
    before = snapshot(tmp_path)
    build(tmp_path, atlas, {f"synthetic/conv_stem:{atlas.layers[0].chosen[0]}": "eyes"})
    changed = {path for path, stat in snapshot(tmp_path).items() if before.get(path) != stat}
    assert not any(path.endswith(".jpg") for path in changed)
    assert not any("blocks.0.0" in path for path in changed)
    assert "synthetic/conv_stem/index.html" in changed


def test_another_folder_locale_and_hash_seed_give_the_same_bytes(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from tests.gallery.test_write import build, digest, small;"
        "build(Path(sys.argv[1]), small(recipes=('octaves', 'company')));"
        "print(digest(Path(sys.argv[1])))"
    )
    root = str(Path(__file__).parents[2])
    digests = set()
    for place, (seed, language) in enumerate([("1", "C"), ("2", "C.UTF-8")]):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "LC_ALL": language,
            "TZ": f"UTC{place}",
        }
        site = tmp_path / f"x{place}" / "site"
        done = subprocess.run(
            [sys.executable, "-c", script, str(site), root],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_a_removed_unit_takes_its_page_and_pictures_with_it(tmp_path: Path) -> None:
    atlas = small(plain=True)
    build(tmp_path, atlas)
    layer = atlas.layers[0]
    gone = layer.chosen[-1]
    fewer = replace(
        layer,
        chosen=layer.chosen[:-1],
        renderings=tuple(made for made in layer.renderings if made.unit.channel != gone),
    )
    report = build(tmp_path, replace(atlas, layers=(fewer, *atlas.layers[1:])))
    left = [path for path in sitetree.walk(tmp_path) if re.search(rf"conv_stem/.*\b{gone}\.", path)]
    assert left == []
    assert report.removed == 3 + 2 + 5  # pages and data, picture and thumbnail, five patches
    assert check_site(tmp_path) == []


def test_a_second_model_leaves_the_first_ones_files_alone(tmp_path: Path) -> None:
    build(tmp_path, small(name="first"))
    before = snapshot(tmp_path / "first")
    build(tmp_path, small(name="second"))
    assert snapshot(tmp_path / "first") == before
    home = (tmp_path / "index.html").read_text()
    assert "first/index.html" in home
    assert "second/index.html" in home
    listed = json.loads((tmp_path / "atlas.json").read_bytes())["models"]
    assert [model["folder"] for model in listed] == ["first", "second"]


def test_the_order_of_two_builds_does_not_show(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(tmp_path / "ab", small(name=name))
    for name in ("b", "a"):
        build(tmp_path / "ba", small(name=name))
    assert digest(tmp_path / "ab") == digest(tmp_path / "ba")


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("about this folder")
    (tmp_path / "CNAME").write_text("atlas.example")
    build(tmp_path, small())
    (tmp_path / "synthetic/notes.txt").write_text("mine")
    build(tmp_path, small(units=3))
    assert (tmp_path / "README.md").read_text() == "about this folder"
    assert (tmp_path / "CNAME").read_text() == "atlas.example"
    assert (tmp_path / "synthetic/notes.txt").read_text() == "mine"


def test_a_foreign_home_page_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my blog")
    with pytest.raises(CacheError, match=r"index\.html is in the way"):
        build(tmp_path, small())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html"]


def test_a_damaged_page_is_repaired(tmp_path: Path) -> None:
    build(tmp_path, small())
    page = tmp_path / "synthetic/conv_stem/index.html"
    whole = page.read_bytes()
    page.write_bytes(whole[:100])
    assert build(tmp_path, small()).written == 1
    assert page.read_bytes() == whole


def test_a_model_with_unreadable_data_is_left_out_with_a_warning(tmp_path: Path) -> None:
    build(tmp_path, small(name="first"))
    (tmp_path / "first/model.json").write_text("{")
    report = build(tmp_path, small(name="second"))
    assert "first is left out" in report.warnings[0]
    assert "first/index.html" not in (tmp_path / "index.html").read_text()


# --- crashes and budget --------------------------------------------------------------------------


def tour(slug: str, *channels: int) -> UnitList:
    """A list of units of the first layer."""
    units = tuple((f"conv_stem:{channel}", f"Unit {channel}.") for channel in channels)
    return UnitList(slug=slug, title=slug.capitalize(), text="", units=units)


OLD_LISTS = (tour("kept", 0), tour("gone", 0, 1))
NEW_LISTS = (tour("kept", 0, 1, 2), tour("new", 1))


def test_a_crash_at_any_step_leaves_no_broken_link_and_is_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = small(layers=2, units=2, images=1, plain=True)
    new = small(layers=1, units=1, images=2, plain=True)
    build(tmp_path / "clean", new, lists=NEW_LISTS)
    build(tmp_path / "old", old, lists=OLD_LISTS)
    steps = list(crash(tmp_path, monkeypatch, new, -1))
    linking = [at for at, name in enumerate(steps) if name == "take_over"]
    tried = {at for at in range(len(steps)) if at not in linking} | {linking[0], linking[-1]}
    assert steps.count("exchange") == 4  # models and lists, then without what is gone
    for step in sorted(tried):
        crash(tmp_path, monkeypatch, new, step)
        site = tmp_path / f"crash{step}"
        assert [row for row in check_site(site) if "links to" in row] == []
        build(site, new, lists=NEW_LISTS)
        assert digest(site) == digest(tmp_path / "clean")


def crash(folder: Path, monkeypatch: pytest.MonkeyPatch, atlas: ModelAtlas, step: int) -> list[str]:
    """Build over a copy of the old site and stop before its n-th write, link or swap.

    Returns:
        The steps that were made; with -1 all of them.
    """
    site, made = folder / f"crash{step}", list[str]()
    shutil.copytree(folder / "old", site)

    def counted(name: str, function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            if len(made) == step:
                raise KeyboardInterrupt
            made.append(name)
            return function(*given, **named)

        return call

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(finish, "write_if_changed", counted("write", finish.write_if_changed))
        for name in ("exchange", "take_over"):
            patch.setattr(sitetree, name, counted(name, getattr(sitetree, name)))
        build(site, atlas, lists=NEW_LISTS)
    return made


def test_a_site_over_its_budget_is_refused_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, small(units=2))
    before = snapshot(tmp_path)
    monkeypatch.setattr(sitetree, "BUDGET", 300_000)
    with pytest.raises(CheckError, match="fewer --units") as caught:
        build(tmp_path, small(units=8))
    assert caught.value.exit_code == 4
    assert snapshot(tmp_path) == before


def test_the_reported_size_is_that_of_the_site(tmp_path: Path) -> None:
    build(tmp_path, small(name="first"))
    report = build(tmp_path, small(name="second"))
    manifests = sum(
        (tmp_path / name / "manifest.json").stat().st_size for name in ("lists", "second")
    )
    assert report.bytes == sitetree.folder_bytes(tmp_path) - manifests


# --- hostile input -------------------------------------------------------------------------------

HOSTILE = (
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "../../etc/passwd"),
    *("a\u202egnp.exe", "x\udc80y", "line\nbreak", "{{ 7*7 }}{% raw %}", "con", "", "CLASSES"),
)


def test_hostile_names_are_escaped_and_stay_inside_the_site(tmp_path: Path) -> None:
    site = tmp_path / "deep" / "site"
    atlas = small(
        name=HOSTILE[1] + HOSTILE[2],
        title=HOSTILE[0],
        names=tuple((name, HOSTILE[0]) for name in HOSTILE),
        class_names=tuple(f"{HOSTILE[at]}{at}" for at in range(8)),
        sample_names=HOSTILE,
        skipped=tuple(SkippedFile(name=name, reason=HOSTILE[0]) for name in HOSTILE),
    )
    labels = {
        f"{atlas.model.name}/{layer.info.name}:{layer.chosen[0]}": HOSTILE[at]
        for at, layer in enumerate(atlas.layers)
    }
    build(site, atlas, labels)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["site"]
    assert check_site(site) == []
    for path in sitetree.walk(site):
        assert re.fullmatch(r"[A-Za-z0-9._~/-]+", path)
        assert not re.search(r"(^|/)(_|vendor/)", path)
    for path, page in pages(site).items():
        markup = (site / path).read_text("utf-8")
        assert "\u202e" not in markup
        assert "49" not in re.findall(r"7\*7|(?<!\d)49(?!\d)</bdi>", markup)
        for tag, attributes in page.tags:
            if tag == "script" and path != "404.html" and attributes.get("type") != DATA:
                assert "assets/" in attributes["src"]
            assert "onerror" not in attributes, path


def test_cells_that_a_spreadsheet_would_run_are_disarmed(tmp_path: Path) -> None:
    atlas = small(plain=True)
    channel = atlas.layers[0].chosen[0]
    build(tmp_path, atlas, {f"synthetic/conv_stem:{channel}": '=HYPERLINK("http://x")'})
    with open(tmp_path / "synthetic/units.csv", newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert row["label"] == '\'=HYPERLINK("http://x")'


def test_layers_that_differ_in_case_have_folders_of_their_own(tmp_path: Path) -> None:
    build(tmp_path, small(names=(("Conv", "A"), ("conv", "B"))))
    folders = json.loads((tmp_path / "synthetic/model.json").read_bytes())["layers"]
    assert len({row["folder"].lower() for row in folders}) == 2


# --- publishing ----------------------------------------------------------------------------------


def test_a_public_address_gives_sitemap_robots_and_previews(tmp_path: Path) -> None:
    atlas = small(plain=True)
    build(tmp_path, atlas, url="https://me.example/atlas/")
    places = re.findall("<loc>(.*?)</loc>", (tmp_path / "sitemap.xml").read_text())
    listed = {place.removeprefix("https://me.example/atlas/") for place in places}
    known = {path for path in pages(tmp_path) if not path.endswith(".embed.html")}
    assert listed == known - {"404.html"}
    assert "Sitemap: https://me.example/atlas/sitemap.xml" in (tmp_path / "robots.txt").read_text()
    for path in ("index.html", "synthetic/index.html", "synthetic/conv_stem/index.html"):
        found = Parsed((tmp_path / path).read_text()).all("meta")
        card = next(str(meta["content"]) for meta in found if meta.get("property") == "og:image")
        file = tmp_path / card.removeprefix("https://me.example/atlas/")
        assert cv2.imread(str(file)).shape == (630, 1200, 3)
    build(tmp_path, atlas)
    assert not (tmp_path / "sitemap.xml").exists()


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="https://"):
        build(tmp_path, small(), url="javascript:alert(1)")


def test_a_users_template_and_asset_come_first(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "assets").mkdir(parents=True)
    (mine / "about.html").write_text("<h1>{{ models[0].title }}</h1>")
    (mine / "assets/atlas.css").write_text("body{}")
    site = tmp_path / "site"
    build(site, small(title="A & B"), templates=(mine,))
    assert (site / "about.html").read_text() == "<h1>A &amp; B</h1>"
    assert (site / "assets/atlas.css").read_text() == "body{}"


def test_a_mistake_in_a_users_template_is_named(tmp_path: Path) -> None:
    (tmp_path / "about.html").write_text("{{ nothing }}")
    with pytest.raises(UsageError, match=r"about\.html.*nothing"):
        build(tmp_path / "site", small(), templates=(tmp_path,))
    with pytest.raises(UsageError, match="not there"):
        build(tmp_path / "site", small(), templates=(tmp_path / "gone",))


def test_a_broken_link_in_a_users_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.html").write_text('<a href="gone.html">x</a>')
    site = tmp_path / "site"
    with pytest.raises(CheckError, match=r"synthetic/gone\.html"):
        build(site, small(), templates=(tmp_path,))
    assert list(site.iterdir()) == []


def test_check_names_a_missing_file_and_the_links_to_it(tmp_path: Path) -> None:
    atlas = small(plain=True)
    build(tmp_path, atlas)
    channel = atlas.layers[0].chosen[0]
    (tmp_path / f"synthetic/conv_stem/{channel}.html").unlink()
    findings = check_site(tmp_path)
    assert f"synthetic/conv_stem/{channel}.html is missing" in findings
    assert any("conv_stem/index.html links to" in finding for finding in findings)
    assert check_site(tmp_path / "nowhere") == []


def test_the_home_page_draws_its_unit_of_the_day_by_seed(tmp_path: Path) -> None:
    drawn = []
    for seed in (0, 1):
        build(tmp_path / str(seed), replace(small(units=20, plain=True), seed=seed))
        drawn.append(json.loads((tmp_path / f"{seed}/synthetic/model.json").read_bytes())["daily"])
    assert len(drawn[0]) == len(drawn[1]) == 31
    assert drawn[0] != drawn[1]
