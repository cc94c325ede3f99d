"""Circuits on the pages of units and layers, and in the data beside them."""

import html
import json
import math
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from atlas.cache.export import predicted_bytes, write_export
from atlas.gallery import write as gallery
from atlas.gallery.circuit_sentences import error_sentence, seen_sentence
from atlas.gallery.draw_circuits import draw_agreement, draw_kernel
from atlas.records.atlas import ModelAtlas
from atlas.records.circuits import Circuit, Link, agreement, checked
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, make_atlas, wired

Site = tuple[Path, ModelAtlas]


def write(site: Path, atlas: ModelAtlas) -> Path:
    """Write a site; returns the folder of its model."""
    pictures = SyntheticPictures(atlas, side=64)
    gallery.write_site(atlas, pictures, site=site, labels={}, site_url="", templates=())
    return site / "synthetic"


def plain() -> ModelAtlas:
    names = tuple(f"class {index}" for index in range(12))
    small = {"layers": 3, "units": 6, "images": 5, "size": 32, "plain": True}
    return make_atlas(**small, classes=4, class_names=names)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The folder of a model whose units have circuits."""
    atlas = wired(plain())
    return write(tmp_path_factory.mktemp("wired"), atlas), atlas


def section(page: Path, name: str) -> str:
    """The markup of a section of a page, "" where it has none."""
    found = re.search(rf'<section class="{name}".*?</section>', page.read_text(), re.S)
    return found[0] if found else ""


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", markup)).split())


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def first(atlas: ModelAtlas, place: int) -> tuple[str, int]:
    """Layer and channel of the first unit of a layer."""
    layer = atlas.layers[place]
    return layer.info.name, layer.chosen[0]


def test_page_lists_what_raises_and_what_lowers_with_both_numbers(site: Site) -> None:
    folder, atlas = site
    layer, channel = first(atlas, 1)
    said = words(section(folder / layer / f"{channel}.html", "circuits"))
    link = atlas.layers[1].circuits[channel].of("fed_by")[0]
    assert "Fed by" in said
    assert "Raises and lowers" in said
    assert f"{link.layer}:{link.channel} 5.00 {link.change:.2f}" in said.replace("3 × 3", "")
    assert "Seen on its 2 best images, where its activation is 3.00 on average." in said
    assert said.count("2 more") == 6


def test_units_of_this_atlas_are_linked_and_others_named(site: Site) -> None:
    folder, atlas = site
    layer, channel = first(atlas, 1)
    markup = section(folder / layer / f"{channel}.html", "circuits")
    before = atlas.layers[0]
    for link in atlas.layers[1].circuits[channel].of("fed_by"):
        target = f'href="../{before.info.name}/{link.channel}.html"'
        assert (target in markup) == (link.channel in before.chosen)
        assert f"{link.layer}:{link.channel}" in words(markup)


def test_units_without_a_page_are_shown_by_their_best_patch(site: Site) -> None:
    folder, atlas = site
    layer, channel = first(atlas, 1)
    before, markup = atlas.layers[0], section(folder / layer / f"{channel}.html", "circuits")
    hidden = [
        link.channel
        for link in atlas.layers[1].circuits[channel].of("fed_by")
        if link.channel not in before.chosen
    ]
    assert hidden
    for other in hidden:
        image = int(before.stats.example_image[other, 0])
        y0, x0, y1, x1 = before.stats.example_box[other, 0].tolist()
        assert f'viewBox="{x0} {y0} {x1 - x0} {y1 - y0}"' in markup
        assert f'src="../images/{image}.jpg"' in markup


def test_classes_are_called_by_their_names_and_linked(site: Site) -> None:
    folder, atlas = site
    layer, channel = first(atlas, 1)
    markup = section(folder / layer / f"{channel}.html", "circuits")
    assert atlas.classes is not None
    shown = [link.channel for link in atlas.layers[1].circuits[channel].of("classes")]
    assert any(f'href="../classes/{one}.html"' in markup for one in shown)
    names = atlas.model.class_names
    assert all(names[one] in words(markup) for one in shown if one < len(names))


def test_an_empty_list_says_why(site: Site) -> None:
    folder, atlas = site
    layer, channel = first(atlas, 0)
    said = words(section(folder / layer / f"{channel}.html", "circuits"))
    assert "None: nothing to see." in said


def test_without_circuits_pages_have_no_such_section(tmp_path: Path) -> None:
    atlas = plain()
    folder = write(tmp_path, atlas)
    layer, channel = first(atlas, 1)
    assert not section(folder / layer / f"{channel}.html", "circuits")
    assert not section(folder / layer / "index.html", "agreements")
    assert read(folder / layer / f"{channel}.json")["circuits"] is None
    assert read(folder / layer / "layer.json")["circuits"] is None


def test_data_of_a_unit_holds_its_record(site: Site) -> None:
    folder, atlas = site
    layer, channel = first(atlas, 1)
    known, data = atlas.layers[1].circuits[channel], read(folder / layer / f"{channel}.json")
    assert problems(data, "unit") == []
    assert data["circuits"]["images"] == [0, 2]
    assert data["circuits"]["error"] == 0
    for kind in ("fed_by", "feeds", "classes"):
        for link, row in zip(known.of(kind), data["circuits"][kind], strict=True):
            assert (row["layer"], row["channel"]) == (link.layer, link.channel)
            for name in ("effect", "change", "product"):
                number = getattr(link, name)
                assert row[name] == (None if math.isnan(number) else number)
            assert np.allclose(np.reshape(row["kernel"], link.kernel.shape), link.kernel)


def test_data_and_page_of_a_layer_say_how_well_predictions_hold(site: Site) -> None:
    folder, atlas = site
    name = atlas.layers[1].info.name
    data = read(folder / name / "layer.json")
    assert problems(data, "layer") == []
    circuits = list(atlas.layers[1].circuits.values())
    for kind in ("fed_by", "feeds", "classes"):
        found = data["circuits"]["ablation"][kind]
        assert found["checked"] == 6 * len(circuits)
        assert found["correlation"] == agreement(checked(circuits, kind)) > 0.99
    said = words(section(folder / name / "index.html", "agreements"))
    assert f"over {6 * len(circuits)} checked links" in said
    assert said.count("correlation") == 3


# --- numbers in words and pictures ---------------------------------------------------------------


def test_agreement_is_the_correlation_of_checked_links() -> None:
    pairs = [(1.0, 2.0), (2.0, 4.0), (-1.0, -2.0)]
    links = [Link(layer="a", channel=0, effect=one, change=other) for one, other in pairs]
    links.append(Link(layer="a", channel=0, effect=9.0))
    circuit = Circuit(
        channel=0, images=(0,), activation=1.0, error=0.0, links={"feeds": tuple(links)}, reasons={}
    )
    assert checked([circuit], "feeds") == pairs
    assert agreement(pairs) == pytest.approx(1)
    assert agreement([(1.0, -1.0), (2.0, -2.0), (3.0, -4.0)]) < -0.98
    assert math.isnan(agreement(pairs[:2]))
    assert math.isnan(agreement([(1.0, 2.0)] * 3))


def test_what_is_left_over_is_rounding_or_said_in_per_cent() -> None:
    assert "rounding" in error_sentence(2e-7)
    assert "miss its activation by 12.0\u00a0%" in error_sentence(0.12)
    assert error_sentence(math.nan) == ""
    assert seen_sentence(1, 2.5).startswith("Seen on the image that excites it most")


def test_kernel_has_a_square_for_each_weight() -> None:
    drawn = draw_kernel([[1.0, -1.0, 0.0]], 1.0)
    assert drawn.count("<rect") == 3
    assert "Kernel 1 × 3, weights from −1.00 to 1.00" in drawn
    assert 'fill="#000004"' in drawn, "zero is as dark as on the other maps"


def test_plot_puts_equal_effects_on_the_line() -> None:
    drawn = draw_agreement([(2.0, 2.0), (-2.0, -2.0), (0.0, 0.0)], "Feeds")
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert places == [("142", "8"), ("8", "142"), ("75", "75")]


# --- export --------------------------------------------------------------------------------------


def test_an_export_holds_every_link(site: Site, tmp_path: Path) -> None:
    atlas, path = site[1], tmp_path / "atlas.h5"
    write_export(path, atlas, SyntheticPictures(atlas), "1")
    layer = atlas.layers[1]
    with h5py.File(path) as file:
        group = file[f"layers/{layer.info.name}/circuits"]
        assert group["channel"][...].tolist() == list(layer.chosen)
        assert group["activation"][...].tolist() == [3.0] * len(layer.chosen)
        links = group["links"]
        rows = zip(
            links["unit"][...].tolist(),
            links["kind"].asstr()[...].tolist(),
            links["layer"].asstr()[...].tolist(),
            links["channel"][...].tolist(),
            links["effect"][...].tolist(),
            strict=True,
        )
        wanted = [
            (channel, kind, link.layer, link.channel, link.effect)
            for channel in layer.chosen
            for kind in ("fed_by", "feeds", "classes")
            for link in layer.circuits[channel].of(kind)
        ]
        assert list(rows) == wanted
        assert "circuits" not in file["layers/class~20scores"]
    assert path.stat().st_size < predicted_bytes(atlas)
