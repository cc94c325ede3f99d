"""The page that compares two atlases: what it shows, what its numbers are, what it survives."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.errors import CheckError, InputError, UsageError
from atlas.gallery import tree as sitetree
from atlas.gallery.pages.compare import Other, chance, correlation_histogram
from atlas.gallery.write import SiteReport, check_site, write_site
from atlas.progress import Progress
from atlas.records.atlas import LayerAtlas, ModelAtlas
from atlas.records.units import Unit
from atlas.stages.select import check_compare
from tests.gallery.test_write import HOSTILE, Parsed, digest, small, snapshot
from tests.schemas import problems
from tests.synthetic import SyntheticPictures, generator, make_atlas

OURS, THEIRS = "epoch 9", "epoch 1"
FOLDER, OTHER = "epoch~209", "epoch~201"
PAGE = f"{FOLDER}/compare/{OTHER}.html"


def changed_layer(layer: LayerAtlas, share: float) -> LayerAtlas:
    """A layer whose channels, the first little and the last much, fire on other images now."""
    stats = layer.stats
    values = stats.activations.astype(np.float64)
    noise = generator("changed", layer.info.name).gamma(1.2, 0.5, values.shape)
    shares = np.linspace(0, share, values.shape[1])
    mixed = ((1 - shares) * values + shares * noise).astype(np.float16)
    return replace(layer, stats=replace(stats, activations=mixed))


def changed(atlas: ModelAtlas, share: float = 1.0) -> ModelAtlas:
    """An atlas whose units fire on other images than those of `make_atlas` do."""
    return replace(atlas, layers=tuple(changed_layer(layer, share) for layer in atlas.layers))


def frozen(atlas: ModelAtlas, channel: int) -> ModelAtlas:
    """An atlas with a channel of its first layer that is the same on every image."""
    layer = atlas.layers[0]
    values, std = layer.stats.activations.copy(), layer.stats.std.copy()
    values[:, channel], std[channel] = 1, 0
    stats = replace(layer.stats, activations=values, std=std)
    return replace(atlas, layers=(replace(layer, stats=stats), *atlas.layers[1:]))


def fewer(atlas: ModelAtlas, units: int) -> ModelAtlas:
    """An atlas that shows fewer units of each layer."""
    layers = tuple(replace(layer, chosen=layer.chosen[:units]) for layer in atlas.layers)
    return replace(atlas, layers=layers)


def build(
    site: Path,
    atlas: ModelAtlas,
    other: ModelAtlas | None = None,
    labels: Mapping[str, str] | None = None,
) -> SiteReport:
    beside = Other(atlas=other, pictures=SyntheticPictures(other, side=64)) if other else None
    pictures = SyntheticPictures(atlas, side=64)
    return write_site(
        atlas, pictures, site=site, labels=labels or {}, site_url="", templates=(), other=beside
    )


def atlases(**given: Any) -> tuple[ModelAtlas, ModelAtlas]:
    """Ours, which changed, and the older one: twelve images, of eight channels four are shown."""
    common = {"images": 12, **given}
    return changed(small(name=OURS, title=OURS, **common)), small(
        name=THEIRS, title=THEIRS, **common
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelAtlas, ModelAtlas]:
    """A site of both, the newer one compared with the older one."""
    site = tmp_path_factory.mktemp("compared") / "site"
    ours, theirs = atlases()
    build(site, theirs)
    build(site, ours, theirs)
    return site, ours, theirs


Built = tuple[Path, ModelAtlas, ModelAtlas]


def page(site: Path, path: str = PAGE) -> Parsed:
    return Parsed((site / path).read_text("utf-8"))


def text(site: Path, path: str = PAGE) -> str:
    return " ".join(page(site, path).text.split())


def rows(site: Path, path: str = PAGE) -> list[dict[str, Any]]:
    data = json.loads((site / path.replace(".html", ".json")).read_bytes())
    return list(data["units"])


def correlation(ours: ModelAtlas, unit: Unit, theirs: ModelAtlas, other: Unit) -> float:
    """Of two units, by numpy."""
    columns = [
        next(layer for layer in atlas.layers if layer.info.name == one.layer)
        .stats.activations[:, one.channel]
        .astype(float)
        for atlas, one in ((ours, unit), (theirs, other))
    ]
    return float(np.corrcoef(*columns)[0, 1])


# --- what it says --------------------------------------------------------------------------------


def test_every_unit_has_a_card_the_least_alike_first(built: Built) -> None:
    site, ours, _ = built
    found = rows(site)
    units = {(layer.info.name, channel) for layer in ours.layers for channel in layer.chosen}
    assert {(row["layer"], row["channel"]) for row in found} == units
    assert len(found) == len(units)
    assert [row["correlation"] for row in found] == sorted(row["correlation"] for row in found)
    anchors = [name for name in page(site).ids if ":" in name]
    assert anchors == [f"{row['layer']}:{row['channel']}" for row in found]


def test_correlations_are_those_of_the_activations(built: Built) -> None:
    site, ours, theirs = built
    for row in rows(site):
        unit = Unit(layer=row["layer"], channel=row["channel"])
        for which, value in (("other", "correlation"), ("shown", "shown_correlation")):
            twin = Unit(layer=row[f"{which}_layer"], channel=row[f"{which}_channel"])
            assert row[value] == pytest.approx(correlation(ours, unit, theirs, twin))


def test_no_other_channel_correlates_more(built: Built) -> None:
    site, ours, theirs = built
    row = rows(site)[0]
    unit = Unit(layer=row["layer"], channel=row["channel"])
    best = max(
        correlation(ours, unit, theirs, Unit(layer=layer.info.name, channel=channel))
        for layer in theirs.layers
        for channel in range(layer.stats.channels)
    )
    assert row["correlation"] == pytest.approx(best)


def test_only_shown_units_stand_beside_ours(built: Built) -> None:
    site, _, theirs = built
    chosen = {layer.info.name: layer.chosen for layer in theirs.layers}
    assert all(row["shown_channel"] in chosen[row["shown_layer"]] for row in rows(site))


def test_a_closer_channel_without_a_page_is_named(built: Built) -> None:
    site, _, _ = built
    hidden = [
        row
        for row in rows(site)
        if (row["other_layer"], row["other_channel"]) != (row["shown_layer"], row["shown_channel"])
    ]
    words = text(site)
    assert words.count("Closest of all") == len(hidden) > 0
    assert f"Closest of all: {hidden[0]['other_layer']}:{hidden[0]['other_channel']}, r" in words


def test_values_of_the_page_are_those_of_its_data(built: Built) -> None:
    site, _, _ = built
    shown = [v["value"] for v in page(site).all("data") if v["data-name"] == "correlation"]
    assert shown == [str(row["shown_correlation"]) for row in rows(site)]


def test_data_obeys_its_schema(built: Built) -> None:
    site, ours, _ = built
    data = json.loads((site / f"{FOLDER}/compare/{OTHER}.json").read_bytes())
    assert problems(data, "compare") == []
    assert (data["model"], data["other"]) == (OURS, THEIRS)
    assert data["n_images"] == len(ours.samples.samples)


def test_the_model_page_leads_to_the_comparison_of_that_model_only(built: Built) -> None:
    site, _, _ = built
    links = [link["href"] for link in page(site, f"{FOLDER}/index.html").all("a")]
    assert f"compare/{OTHER}.html" in links
    assert f"Compared with {THEIRS}" in text(site, f"{FOLDER}/index.html")
    assert "Compared with" not in text(site, f"{OTHER}/index.html")


def test_units_that_never_vary_stand_apart(tmp_path: Path) -> None:
    ours, theirs = atlases()
    layer = ours.layers[0]
    ours = frozen(ours, layer.chosen[0])
    build(tmp_path, ours, theirs)
    name = f"{layer.info.name}:{layer.chosen[0]}"
    assert f"1 unit of {OURS} stays the same, so nothing can correlate with it: {name}" in text(
        tmp_path
    )
    assert name not in page(tmp_path).ids
    last = rows(tmp_path)[-1]
    assert (last["layer"], last["channel"]) == (layer.info.name, layer.chosen[0])
    assert {last[key] for key in last if key not in ("layer", "channel")} == {None}


def test_where_nothing_varies_the_page_says_so(tmp_path: Path) -> None:
    ours, theirs = atlases(layers=1, units=1, channels=1)
    build(tmp_path, frozen(ours, 0), theirs)
    assert "There is no unit to compare" in text(tmp_path)


def test_another_atlas_whose_shown_units_never_vary_leaves_the_place_empty(tmp_path: Path) -> None:
    ours, theirs = atlases(layers=1, units=1, channels=2)
    build(tmp_path, ours, frozen(theirs, theirs.layers[0].chosen[0]))
    (row,) = rows(tmp_path)
    assert row["other_channel"] is not None
    assert row["shown_channel"] is None
    assert "none shown" in text(tmp_path)


def test_atlases_of_one_title_go_by_their_names(tmp_path: Path) -> None:
    ours, theirs = (replace(a, model=replace(a.model, title="Net")) for a in atlases())
    build(tmp_path, ours, theirs)
    assert f"{OURS} against {THEIRS}" in text(tmp_path)


def test_labels_of_both_sides_show(tmp_path: Path) -> None:
    ours, theirs = atlases(units=1, layers=1)
    unit = f"{ours.layers[0].info.name}:{theirs.layers[0].chosen[0]}"
    build(tmp_path, ours, theirs, {f"{OURS}/{unit}": "new <eyes>", f"{THEIRS}/{unit}": "old eyes"})
    assert "new <eyes>" in text(tmp_path)
    assert "old eyes" in text(tmp_path)


def test_text_of_others_is_only_text(tmp_path: Path) -> None:
    ours, theirs = atlases(names=tuple((name, "Conv2d") for name in HOSTILE), units=1)
    name = "".join(HOSTILE[:2])
    theirs = replace(theirs, model=replace(theirs.model, name=name, title=name))
    build(tmp_path, theirs)
    build(tmp_path, ours, theirs)
    assert check_site(tmp_path) == []
    (path,) = (tmp_path / FOLDER / "compare").glob("*.html")
    found = Parsed(path.read_text("utf-8"))
    assert [script.get("src") for script in found.all("script")] == ["../../assets/atlas.js"]
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


# --- how much is chance --------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "images"), [(50, 30), (400, 100)])
def test_chance_is_what_unrelated_channels_reach(channels: int, images: int) -> None:
    random = np.random.default_rng(3)
    best = []
    for _ in range(200):
        table = random.normal(size=(images, channels + 1))
        table = (table - table.mean(0)) / table.std(0)
        best.append((table[:, :1].T @ table[:, 1:] / images).max())
    assert chance(channels, images) == pytest.approx(np.median(best), abs=0.02)


def test_three_images_prove_nothing() -> None:
    assert chance(10, 3) == 1
    assert chance(10, 4) < 1


def test_the_histogram_counts_every_unit() -> None:
    values = np.array([-0.3, 0.2, 1 + 1e-15, 1.0, 0.99])
    svg = correlation_histogram(values, 0.4)
    counts = [int(part.split("<")[0]) for part in svg.split("<title>")[1:]]
    assert sum(counts) == len(values)
    assert "5 units from −0.300 to 1.00" in svg
    assert "0 units" in correlation_histogram(np.zeros(0), 0.4)


# --- pictures and links --------------------------------------------------------------------------


def test_pictures_of_the_other_are_those_of_its_own_pages(built: Built) -> None:
    site, _, theirs = built
    assert check_site(site) == []
    made = {f"{one.unit.layer}/img/{one.unit.channel}.jpg" for one in theirs.layers[0].renderings}
    seen = set()
    for picture in page(site).all("img"):
        assert picture["alt"]
        assert picture["width"]
        assert picture["height"]
        seen.add(str(picture["src"]).removeprefix(f"../../{OTHER}/"))
    row = next(row for row in rows(site) if row["shown_layer"] == theirs.layers[0].info.name)
    file = f"{row['shown_layer']}/img/{row['shown_channel']}.jpg"
    assert (file in seen) is (file in made)
    assert f"{row['shown_layer']}/img/{row['shown_channel']}.p1.jpg" in seen
    assert not list((site / FOLDER / "compare").glob("**/*.jpg"))


def test_units_of_the_other_link_to_its_pages_where_the_site_has_them(
    built: Built, tmp_path: Path
) -> None:
    site, ours, theirs = built
    row = rows(site)[0]
    there = f"../../{OTHER}/{row['shown_layer']}/{row['shown_channel']}.html"
    assert there in [link["href"] for link in page(site).all("a")]
    build(tmp_path, ours, theirs)
    away = page(tmp_path)
    links = [link["href"] for link in away.all("a")] + [image["src"] for image in away.all("img")]
    assert not [link for link in links if str(link).startswith(f"../../{OTHER}")]
    assert f"{THEIRS} has no pages in this site" in text(tmp_path)
    assert check_site(tmp_path) == []


def test_links_into_the_folder_of_another_model_must_lead_to_a_file(built: Built) -> None:
    site, _, _ = built
    tree = sitetree.Tree(site, "third", None)  # type: ignore[arg-type]
    for target in (f"{OTHER}/index.html", f"{FOLDER}/compare/{OTHER}.json"):
        tree.targets = {target: "index.html"}
        tree.check_links(frozenset())
    for target in (f"{OTHER}/none.html", "assets/atlas.css", "../x/index.html", "atlas.json"):
        tree.targets = {target: "index.html"}
        with pytest.raises(CheckError, match="is not there"):
            tree.check_links(frozenset())


def test_the_other_model_stays_as_it_is_and_a_rebuild_writes_nothing(tmp_path: Path) -> None:
    ours, theirs = atlases()
    build(tmp_path, theirs)
    before = digest(tmp_path / OTHER)
    build(tmp_path, ours, theirs)
    assert digest(tmp_path / OTHER) == before
    files = snapshot(tmp_path)
    report = build(tmp_path, ours, theirs)
    assert (report.written, report.removed) == (0, 0)
    assert snapshot(tmp_path) == files


def test_without_a_comparison_its_files_go(tmp_path: Path) -> None:
    ours, theirs = atlases()
    build(tmp_path, ours, theirs)
    build(tmp_path, ours)
    assert not list((tmp_path / FOLDER).glob("compare/**/*.*"))
    assert check_site(tmp_path) == []


def test_few_units_are_not_held_back_and_many_are(built: Built, tmp_path: Path) -> None:
    assert "changes" in [found.get("class") for found in page(built[0]).all("ol")]
    ours, theirs = atlases(units=31, channels=31, layers=2, images=5)
    build(tmp_path, ours, fewer(theirs, 1))
    assert "changes many" in [found.get("class") for found in page(tmp_path).all("ol")]
    assert {found["loading"] for found in page(tmp_path).all("img")} == {"lazy"}


# --- from the command to the page ----------------------------------------------------------------

IMAGES = 6


def settings(folder: Path, **changes: Any) -> Config:
    """Settings for an atlas of the tiny network, over the photographs of a folder."""
    return Config(
        **{
            "model": "tests.helpers:tiny_network",
            "images": str(folder / "photographs"),
            "recipe": ("ascent",),
            "input_size": 32,
            "size": 32,
            "units": 2,
            "classes": 0,
            "lenses": 0,
            "cache": folder / "cache",
            "site": folder / "site",
            "quiet": True,
            **changes,
        }
    )


def run(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def sound(config: Config) -> bool:
    return pipeline.check(config, Progress(quiet=True)) == 0


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, cache and site: epoch 1, and epoch 2 compared with it, as built."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "photographs").mkdir()
    for at in range(IMAGES):
        noise = generator("photograph", at).integers(0, 256, (48, 48, 3))
        cv2.imwrite(str(folder / f"photographs/{at}.png"), noise.astype(np.uint8))
    run(settings(folder, name="epoch 1"))
    run(settings(folder, name="epoch 2", compare="epoch 1"))
    return folder


@pytest.fixture
def pair(once: Path, tmp_path: Path) -> tuple[Config, Config]:
    """Settings of both, with cache and site of their own that hold them already."""
    folder = tmp_path / "pair"
    shutil.copytree(once, folder)
    one = settings(folder, name="epoch 1")
    return one, replace(one, name="epoch 2", compare="epoch 1")


Pair = tuple[Config, Config]


def other_images(config: Config) -> Config:
    """The same settings over one image less."""
    images = Path(config.images)
    fewer_images = images.with_name("fewer")
    shutil.copytree(images, fewer_images)
    (fewer_images / "0.png").unlink()
    return replace(config, images=str(fewer_images))


TWO = "epoch~202/compare/epoch~201.html"


def test_equal_weights_give_units_that_correlate_fully(pair: Pair) -> None:
    _, two = pair
    found = rows(two.site, TWO)
    assert len(found) == 4
    for row in found:
        if row["correlation"] is not None:  # relu2:2 is dead
            assert row["correlation"] == pytest.approx(1, abs=1e-6)
            assert (row["other_layer"], row["other_channel"]) == (row["layer"], row["channel"])
    assert "epoch 2 against epoch 1" in text(two.site, TWO)
    assert sound(two)


def test_a_second_build_of_either_writes_nothing(pair: Pair) -> None:
    one, two = pair
    before = snapshot(two.site)
    run(two)
    run(one)
    assert snapshot(two.site) == before


def test_an_atlas_that_loses_units_takes_no_link_with_it(pair: Pair) -> None:
    one, two = pair
    links = [str(link["href"]) for link in page(two.site, TWO).all("a")]
    there = {link for link in links if link.startswith("../../epoch~201/relu")}
    run(replace(one, units=1))
    links = [str(link["href"]) for link in page(two.site, TWO).all("a")]
    left = {link for link in links if link.startswith("../../epoch~201/relu")}
    assert left < there
    assert sound(two)


def test_a_page_whose_other_is_built_later_gets_its_links_then(pair: Pair) -> None:
    one, two = pair
    shutil.rmtree(one.site / "epoch~201")
    run(two)
    assert "../../epoch~201/index.html" not in (two.site / TWO).read_text()
    run(one)
    assert "../../epoch~201/index.html" in (two.site / TWO).read_text()
    assert sound(two)


def test_a_part_of_a_site_is_not_made_again_because_the_other_part_is_missing(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (replace(each, site=each.site / "atlas-1", site_part=(1, 2)) for each in pair)
    run(one)
    run(two)
    assert "../../../atlas-2/" in (two.site / TWO).read_text()
    capsys.readouterr()
    assert pipeline.build(one, Progress(quiet=False)) == 0
    assert "are written again" not in capsys.readouterr().err
    assert sound(two)


def test_a_page_that_was_cut_off_from_its_links_is_mended_by_the_next_build(pair: Pair) -> None:
    one, two = pair
    page_file = two.site / TWO
    page_file.write_text(page_file.read_text().replace("epoch~201/index", "epoch~201/gone"))
    run(one)
    assert sound(two)


def test_two_atlases_may_compare_with_each_other(pair: Pair) -> None:
    one, two = pair
    run(replace(one, compare="epoch 2"))
    assert (one.site / "epoch~201/compare/epoch~202.html").exists()
    assert sound(two)
    assert pipeline.site(two, Progress(quiet=True)) == 0
    assert sound(two)


def test_site_alone_makes_the_same_pages(pair: Pair, tmp_path: Path) -> None:
    _, two = pair
    again = replace(two, site=tmp_path / "again")
    assert pipeline.site(again, Progress(quiet=True)) == 0
    assert digest(again.site) == digest(two.site)


def test_an_atlas_of_another_site_is_left_alone(pair: Pair, tmp_path: Path) -> None:
    one, _ = pair
    elsewhere = replace(one, site=tmp_path / "elsewhere")
    run(elsewhere)
    assert not (elsewhere.site / "epoch~202").exists()


def test_an_unknown_name_is_refused_with_the_closest_one(pair: Pair) -> None:
    _, two = pair
    closest = r"holds no atlas 'epoch 7'; closest: epoch \d, epoch \d; build that one first"
    with pytest.raises(InputError, match=closest):
        check_compare(replace(two, compare="epoch 7"))
    with pytest.raises(InputError, match="no atlas 'resnet'; it has 'epoch 1', 'epoch 2'; build"):
        check_compare(replace(two, compare="resnet"))
    with pytest.raises(InputError, match="it is empty"):
        check_compare(replace(two, cache=two.cache / "none"))
    with pytest.raises(InputError, match="holds no atlas 'epoch 7'"):
        run(replace(two, compare="epoch 7"))
    check_compare(two)
    check_compare(replace(two, compare=""))


def test_an_atlas_is_not_compared_with_itself(pair: Pair) -> None:
    with pytest.raises(UsageError, match="'epoch 1', which is this atlas itself"):
        check_compare(replace(pair[0], compare="epoch 1"))


def test_other_images_are_refused_before_anything_is_rendered(pair: Pair) -> None:
    three = replace(other_images(pair[1]), name="epoch 3")
    with pytest.raises(InputError, match="epoch 3 and epoch 1 are atlases over different images"):
        run(three)
    assert not list(three.cache.glob("epoch~203/*/renderings/**/*.h5"))
    assert not (three.cache / "epoch~203" / "atlas.json").exists()


def test_an_other_that_is_built_over_new_images_costs_the_page_and_a_warning(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = pair
    run(other_images(one))
    assert "epoch 2 has no compare page: --compare: epoch 2 and epoch 1" in capsys.readouterr().err
    assert not (two.site / TWO).exists()
    assert sound(two)


def test_an_other_that_left_the_cache_costs_the_page_and_a_warning(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    _, two = pair
    shutil.rmtree(two.cache / "epoch~201")
    assert pipeline.site(two, Progress(quiet=True)) == 0
    assert (
        "epoch 2 has no compare page: --compare: there is no atlas 'epoch 1'"
        in capsys.readouterr().err
    )
    assert not (two.site / TWO).exists()
    assert sound(two)


def test_a_comparing_atlas_that_is_damaged_does_not_fail_the_other(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = pair
    (key,) = two.cache.glob("epoch~202/*/key.json")
    key.unlink()
    assert run(replace(one, units=1)) == 0
    assert "the pages of epoch 2 could not be written again" in capsys.readouterr().err


def test_a_damaged_plan_of_another_atlas_does_not_fail_a_build(pair: Pair) -> None:
    one, two = pair
    (two.cache / "epoch~202" / "atlas.json").write_text("{")
    assert run(replace(one, units=1)) == 0


def test_a_changed_comparison_is_said(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    run(replace(pair[0], compare="epoch 2", quiet=False))
    assert "compare changed from nothing to epoch 2" in capsys.readouterr().err


def test_command_to_reproduce_names_the_comparison(pair: Pair) -> None:
    _, two = pair
    model = json.loads((two.site / "epoch~202/model.json").read_text())
    assert "--compare 'epoch 1'" in model["provenance"]["command"]


def test_make_atlas_of_the_same_layers_gives_the_same_activations() -> None:
    """These tests assume that only `changed` makes the two differ."""
    one, two = make_atlas(name="a"), make_atlas(name="b")
    assert (one.layers[0].stats.activations == two.layers[0].stats.activations).all()
