"""Pages of sample images: all that they say comes from the lens."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from atlas.gallery import tree as sitetree
from atlas.gallery.draw_images import most_excited
from atlas.gallery.image_views import Fooled, Guess
from atlas.gallery.pages.images import outcome
from atlas.gallery.views import LayerView, Shot, UnitView
from atlas.gallery.write import check_site, write_site
from atlas.records.atlas import ModelAtlas
from atlas.records.lens import FeatureMaps, Lens
from atlas.records.samples import SkippedFile
from tests.gallery.test_write import DATA, HOSTILE, Parsed, build, digest, pages, small, snapshot
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas

NAMES = tuple(f"kind {at} of cat" for at in range(12))
LENSES = (0, 2, 4)
"""Image 2 resists the fooling (tests/synthetic.py)."""


def seen(**given: Any) -> ModelAtlas:
    return small(**{"class_names": NAMES, "lenses": LENSES, "classes": 4, "plain": True, **given})


Built = tuple[Path, ModelAtlas]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A site of a classifier whose images 0, 2 and 4 have pages."""
    site, atlas = tmp_path_factory.mktemp("seen") / "site", seen()
    build(site, atlas)
    return site, atlas


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A site of a network without a classifier."""
    site, atlas = tmp_path_factory.mktemp("bare") / "site", small(lenses=(1,), plain=True)
    build(site, atlas)
    return site, atlas


def lens_of(atlas: ModelAtlas, image: int) -> Lens:
    return SyntheticPictures(atlas, side=64).lens(image)


def pixels(file: Path) -> np.ndarray:
    return cv2.imread(str(file), cv2.IMREAD_COLOR)[..., ::-1]


def text(site: Path, path: str) -> str:
    return " ".join(Parsed((site / path).read_text("utf-8")).text.split())


def data(site: Path, path: str) -> Any:
    return json.loads((site / path).read_bytes())


# --- files ---------------------------------------------------------------------------------------


def test_every_chosen_image_has_a_page_its_data_and_a_place_in_the_list(built: Built) -> None:
    site, _ = built
    for image in LENSES:
        for ending in ("html", "json", "jpg"):
            assert (site / f"synthetic/images/{image}.{ending}").is_file()
    assert not (site / "synthetic/images/1.html").exists()
    listed = [link["href"] for link in pages(site)["synthetic/images/index.html"].all("a")]
    assert {f"{image}.html" for image in LENSES} <= set(listed)
    assert check_site(site) == []


def test_without_lenses_there_is_no_image_page(tmp_path: Path) -> None:
    build(tmp_path, small())
    assert not [path for path in sitetree.walk(tmp_path) if re.search(r"images/.*html", path)]
    assert "Images" not in text(tmp_path, "synthetic/index.html")
    assert data(tmp_path, "synthetic/model.json")["lenses"] == []


def test_the_saved_fooling_image_is_exactly_the_record(built: Built) -> None:
    site, atlas = built
    for image in LENSES:
        fooling = lens_of(atlas, image).fooling
        assert fooling is not None
        saved = pixels(site / f"synthetic/images/{image}.fooling.png")
        assert (saved == fooling.image).all()


def test_sizes_of_the_difference_are_those_of_the_saved_files(built: Built) -> None:
    site, _ = built
    for image in LENSES:
        folder = site / "synthetic/images"
        one, two = (pixels(folder / f"{image}.{what}") for what in ("png", "fooling.png"))
        found, change = data(folder, f"{image}.json")["fooling"], (two / 255.0 - one / 255.0)
        assert found["l2"] == pytest.approx(np.linalg.norm(change))
        assert found["linf"] == pytest.approx(np.abs(change).max())
        grey = pixels(folder / found["difference"]).astype(int)
        assert np.abs(grey - (128 + 10 * change * 255)).mean() < 8  # a JPEG


def test_an_image_that_no_unit_shows_has_its_view_all_the_same(tmp_path: Path) -> None:
    atlas = seen(images=40, units=1, channels=8, layers=1, classes=0, class_names=())
    used = {
        int(image)
        for image in atlas.layers[0].stats.example_image[list(atlas.layers[0].chosen)].ravel()
    }
    image = next(index for index in range(40) if index not in used)
    build(tmp_path, replace(atlas, lenses=(image,)))
    square = (tmp_path / f"synthetic/images/{image}.jpg").read_bytes()
    assert square == SyntheticPictures(atlas, side=64).sample(image)


def test_an_unchanged_rebuild_writes_nothing(tmp_path: Path) -> None:
    first = build(tmp_path, seen())
    before = snapshot(tmp_path)
    second = build(tmp_path, seen())
    assert snapshot(tmp_path) == before
    assert (second.written, second.removed, second.unchanged) == (0, 0, first.written)


def test_an_image_that_loses_its_page_takes_its_files_with_it(tmp_path: Path) -> None:
    build(tmp_path, seen())
    build(tmp_path, seen(lenses=(0, 2)))
    left = [path for path in sitetree.walk(tmp_path) if re.search(r"images/4\.", path)]
    assert left == ["synthetic/images/4.jpg"]  # the patches of units come from it
    assert check_site(tmp_path) == []


def test_the_same_lenses_give_the_same_bytes(built: Built, tmp_path: Path) -> None:
    build(tmp_path, seen())
    assert digest(tmp_path) == digest(built[0])


# --- what the pages say --------------------------------------------------------------------------


def test_the_page_shows_the_predictions_of_the_lens(built: Built) -> None:
    site, atlas = built
    for image in LENSES:
        lens = lens_of(atlas, image)
        page = Parsed((site / f"synthetic/images/{image}.html").read_text())
        values = [
            float(str(found["value"]))
            for found in page.all("data")
            if found["data-name"] == "probability"
        ]
        assert lens.fooling is not None
        before = [one.probability for one in lens.predictions]
        after = [one.probability for one in lens.fooling.predictions]
        assert values == before + before + after
        assert NAMES[lens.predictions[0].index] in text(site, f"synthetic/images/{image}.html")


def test_a_predicted_class_leads_to_its_page_where_it_has_one(built: Built) -> None:
    site, atlas = built
    assert atlas.classes is not None
    guessed = {one.index for image in LENSES for one in lens_of(atlas, image).predictions}
    linked = {
        int(found[1])
        for image in LENSES
        for found in re.finditer(
            r"\.\./classes/(\d+)\.html", (site / f"synthetic/images/{image}.html").read_text()
        )
    }
    assert linked & guessed == guessed & set(atlas.classes.chosen) != set()


def test_success_and_failure_of_the_fooling_are_said(built: Built) -> None:
    site, atlas = built
    for image in LENSES:
        fooling = lens_of(atlas, image).fooling
        assert fooling is not None
        words = text(site, f"synthetic/images/{image}.html")
        target = NAMES[fooling.target]
        if image == 2:
            assert f"not as “{target}”" in words
            assert "It did not succeed: after 100 steps" in words
        else:
            assert f"the picture is predicted as “{target}” with 87.5" in words
        levels = round(fooling.linf * 255)
        assert f"No pixel changed by more than {levels} of 255 levels" in words
        assert data(site, f"synthetic/images/{image}.json")["fooling"]["fooled"] == (image != 2)


def guess(index: int, probability: float = 0.5) -> Guess:
    return Guess(index=index, name=f"name {index}", probability=probability, page="")


def fooled(succeeded: bool, *guesses: Guess) -> Fooled:
    shot = Shot(file="x.png", height=1, width=1)
    return Fooled(
        original=shot,
        changed=shot,
        difference=shot,
        target=7,
        target_name="name 7",
        succeeded=succeeded,
        steps=1,
        l2=0.0,
        linf=0.0,
        guesses=guesses,
    )


def test_outcomes_at_the_edges_are_put_into_words() -> None:
    assert "already" in outcome(replace(fooled(True, guess(7)), steps=0))
    assert "with" not in outcome(fooled(True))
    assert "after 1 step the" in outcome(fooled(False, guess(3)))
    assert "no class at all" in outcome(fooled(False))


def test_a_network_without_classifier_is_told_so_and_keeps_maps_and_units(bare: Built) -> None:
    site, atlas = bare
    words = text(site, "synthetic/images/1.html")
    assert words.count("This network has no classifier") == 1
    assert "Fooling image" not in words
    assert "Saliency" not in words
    found = data(site, "synthetic/images/1.json")
    assert (found["predictions"], found["saliency"], found["fooling"]) == ([], None, None)
    assert [len(layer["maps"]) for layer in found["layers"]] == [8] * len(atlas.layers)
    assert not (site / "synthetic/images/1.png").exists()


def test_an_image_without_a_finite_score_is_told_so(tmp_path: Path) -> None:
    class Overflowing(SyntheticPictures):
        def lens(self, image: int) -> Lens:
            lens = super().lens(image)
            assert lens.fooling is not None
            zeros = np.zeros_like(lens.saliency)
            fooling = replace(lens.fooling, predictions=(), fooled=False)
            return replace(lens, predictions=(), saliency=zeros, smoothgrad=zeros, fooling=fooling)

    atlas = seen(lenses=(0,))
    pictures = Overflowing(atlas, side=64)
    write_site(atlas, pictures, site=tmp_path, labels={}, site_url="", templates=[])
    words = text(tmp_path, "synthetic/images/0.html")
    assert "no finite score, so there is no prediction" in words
    assert "has no classifier" not in words
    assert "is predicted as no class at all" in words
    assert check_site(tmp_path) == []


def test_a_classifier_without_another_class_has_no_fooling_image(tmp_path: Path) -> None:
    class Alone(SyntheticPictures):
        def lens(self, image: int) -> Lens:
            return replace(super().lens(image), fooling=None)

    atlas = seen(lenses=(0,))
    pictures = Alone(atlas, side=64)
    write_site(atlas, pictures, site=tmp_path, labels={}, site_url="", templates=[])
    assert "no other class" in text(tmp_path, "synthetic/images/0.html")
    assert data(tmp_path, "synthetic/images/0.json")["fooling"] is None


# --- units and maps ------------------------------------------------------------------------------


def test_the_units_shown_are_those_furthest_above_their_mean(built: Built) -> None:
    site, atlas = built
    for image in LENSES:
        found = data(site, f"synthetic/images/{image}.json")["layers"]
        for layer, row in zip(atlas.layers, found, strict=True):
            distances = {
                channel: (
                    float(layer.stats.over_images(channel)[image])
                    - float(layer.natural.mean[channel])
                )
                / float(layer.natural.std[channel])
                for channel in layer.chosen
            }
            best = sorted(distances, key=distances.__getitem__, reverse=True)[:4]
            assert [unit["channel"] for unit in row["units"]] == best
            for unit in row["units"]:
                assert unit["spreads"] == pytest.approx(distances[unit["channel"]], rel=1e-4)


def unit_view(channel: int) -> UnitView:
    numbers = dict.fromkeys(
        ("mean", "std", "max", "p99", "contrast", "active", "natural_mean", "natural_max"), 0.0
    )
    return UnitView(
        layer="a",
        channel=channel,
        rank=1,
        label="",
        class_name="",
        pictures=(),
        examples=(),
        neighbours=(),
        page=f"{channel}.html",
        **numbers,
    )


def test_units_without_spread_or_with_infinite_activation_are_not_shown() -> None:
    layer = small(layers=1, units=4, channels=4).layers[0]
    values = np.array([[3.0, 1.0, np.inf, 2.0]], np.float16)
    stats = replace(layer.stats, activations=values, scale=np.ones(4, np.float32))
    mean, std = np.zeros(4, np.float32), np.array([0, 1, 1, 1], np.float32)
    atlas = replace(layer, stats=stats, natural=replace(layer.natural, mean=mean, std=std))
    units = tuple(unit_view(channel) for channel in range(4))
    excited = most_excited(LayerView(atlas=atlas, folder="a", units=units), 0)
    assert [(one.unit.channel, one.activation, one.spreads) for one in excited] == [
        (3, 2.0, 2.0),
        (1, 1.0, 1.0),
    ]


def test_a_map_leads_to_its_unit_or_says_that_it_is_not_rendered(built: Built) -> None:
    site, atlas = built
    lens, markup = lens_of(atlas, 0), (site / "synthetic/images/0.html").read_text()
    rows = data(site, "synthetic/images/0.json")["layers"]
    seen_elsewhere = 0
    for layer, maps, row in zip(atlas.layers, lens.maps, rows, strict=True):
        assert [one["channel"] for one in row["maps"]] == maps.channels.tolist()
        for channel, one in zip(maps.channels.tolist(), row["maps"], strict=True):
            shown = channel in layer.chosen
            assert one["page"] == (f"../{layer.info.name}/{channel}.html" if shown else None)
            seen_elsewhere += not shown
    assert markup.count('title="not rendered in this atlas"') == seen_elsewhere > 0


def test_maps_with_values_below_zero_have_a_colour_bar_with_two_ends(built: Built) -> None:
    site, atlas = built
    signed = sum(bool((maps.maps < 0).any()) for maps in lens_of(atlas, 0).maps)
    markup = (site / "synthetic/images/0.html").read_text()
    assert markup.count('src="scale-signed.png"') == signed == 1
    assert markup.count('src="scale.png"') == len(atlas.layers) - signed + 1  # and of the heat maps


def test_the_picture_of_the_maps_has_the_colours_of_the_values(built: Built) -> None:
    site, atlas = built
    maps = lens_of(atlas, 0).maps[0].maps.astype(np.float64)
    band = pixels(site / "synthetic/images/0.maps-1.jpg").astype(int)
    assert band.shape == (112, 896, 3)
    bright, dark = (place(maps[0]) for place in (np.argmax, np.argmin))
    sums = [
        band[
            (at // maps.shape[1]) * 112 // maps.shape[1],
            (at % maps.shape[1]) * 112 // maps.shape[1],
        ].sum()
        for at in (bright, dark)
    ]
    assert sums[0] > sums[1]


def test_layers_without_maps_and_without_units_are_shown_as_such(tmp_path: Path) -> None:
    atlas = seen(lenses=(0,), classes=0)
    layer = replace(atlas.layers[0], chosen=(), renderings=())
    atlas = replace(atlas, layers=(layer, *atlas.layers[1:]))

    class Fewer(SyntheticPictures):
        def lens(self, image: int) -> Lens:
            lens = super().lens(image)
            return replace(lens, maps=(few(lens.maps[1]),))

    pictures = Fewer(atlas, side=64)
    write_site(atlas, pictures, site=tmp_path, labels={}, site_url="", templates=[])
    found = data(tmp_path, "synthetic/images/0.json")["layers"]
    assert [len(row["maps"]) for row in found] == [0, 2, 0]
    assert [row["maps_image"] for row in found] == [None, "0.maps-2.jpg", None]
    assert "No unit of this layer was chosen" in text(tmp_path, "synthetic/images/0.html")
    assert check_site(tmp_path) == []


def few(maps: FeatureMaps) -> FeatureMaps:
    """The first two of the maps."""
    return replace(
        maps,
        channels=maps.channels[:2],
        means=maps.means[:2],
        peaks=maps.peaks[:2],
        maps=maps.maps[:2],
    )


# --- data, search, other pages -------------------------------------------------------------------


def test_data_obeys_its_schema(built: Built, bare: Built) -> None:
    for site, atlas in (built, bare):
        for image in atlas.lenses:
            found = data(site, f"synthetic/images/{image}.json")
            assert problems(found, "image") == []
        assert problems(data(site, "synthetic/model.json"), "model") == []


def test_the_model_lists_its_images_with_their_predictions(built: Built) -> None:
    site, atlas = built
    rows = data(site, "synthetic/model.json")["lenses"]
    assert [row["image_index"] for row in rows] == list(LENSES)
    for row in rows:
        lens = lens_of(atlas, row["image_index"])
        assert row["name"] == atlas.samples.samples[row["image_index"]].name
        assert [one["probability"] for one in row["predictions"]] == [
            one.probability for one in lens.predictions
        ]
        assert (site / "synthetic" / row["page"]).is_file()
        assert (site / "synthetic" / row["image"]).is_file()
    assert "All 3 images" in text(site, "synthetic/index.html")


def test_the_search_finds_an_image_by_its_file_and_by_its_class(built: Built) -> None:
    site, atlas = built
    table = data(site, "synthetic/search.json")
    assert table["layers"][-1] == ["images", "images"]
    place, index, rank, status, label, has = table["rows"][-1]
    assert (place, index, rank, status, has) == (len(table["layers"]) - 1, 4, 0, "", 1)
    assert label == f"photo_004.jpg · {NAMES[lens_of(atlas, 4).predictions[0].index]}"


def test_units_lead_from_their_patches_to_the_pages_of_images(built: Built) -> None:
    site, atlas = built
    layer = atlas.layers[0]
    for channel in layer.chosen:
        markup = (site / f"synthetic/conv_stem/{channel}.html").read_text()
        linked = {
            int(at) for at in re.findall(r'class="look" href="\.\./images/(\d+)\.html"', markup)
        }
        assert linked == set(layer.stats.example_image[channel].tolist()) & set(LENSES)


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    atlas = seen(
        title=HOSTILE[0],
        names=tuple((name, HOSTILE[0]) for name in HOSTILE[:4]),
        class_names=tuple(f"{name}{at}" for at, name in enumerate(HOSTILE)),
        sample_names=HOSTILE,
        skipped=(SkippedFile(name=HOSTILE[1], reason=HOSTILE[0]),),
    )
    build(tmp_path, atlas)
    assert check_site(tmp_path) == []
    for path, page in pages(tmp_path).items():
        assert "\u202e" not in (tmp_path / path).read_text("utf-8")
        for tag, attributes in page.tags:
            if tag == "script" and path != "404.html" and attributes.get("type") != DATA:
                assert "assets/" in attributes["src"]
            assert "onerror" not in attributes, path
            assert "style" not in attributes, path


def test_ids_are_unique_and_pictures_have_words_and_their_true_size(built: Built) -> None:
    site, _ = built
    for path, page in pages(site).items():
        assert len(page.ids) == len(set(page.ids)), path
        for image in page.all("img"):
            assert image["alt"], path
            if "/images/" in path and image.get("class") is None:
                shape = pixels(site / "synthetic/images" / str(image["src"])).shape
                assert (str(shape[0]), str(shape[1])) == (image["height"], image["width"])


# --- what excites a layer ------------------------------------------------------------------------


def test_renderings_and_patches_of_a_layer_stand_in_the_same_order(built: Built) -> None:
    site, atlas = built
    for layer in atlas.layers:
        folder = site / "synthetic" / layer.info.name
        page = Parsed((folder / "excites.html").read_text())
        units = [found["data-unit"] for found in page.all("li") if "data-unit" in found]
        assert units == 2 * [str(channel) for channel in layer.chosen]
        assert 'href="excites.html"' in (folder / "index.html").read_text()
        assert 'href="index.html"' in (folder / "excites.html").read_text()
        words = " ".join(page.text.split())
        assert "is synthetic: the renderings" in words
        assert "is real: for the same units" in words


def test_a_mosaic_holds_the_nine_best_patches_at_twelve_kilobytes_a_unit(tmp_path: Path) -> None:
    atlas = make_atlas(layers=1, units=70, channels=80, images=12, size=32, plain=True)
    build(tmp_path, atlas)
    folder = tmp_path / "synthetic/conv_stem/img"
    files = [folder / f"mosaics-{number}.jpg" for number in range(2)]
    assert not (folder / "mosaics-2.jpg").exists()
    assert sum(file.stat().st_size for file in files) < 12_000 * 70
    sheet = pixels(files[0]).astype(int)
    assert sheet.shape == (1344, 1344, 3)
    at = 9  # second row, second column
    corner = sheet[168 : 168 + 54, 168 : 168 + 54]
    patch = pixels(folder / f"{atlas.layers[0].chosen[at]}.p1.jpg")
    assert np.abs(corner - cv2.resize(patch, (54, 54), interpolation=cv2.INTER_AREA)).mean() < 6


def test_a_layer_without_units_has_no_such_page(tmp_path: Path) -> None:
    atlas = small()
    empty = replace(atlas.layers[1], chosen=(), renderings=())
    build(tmp_path, replace(atlas, layers=(atlas.layers[0], empty, atlas.layers[2])))
    assert not (tmp_path / "synthetic/blocks.0.0/excites.html").exists()
    page = (tmp_path / "synthetic/conv_stem/excites.html").read_text()
    assert 'rel="next" data-key="ArrowRight" href="../blocks.1.0/excites.html"' in page
    assert check_site(tmp_path) == []
