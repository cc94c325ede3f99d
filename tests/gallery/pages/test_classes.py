"""The pages of classes: records and pixels in, pages and data out."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas.gallery import sheets
from atlas.gallery import tree as sitetree
from atlas.gallery.class_sentences import (
    class_rank_sentence,
    class_reach_sentence,
    confidence_sentence,
    own_verdict,
    verdict,
)
from atlas.gallery.class_views import ClassesView
from atlas.gallery.draw import Illustrator
from atlas.gallery.draw_classes import draw_classes, sure_images, with_surest_image
from atlas.gallery.recipes import class_recipe_sentence, recipe_sentence
from atlas.gallery.sentences import reach_sentence
from atlas.gallery.text import percent
from atlas.gallery.tree import Tree
from atlas.gallery.write import check_site
from atlas.ranking.classes import VOTERS, class_probabilities
from atlas.records.atlas import LayerAtlas, ModelAtlas
from atlas.records.network import CLASSES
from atlas.records.samples import Sample
from atlas.records.units import Scores
from tests.gallery.test_write import HOSTILE, Parsed, build, snapshot
from tests.synthetic import SyntheticPictures, make_atlas

NAMES = tuple(f"animal {letter}" for letter in "zyxwvutsrq")


def small(**given: Any) -> ModelAtlas:
    settings = {"layers": 2, "units": 4, "images": 14, "size": 32, "classes": 5}
    return make_atlas(**{**settings, "plain": True, "class_names": NAMES, **given})


def classes_of(atlas: ModelAtlas) -> LayerAtlas:
    assert atlas.classes
    return atlas.classes


def only(atlas: ModelAtlas, **changed: Any) -> ModelAtlas:
    """The atlas with something changed in its layer of class scores."""
    return replace(atlas, classes=replace(classes_of(atlas), **changed))


def words(page: Path) -> str:
    """The text of a page, white space made even."""
    return " ".join(Parsed(page.read_text("utf-8")).text.split())


def probability(atlas: ModelAtlas, image: int, index: int) -> float:
    """Softmax share by its definition."""
    stats = classes_of(atlas).stats
    scores = [float(stats.over_images(channel)[image]) for channel in range(stats.channels)]
    return float(np.exp(scores[index]) / sum(np.exp(score) for score in scores))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelAtlas]:
    """A site with five classes by two recipes."""
    site = tmp_path_factory.mktemp("classes") / "site"
    atlas = small(credits=("cat.png: by A. Person, <CC0>",))
    build(site, atlas, octaves=2)
    return site, atlas


Built = tuple[Path, ModelAtlas]


@pytest.fixture
def illustrator(tmp_path: Path) -> Iterator[Illustrator]:
    atlas = small()
    pictures = SyntheticPictures(atlas, side=64)
    with ThreadPoolExecutor(2) as pool:
        tree = Tree(tmp_path, "m", pool)
        squares = sheets.Squares(pictures.sample)
        yield Illustrator(atlas=atlas, pictures=pictures, tree=tree, labels={}, squares=squares)
        tree.discard()


def drawn(illustrator: Illustrator) -> ClassesView:
    found = draw_classes(illustrator, ())
    assert found
    return found


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.997, "99.7\u00a0%"),
        (0.5, "50.0\u00a0%"),
        (0.0005, "0.1\u00a0%"),
        (0.0004, "under 0.1\u00a0%"),
        (0.0, "under 0.1\u00a0%"),
        (0.9994, "99.9\u00a0%"),
        (1.0, "over 99.9\u00a0%"),
        (nan, "–"),
    ],
)
def test_a_probability_is_never_rounded_to_none_or_all(value: float, text: str) -> None:
    assert percent(value) == text


def scores(select: int, ranks: tuple[int, ...], confidence: float) -> Scores:
    return Scores(
        activation=9, reach=2, select=select, robust=1, hf=1, ranks=ranks, confidence=confidence
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            scores(1, (1,) * 8, 0.997),
            "The network predicts X with 99.7\u00a0% probability; it still does under "
            "8 of 8 small changes (top-5: 8 of 8).",
        ),
        (
            scores(1, (1, 1, 5, 6, 2, 1, 1, 1), nan),
            "The network predicts X; it still does under 5 of 8 small changes (top-5: 7 of 8).",
        ),
        (
            scores(3, (1, 2, 3, 4, 5, 6, 7, 8), 0.125),
            "The network predicts another class; X comes in place 3 with 12.5\u00a0% "
            "probability; it comes first under 1 of 8 small changes (top-5: 5 of 8).",
        ),
        (
            scores(40, (0,) * 8, 0.00001),
            "The network predicts another class; X comes in place 40 with under "
            "0.1\u00a0% probability.",
        ),
        (
            scores(0, (0,) * 8, nan),
            "The prediction for this picture was not measured; its intended class is X.",
        ),
    ],
)
def test_the_verdict_says_what_the_network_takes_the_picture_for(given: Scores, text: str) -> None:
    before, after = verdict(given)
    assert f"{before} X{after}" == text


@pytest.mark.parametrize(
    ("select", "text"),
    [
        (0, "Not measured."),
        (1, "Of 1000 classes none scores higher on this picture: top-1."),
        (2, "1 class scores higher on this picture: top-5."),
        (5, "4 classes score higher on this picture: top-5."),
        (6, "5 classes score higher on this picture."),
    ],
)
def test_the_place_of_a_class_is_said_in_words(select: int, text: str) -> None:
    assert class_rank_sentence(scores(select, (0,) * 8, nan), 1000) == text


def test_a_class_by_itself_is_found_or_not_and_shares_nothing() -> None:
    assert own_verdict(scores(7, (7,) * 8, 0.5)) == (
        "In this picture the network finds",
        ": 50.0\u00a0% probability.",
    )
    assert "does not find" in own_verdict(scores(1, (1,) * 8, 0.49))[0]
    assert "not measured" in own_verdict(scores(1, (1,) * 8, nan))[0]
    given = scores(1, (1,) * 8, 0.25)
    assert confidence_sentence(given, True).endswith("25.0\u00a0% probability on its own.")
    assert confidence_sentence(given, False).endswith("25.0\u00a0% of all probability.")


def test_a_recipe_speaks_of_classes_on_their_pages() -> None:
    assert "score of this class" in class_recipe_sentence("octaves")
    assert "this unit" in recipe_sentence("octaves")


@pytest.mark.parametrize("reach", [nan, 5000.0, 2.0, 0.5, -1.0])
def test_reach_speaks_of_classes_on_their_pages(reach: float) -> None:
    given = replace(scores(1, (1,) * 8, 0.5), reach=reach)
    assert "unit" in reach_sentence(given) or reach in (2.0, 0.5)
    assert "unit" not in class_reach_sentence(given)


# --- sample images -------------------------------------------------------------------------------


def samples(*files: str) -> list[Sample]:
    return [
        Sample(index=index, name=file, sha256=file, box=(0, 0, 9, 9))
        for index, file in enumerate(files)
    ]


def test_one_crop_of_each_file_is_shown_and_none_twice() -> None:
    files = ("a", "a", "b", "c", "d", "e", "f", "g", "h", "h")
    shares = np.array([0.1, 0.7, 0.2, 0.9, 0.5, 0.4, 0.3, 0.05, 0.04, 0.01])
    most, least = sure_images(shares, samples(*files))
    assert most == [3, 1, 4, 5, 6, 2]
    assert least == [9, 7]


def test_ties_go_by_index_and_few_images_leave_none_to_be_least_sure_of() -> None:
    assert sure_images(np.full(3, 0.5), samples("a", "b", "c")) == ([0, 1, 2], [])


def test_the_corner_shows_the_image_of_most_probability_not_of_most_score() -> None:
    """Image 0 scores 5 for class 0 but 9 for class 1; image 1 scores 3 and 0."""
    made = classes_of(make_atlas(layers=1, units=4, images=2, classes=2, class_names=("a", "b")))
    logits = np.array([[5, 9], [3, 0]], np.float16)
    stats = replace(made.stats, activations=logits, scale=np.full(2, 2, np.float32))
    shares = class_probabilities(stats, "logits")
    found = with_surest_image(replace(made, stats=stats), shares).stats
    assert found.example_image.tolist() == [[1], [0]]
    assert found.example_activation.tolist() == [[6.0], [18.0]]


def test_images_are_linked_to_their_pages_where_they_have_one(illustrator: Illustrator) -> None:
    """Of 14 images 12 are shown, so of three lenses at least one."""
    illustrator.atlas = replace(illustrator.atlas, lenses=(0, 1, 2))
    first = drawn(illustrator).classes[0]
    pages = {image.image: image.page for image in (*first.most, *first.least)}
    assert any(pages.values())
    for image, page in pages.items():
        assert page == (f"../images/{image}.html" if image < 3 else "")


# --- pages ---------------------------------------------------------------------------------------


def test_every_class_has_page_data_and_pictures_by_its_own_recipes(built: Built) -> None:
    site, atlas = built
    folder = site / "synthetic/classes"
    for index in classes_of(atlas).chosen:
        for ending in (".html", ".json"):
            assert (folder / f"{index}{ending}").is_file()
        for ending in (".jpg", ".t.jpg", ".class.jpg", ".class.t.jpg", ".o1.jpg", ".p1.jpg"):
            assert (folder / f"img/{index}{ending}").is_file(), ending
        assert not (folder / f"img/{index}.p2.jpg").exists()
    for path in ("index.html", "card.jpg", "img/sheet-0.jpg", "img/sheet.class-0.jpg"):
        assert (folder / path).is_file(), path
    assert not (folder / "layer.json").exists()
    assert check_site(site) == []


def test_data_holds_the_scores_and_probabilities_of_the_records(built: Built) -> None:
    site, atlas = built
    records = {
        (made.unit.channel, made.recipe): made.scores for made in classes_of(atlas).renderings
    }
    for index in classes_of(atlas).chosen:
        data = json.loads((site / f"synthetic/classes/{index}.json").read_bytes())
        assert (data["index"], data["name"]) == (index, NAMES[index])
        for row in data["renderings"]:
            known = records[index, row["recipe"]]
            assert row["ranks"] == list(known.ranks)
            assert (row["select"], row["confidence"]) == (known.select, known.confidence)
        for row in (*data["most_sure"], *data["least_sure"]):
            share = probability(atlas, row["image_index"], index)
            assert row["probability"] == pytest.approx(share, rel=1e-6)
        every = sorted(range(14), key=lambda image: -probability(atlas, image, index))
        assert [row["image_index"] for row in data["most_sure"]] == every[:6]
        assert [row["image_index"] for row in data["least_sure"]] == every[:-7:-1]


def test_the_page_shows_what_the_data_holds(built: Built) -> None:
    site, atlas = built
    index = classes_of(atlas).chosen[0]
    page = Parsed((site / f"synthetic/classes/{index}.html").read_text())
    data = json.loads((site / f"synthetic/classes/{index}.json").read_bytes())
    shown = [found for found in page.all("data") if found["data-name"] == "probability"]
    rows = (*data["most_sure"], *data["least_sure"])
    assert [found["value"] for found in shown] == [str(row["probability"]) for row in rows]
    given = [found for found in page.all("data") if found["data-name"] == "confidence"]
    assert [found["value"] for found in given] == [
        str(row["confidence"]) for row in data["renderings"]
    ]
    assert NAMES[index] in page.text
    assert "top-5" in page.text
    assert "not what the class looks like" in page.text
    assert "a demonstration, not a measurement" in page.text


def test_voters_are_linked_where_the_atlas_shows_them(built: Built) -> None:
    site, atlas = built
    index = classes_of(atlas).chosen[0]
    assert atlas.readout
    layer = atlas.layers[-1]
    html = (site / f"synthetic/classes/{index}.html").read_text()
    links = {str(found["href"]) for found in Parsed(html).all("a")}
    voters = atlas.readout.channels[index].tolist()
    for voter in voters[:VOTERS]:
        assert (f"../{layer.info.name}/{voter}.html" in links) == (voter in layer.chosen)
    assert html.count("not in this atlas") == 3
    data = json.loads((site / f"synthetic/classes/{index}.json").read_bytes())["readout"]
    assert [row["channel"] for row in data["channels"]] == voters
    found = np.array([row["contribution"] for row in data["channels"]], np.float32)
    assert found.tolist() == atlas.readout.contributions[index].tolist()
    assert data["images"] == atlas.readout.images[index]


def test_contributions_name_the_images_that_they_are_over(tmp_path: Path) -> None:
    atlas = small()
    assert atlas.readout
    images = np.zeros_like(atlas.readout.images)
    (first, second), site = classes_of(atlas).chosen[:2], tmp_path / "synthetic/classes"
    images[second] = 7
    build(tmp_path, replace(atlas, readout=replace(atlas.readout, images=images)))
    none, seven = ((site / f"{one}.html").read_text() for one in (first, second))
    assert "over all sample images, as none is given this class" in none
    assert "over the 7 sample images to which the network gives this class" in seven


def test_arrows_lead_to_the_class_before_and_after(built: Built) -> None:
    site, atlas = built
    chosen = classes_of(atlas).chosen
    keys = [
        {
            link["data-key"]: link["href"]
            for link in Parsed((site / f"synthetic/classes/{index}.html").read_text()).all("a")
            if "Arrow" in str(link.get("data-key"))
        }
        for index in chosen
    ]
    assert keys[0] == {"ArrowRight": f"{chosen[1]}.html"}
    assert keys[2] == {"ArrowLeft": f"{chosen[1]}.html", "ArrowRight": f"{chosen[3]}.html"}
    assert keys[4] == {"ArrowLeft": f"{chosen[3]}.html"}


def test_the_grid_lists_classes_in_order_and_by_name(built: Built) -> None:
    site, atlas = built
    page = Parsed((site / "synthetic/classes/index.html").read_text())
    chosen = classes_of(atlas).chosen
    cards = [row for row in page.all("li") if str(row.get("class")).startswith("card")]
    assert f"Rendering of {NAMES[chosen[0]]}" in [image["alt"] for image in page.all("img")]
    assert [row["id"] for row in cards] == [f"u{index}" for index in chosen]
    by_name = sorted(chosen, key=NAMES.__getitem__)
    links = [str(link["href"]) for link in page.all("a")]
    assert [link for link in links if re.fullmatch(r"\d+\.html", link)] == [
        f"{index}.html" for index in (*chosen, *by_name)
    ]
    values = [json.loads(str(row["data-v"])) for row in cards]
    assert [row[0][0] for row in values] == [0, 1, 2, 3, 4]
    assert [row[0][6] for row in values] == [by_name.index(index) for index in chosen]


def test_model_home_search_and_about_know_the_classes(built: Built) -> None:
    site, atlas = built
    first = classes_of(atlas).chosen[0]
    model = json.loads((site / "synthetic/model.json").read_bytes())
    assert model["n_classes"] == 5
    assert [row["index"] for row in model["classes"]] == list(classes_of(atlas).chosen)
    assert model["classes"][0]["thumbnail"] == f"classes/img/{first}.t.jpg"
    assert "5 classes" in words(site / "index.html")
    assert "All 5 classes" in words(site / "synthetic/index.html")
    assert 'href="synthetic/classes/index.html"' in (site / "search.html").read_text()
    assert model["credits"] == ["cat.png: by A. Person, <CC0>"]
    assert "by A. Person, <CC0>" in words(site / "about.html")


def test_a_class_comes_before_units_in_the_search(built: Built) -> None:
    site, atlas = built
    text = (site / "assets/units.js").read_text().removeprefix("window.atlasUnits=")
    model = json.loads(text.rstrip().rstrip(";"))[0]
    first = classes_of(atlas).chosen[0]
    assert model["layers"][2] == ["classes", "classes"]
    assert model["rows"][0][:2] == [2, first]
    assert model["rows"][0][4:] == [NAMES[first], 1]


def test_classes_are_no_units(built: Built) -> None:
    site, _ = built
    assert CLASSES not in (site / "synthetic/units.csv").read_text()
    model = json.loads((site / "synthetic/model.json").read_bytes())
    assert model["n_units"] == 8
    assert [row["layer"] for row in model["layers"]] == ["conv_stem", "blocks.0.0"]


# --- what may be missing -------------------------------------------------------------------------


def test_a_model_without_classes_says_so_and_has_no_page_of_them(tmp_path: Path) -> None:
    build(tmp_path, small(classes=0, class_names=()))
    assert "There are no class pages" in words(tmp_path / "synthetic/index.html")
    assert not (tmp_path / "synthetic/classes").exists()
    model = json.loads((tmp_path / "synthetic/model.json").read_bytes())
    assert (model["n_classes"], model["classes"]) == (0, [])


def test_classes_that_are_no_longer_asked_for_leave_nothing_behind(tmp_path: Path) -> None:
    build(tmp_path, small())
    build(tmp_path, small(classes=0))
    assert not any("/classes/" in path for path in sitetree.walk(tmp_path))
    assert check_site(tmp_path) == []


def test_an_unchanged_rebuild_writes_no_class_anew(tmp_path: Path) -> None:
    build(tmp_path, small())
    before = snapshot(tmp_path)
    assert build(tmp_path, small()).written == 0
    assert snapshot(tmp_path) == before


def test_a_class_without_rendering_shows_its_images(tmp_path: Path) -> None:
    atlas = only(small(), renderings=())
    build(tmp_path, atlas)
    index = classes_of(atlas).chosen[0]
    text = words(tmp_path / f"synthetic/classes/{index}.html")
    assert "Not rendered yet" in text
    assert "Real images" in text
    row = json.loads((tmp_path / "synthetic/model.json").read_bytes())["classes"][0]
    assert (row["status"], row["image"], row["confidence"]) == ("unrendered", None, None)
    assert check_site(tmp_path) == []


def test_a_failed_class_shows_its_reason_and_no_verdict(tmp_path: Path) -> None:
    atlas = small(class_recipes=("octaves",))
    first, *others = classes_of(atlas).renderings
    failed = replace(first, status="failed", reason="ValueError: <cursed>")
    build(tmp_path, only(atlas, renderings=(failed, *others)))
    html = (tmp_path / f"synthetic/classes/{first.unit.channel}.html").read_text()
    assert "ValueError: &lt;cursed&gt;" in html
    assert "The network takes" not in html
    assert check_site(tmp_path) == []


def test_classes_without_names_go_by_their_number(tmp_path: Path) -> None:
    atlas = small(class_names=())
    build(tmp_path, atlas)
    index = classes_of(atlas).chosen[0]
    assert (
        f"<bdi>class {index}</bdi></h1>"
        in (tmp_path / f"synthetic/classes/{index}.html").read_text()
    )


def test_a_classifier_that_reads_no_layers_means_has_no_voters(tmp_path: Path) -> None:
    atlas = replace(small(), readout=None)
    build(tmp_path, atlas)
    index = classes_of(atlas).chosen[0]
    assert "Channels that raise it most" not in words(tmp_path / f"synthetic/classes/{index}.html")
    data = json.loads((tmp_path / f"synthetic/classes/{index}.json").read_bytes())
    assert data["readout"] is None


def test_voters_of_a_layer_outside_the_atlas_have_no_link(tmp_path: Path) -> None:
    atlas = small()
    assert atlas.readout
    build(tmp_path, replace(atlas, readout=replace(atlas.readout, layer="elsewhere")))
    index = classes_of(atlas).chosen[0]
    text = words(tmp_path / f"synthetic/classes/{index}.html")
    assert "None of these channels is in this atlas" in text
    assert text.count("elsewhere:") == VOTERS
    assert check_site(tmp_path) == []


def test_a_single_sample_image_is_enough(tmp_path: Path) -> None:
    atlas = small(images=1)
    build(tmp_path, atlas)
    index = classes_of(atlas).chosen[0]
    assert "Least sure" not in words(tmp_path / f"synthetic/classes/{index}.html")
    assert check_site(tmp_path) == []


def test_hostile_class_names_are_escaped(tmp_path: Path) -> None:
    atlas = small(class_names=HOSTILE, credits=HOSTILE)
    atlas = only(atlas, chosen=tuple(range(len(HOSTILE))))
    build(tmp_path, atlas)
    for path in (tmp_path / "synthetic/classes").glob("*.html"):
        markup = path.read_text("utf-8")
        assert "\u202e" not in markup
        for tag, attributes in Parsed(markup).tags:
            assert tag != "script" or str(attributes["src"]).endswith("atlas.js")
            assert "onerror" not in attributes
    assert check_site(tmp_path) == []


def test_a_site_of_before_there_were_classes_stays_on_the_home_page(tmp_path: Path) -> None:
    build(tmp_path, small(name="older"))
    file = tmp_path / "older/model.json"
    model = json.loads(file.read_bytes())
    file.write_text(json.dumps({k: v for k, v in model.items() if "classes" not in k}))
    assert build(tmp_path, small(name="newer")).warnings == ()
    assert "older/index.html" in (tmp_path / "index.html").read_text()
    assert "older/classes/index.html" not in (tmp_path / "index.html").read_text()


def test_scores_name_the_images_that_they_are_measured_against(tmp_path: Path) -> None:
    """A reference file of before there were class scores holds none: then it is the samples."""
    atlas = small(reference=120)
    index = classes_of(atlas).chosen[0]
    page = Path(f"synthetic/classes/{index}.html")
    build(tmp_path / "without", atlas)
    figure = words(tmp_path / "without" / page).partition("On natural images")[2]
    assert "Measured over 14 sample images" in figure.partition("Least sure")[0]
    other = only(small(images=120), chosen=())
    build(tmp_path / "with", only(atlas, natural=classes_of(other).stats))
    figure = words(tmp_path / "with" / page).partition("On natural images")[2]
    assert "Measured over 120 reference images" in figure.partition("Least sure")[0]
    assert "the best of 120 reference images" in words(tmp_path / "with" / page)
