"""The page of a unit: its order, its spectrum, and who fires on the same images."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas.gallery.write import check_site, write_site
from atlas.records.atlas import LayerAtlas, ModelAtlas
from tests.gallery.test_write import Parsed
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas


def build(site: Path, atlas: ModelAtlas) -> None:
    pictures = SyntheticPictures(atlas, octaves=2, side=64)
    write_site(atlas, pictures, site=site, labels={}, site_url="", templates=())


def small(**given: Any) -> ModelAtlas:
    return make_atlas(
        **{
            "layers": 2,
            "units": 6,
            "channels": 8,
            "images": 120,
            "size": 32,
            "plain": True,
            **given,
        }
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelAtlas]:
    site = tmp_path_factory.mktemp("spectrum")
    atlas = small()
    build(site, atlas)
    assert check_site(site) == []
    return site, atlas


Built = tuple[Path, ModelAtlas]


def first_unit(atlas: ModelAtlas) -> str:
    """Path of the first unit of the first layer, without its ending."""
    layer = atlas.layers[0]
    return f"synthetic/{layer.info.name}/{layer.chosen[0]}"


def page_of(built: Built) -> str:
    return (built[0] / f"{first_unit(built[1])}.html").read_text("utf-8")


def test_a_page_leads_from_the_picture_to_what_it_was_made_from(built: Built) -> None:
    page = page_of(built)
    marks = ('class="render"', 'class="patches"', 'id="scores"', 'id="spectrum"', 'id="near"')
    places = [page.index(mark) for mark in (*marks, 'id="provenance"')]
    assert places == sorted(places)
    assert page.count("Histogram of its mean activation") == 1


def test_each_bar_leads_to_a_strip_of_the_page_and_each_image_is_a_part_of_a_whole_one(
    built: Built,
) -> None:
    page = Parsed(page_of(built))
    ids = [one for one in page.ids if re.fullmatch(r"p\d+", one)]
    assert ids == ["p100", "p0", "p99", "p95", "p90", "p75", "p50", "p25"]
    links = [str(one["href"]) for one in page.all("a") if str(one["href"]).startswith("#p")]
    assert len(links) > 4
    assert {link[1:] for link in links} <= set(ids)
    late = [one for one in page.all("img") if one.get("loading") == "lazy"]
    cuts = [one for one in late if str(one["src"]).startswith("../images/")]
    assert len(cuts) == len(page.all("foreignobject")) + 9  # and the whole nine
    assert all(one["alt"] and one["width"] == one["height"] for one in cuts)


def test_the_data_hold_what_the_page_shows(built: Built) -> None:
    site, atlas = built
    data = json.loads((site / f"{first_unit(atlas)}.json").read_bytes())
    assert problems(data, "unit") == []
    strips = data["spectrum"]
    assert [one["percentile"] for one in strips] == [100, 99, 95, 90, 75, 50, 25, 0]
    assert sum(one["share"] for one in strips) == pytest.approx(1)
    peaks = atlas.layers[0].stats.peaks_over_rows(data["channel"])
    assert strips[0]["value"] == peaks.max()
    assert strips[-1]["value"] == peaks.min()
    for strip in strips:
        for image in strip["images"]:
            assert image["peak"] == peaks[image["image_index"]]
            assert image["name"] == atlas.samples.samples[image["image_index"]].name
    views = re.findall(r'<svg viewBox="(\d+) (\d+) (\d+) (\d+)"><foreign', page_of(built))
    shown = {(int(y), int(x), int(y) + int(h), int(x) + int(w)) for x, y, w, h in views}
    assert shown == {tuple(image["box"]) for strip in strips for image in strip["images"]}


def test_strips_add_no_picture_of_their_own(built: Built) -> None:
    site, atlas = built
    channel = atlas.layers[0].chosen[0]
    folder = site / "synthetic" / atlas.layers[0].info.name / "img"
    names = {path.name for path in folder.glob(f"{channel}.*")}
    patches = {f"{channel}.p{place}.jpg" for place in range(1, 10)}
    octaves = {f"{channel}.o{octave}.jpg" for octave in (1, 2)}
    assert names == {f"{channel}.jpg", f"{channel}.t.jpg", *patches, *octaves}
    wholes = list((site / "synthetic/images").glob("*.jpg"))
    assert len(wholes) <= len(atlas.samples.samples)


def test_neighbours_in_other_layers_are_shown_where_they_have_pages(built: Built) -> None:
    site, atlas = built
    first, second = atlas.layers
    data = json.loads((site / f"{first_unit(atlas)}.json").read_bytes())
    across = data["neighbours_across"]
    own = first.stats.activations[:, data["channel"]].astype(np.float64)
    others = second.stats.activations.astype(np.float64)
    table = [float(np.corrcoef(own, other)[0, 1]) for other in others.T]
    best = sorted(range(len(table)), key=lambda channel: -table[channel])[:5]
    assert [one["channel"] for one in across] == best
    assert {one["layer"] for one in across} == {second.info.name}
    assert [one["correlation"] for one in across] == pytest.approx(
        [table[channel] for channel in best], abs=6e-5
    )
    page = page_of(built)
    for channel in best:
        link = f'href="../{second.info.name}/{channel}.html"'
        assert (link in page) == (channel in second.chosen)
        assert f"{second.info.name}:{channel}" in page


def test_similar_is_a_place_in_data_table_and_grid(built: Built) -> None:
    site, atlas = built
    layer = atlas.layers[0]
    folder = site / "synthetic" / layer.info.name
    rows = json.loads((folder / "layer.json").read_bytes())["units"]
    assert sorted(row["similar"] for row in rows) == [1, 2, 3, 4, 5, 6]
    head, *lines = (folder / "units.csv").read_text().splitlines()
    column = head.split(",").index("similar")
    assert [int(line.split(",")[column]) for line in lines] == [row["similar"] for row in rows]
    page = Parsed((folder / "index.html").read_text("utf-8"))
    cards = [one for one in page.all("li") if str(one.get("class")).startswith("card")]
    assert [json.loads(str(one["data-v"]))[0][5] for one in cards] == [
        row["similar"] for row in rows
    ]


def with_first(atlas: ModelAtlas, layer: LayerAtlas) -> ModelAtlas:
    return replace(atlas, layers=(layer, *atlas.layers[1:]))


def test_a_unit_that_never_fires_has_one_strip_and_no_neighbours_elsewhere(tmp_path: Path) -> None:
    atlas = small()
    layer = atlas.layers[0]
    dead = {name: np.zeros_like(getattr(layer.stats, name)) for name in ("activations", "peaks")}
    build(tmp_path, with_first(atlas, replace(layer, stats=replace(layer.stats, **dead))))
    data = json.loads((tmp_path / f"{first_unit(atlas)}.json").read_bytes())
    (strip,) = data["spectrum"]
    assert (strip["percentile"], strip["up_to"], strip["share"]) == (0, 100, 1)
    assert data["neighbours_across"] == []
    assert "All images have this peak" in (tmp_path / f"{first_unit(atlas)}.html").read_text()


def test_a_unit_that_is_not_finite_has_a_page_without_a_spectrum(tmp_path: Path) -> None:
    atlas = small()
    layer = atlas.layers[0]
    finite = np.zeros(layer.info.channels, np.bool_)
    build(tmp_path, with_first(atlas, replace(layer, stats=replace(layer.stats, finite=finite))))
    assert json.loads((tmp_path / f"{first_unit(atlas)}.json").read_bytes())["spectrum"] == []
    assert 'id="spectrum"' not in (tmp_path / f"{first_unit(atlas)}.html").read_text()
    assert check_site(tmp_path) == []


@pytest.mark.parametrize("images", [1, 2])
def test_one_or_two_images_have_pages_too(tmp_path: Path, images: int) -> None:
    atlas = small(images=images)
    build(tmp_path, atlas)
    data = json.loads((tmp_path / f"{first_unit(atlas)}.json").read_bytes())
    assert len(data["spectrum"]) == images
    assert data["neighbours_across"] == []
    assert check_site(tmp_path) == []


def test_a_layer_without_places_says_why_it_shows_whole_images(tmp_path: Path) -> None:
    atlas = small()
    layer = atlas.layers[0]
    build(tmp_path, with_first(atlas, replace(layer, info=replace(layer.info, layout="NCHW@?"))))
    page = (tmp_path / f"{first_unit(atlas)}.html").read_text("utf-8")
    assert "maps of this layer have no places" in page
    assert set(re.findall(r'<svg viewBox="([^"]*)"><foreign', page)) == {"0 0 224 224"}
