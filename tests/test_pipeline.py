"""The whole pipeline on a network whose every value is known."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import CheckError, InputError, UsageError
from atlas.images.pixels import to_pixels
from atlas.models.blueprint import IMAGENET_MEAN, IMAGENET_STD
from atlas.progress import Progress
from atlas.records.units import Unit
from atlas.rendering.job import Job
from atlas.rendering.kinds import Recipe
from atlas.stages import look as looking
from atlas.stages import rank as measuring
from atlas.stages import render as rendering
from atlas.stages import site as pages
from atlas.stages import write as writing
from atlas.stages.run import prepare
from atlas.workers import renderer
from tests.helpers import tiny_network

Tiny = Callable[..., Config]


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def blocks(config: Config) -> dict[str, bytes]:
    """Every HDF5 file of the cache, by its path."""
    return {
        str(path.relative_to(config.cache)): path.read_bytes()
        for path in sorted(config.cache.rglob("*.h5"))
    }


def units(config: Config) -> list[dict[str, object]]:
    """All units of all layer.json files."""
    pages = sorted(config.site.glob("*/*/layer.json"))
    return [unit for path in pages for unit in json.loads(path.read_text())["units"]]


def only_model(config: Config) -> Path:
    (folder,) = (path for path in config.site.iterdir() if (path / "model.json").exists())
    return folder


def test_build_makes_a_page_for_every_unit(tiny: Tiny) -> None:
    config = tiny()
    assert build(config) == 0
    model = only_model(config)
    for layer in ("relu1", "relu2"):
        page = json.loads((model / layer / "layer.json").read_text())
        assert len(page["units"]) == 2
        for unit in page["units"]:
            assert (model / layer / f"{unit['channel']}.html").exists()
            assert (model / layer / "img" / f"{unit['channel']}.jpg").exists()
    rows = list(csv.DictReader((model / "units.csv").read_text().splitlines()))
    assert len(rows) == 4


def test_units_are_the_most_active_ones_of_their_layer(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=4)
    build(config)
    means = [unit["mean_activation"] for unit in units(config)]
    assert means == sorted(means, reverse=True)


def test_live_units_reach_beyond_every_sample_image(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=4)
    build(config)
    assert all(unit["reach"] > 1 for unit in units(config))


def test_a_unit_that_nothing_activates_is_dead(tiny: Tiny) -> None:
    config = tiny(layers=("relu2",), units="all")
    build(config)
    status = {unit["channel"]: unit["status"] for unit in units(config)}
    assert status[2] == "dead"
    assert "dead" not in (status[0], status[1])


def test_all_units_of_the_layer_that_the_classifier_reads_come_once(tiny: Tiny) -> None:
    config = tiny(layers=("relu2",), units="all", classes=2)
    assert build(config) == 0
    assert sorted(unit["channel"] for unit in units(config)) == [0, 1, 2]  # type: ignore[type-var]


def test_second_build_loads_no_network_and_writes_nothing(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(model="tests.helpers:tiny_network")
    build(config)
    before = {path: path.stat().st_mtime_ns for path in config.site.rglob("*")}
    cache = blocks(config)
    monkeypatch.setattr(rendering, "Network", None)
    monkeypatch.setattr(looking, "Network", None)
    monkeypatch.setattr(measuring, "Network", None)
    assert build(config) == 0
    assert {path: path.stat().st_mtime_ns for path in config.site.rglob("*")} == before
    assert blocks(config) == cache


def test_more_units_add_blocks_and_keep_the_old_ones(tiny: Tiny) -> None:
    build(tiny(layers=("relu1",), units=2))
    before = blocks(tiny())
    build(tiny(layers=("relu1",), units=4))
    after = blocks(tiny())
    assert before.items() < after.items()


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_rank_then_render_then_site_is_the_same_as_build(
    tiny: Tiny, tmp_path: Path, precision: str
) -> None:
    whole = tiny(precision=precision)
    build(whole)
    parts = tiny(precision=precision, cache=tmp_path / "cache2", site=tmp_path / "site2")
    progress = Progress(quiet=True)
    assert pipeline.rank(parts, progress) == 0
    assert pipeline.render(parts, progress) == 0
    assert pipeline.site(parts, progress) == 0
    assert blocks(whole) == blocks(parts)
    names = [str(path.relative_to(whole.site)) for path in sorted(whole.site.rglob("*.jpg"))]
    assert names == [str(p.relative_to(parts.site)) for p in sorted(parts.site.rglob("*.jpg"))]


def test_render_without_a_ranking_says_what_to_run(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"relu1 is not ranked yet; run `build_atlas\.py rank`"):
        pipeline.render(tiny(), Progress(quiet=True))


def test_no_clock_has_a_say_in_a_result(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny()
    build(whole)
    odd = tiny(cache=tmp_path / "cache2", site=tmp_path / "site2")
    clock = np.random.default_rng(0)
    monkeypatch.setattr("time.perf_counter", lambda: float(clock.uniform(0, 100)))
    build(odd)
    assert blocks(odd) == blocks(whole)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_interrupted_build_ends_in_the_same_bytes(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    whole = tiny(precision=precision)
    build(whole)
    cut = tiny(precision=precision, cache=tmp_path / "cache2", site=tmp_path / "site2")
    real = renderer.render_best

    def once(*args: object, **keywords: object) -> object:
        monkeypatch.setattr(renderer, "render_best", stop)
        return real(*args, **keywords)  # type: ignore[arg-type]

    def stop(*_args: object, **_keywords: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(renderer, "render_best", once)
    with pytest.raises(KeyboardInterrupt):
        build(cut)
    monkeypatch.setattr(renderer, "render_best", real)
    assert build(cut) == 0
    assert blocks(cut) == blocks(whole)


def test_one_failing_unit_leaves_the_others_and_is_listed(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = renderer.render_best

    def fails_on_channel_1(network: Any, job: Job[Recipe]) -> object:
        if 1 in job.channels:
            raise ValueError("channel 1 is cursed")
        return real(network, job)

    monkeypatch.setattr(renderer, "render_best", fails_on_channel_1)
    config = tiny(layers=("relu1",), units=4)
    assert build(config) == 1
    status = {unit["channel"]: unit["status"] for unit in units(config)}
    assert status[1] == "failed"
    assert set(status.values()) == {"ok", "failed"} or "weak" in status.values()
    monkeypatch.setattr(renderer, "render_best", real)
    assert build(config) == 0
    assert "failed" not in {unit["status"] for unit in units(config)}


def test_unit_that_fails_in_two_recipes_says_both_reasons(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_network: Any, job: Job[Recipe]) -> object:
        raise ValueError(f"cursed by {job.recipe.name}")

    monkeypatch.setattr(renderer, "render_best", fails)
    config = tiny(layers=("relu1",), units=1, recipe=("octaves", "pyramid"))
    assert build(config) == 1
    (unit,) = units(config)
    page = next(config.site.glob(f"*/relu1/{unit['channel']}.html")).read_text()
    assert "cursed by octaves" in page
    assert "cursed by pyramid" in page


def test_strict_stops_at_the_first_failing_unit(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: object, **_keywords: object) -> object:
        raise ValueError("cursed")

    monkeypatch.setattr(renderer, "render_best", fails)
    with pytest.raises(ValueError, match="cursed"):
        build(tiny(strict=True))


def test_a_damaged_image_is_skipped_named_and_counted(
    tiny: Tiny, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "broken.png").write_bytes((photographs / "0.png").read_bytes()[:200])
    config = tiny()
    assert build(config) == 0
    assert "skipped broken.png" in capsys.readouterr().err
    (plan,) = config.cache.glob("*/atlas.json")
    with Store.read(plan.parent / json.loads(plan.read_text())["key"]) as store:
        samples = store.read_samples()
    assert len(samples.samples) == 10
    assert [one.name for one in samples.skipped] == ["broken.png"]
    assert "broken.png" in (config.site / "about.html").read_text()


def test_strict_stops_at_a_damaged_image(tiny: Tiny, photographs: Path) -> None:
    (photographs / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"broken\.png"):
        build(tiny(strict=True))


def test_page_shows_the_rounding_of_the_cached_picture(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=1)
    build(config)
    (plan_path,) = config.cache.glob("*/atlas.json")
    plan = json.loads(plan_path.read_text())
    (channel,) = plan["layers"]["relu1"]
    with Store.read(plan_path.parent / plan["key"]) as store:
        one = store.rendering(Unit(layer="relu1", channel=channel), plan["fingerprints"]["octaves"])
    picture = to_pixels(one.image).astype(float)
    page = cv2.imread(str(only_model(config) / "relu1" / "img" / f"{channel}.jpg"))
    assert page is not None
    error = np.mean((page[..., ::-1].astype(float) - picture) ** 2)
    assert 10 * np.log10(255**2 / error) > 28


def test_check_finds_a_flipped_byte(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny()
    build(config)
    assert pipeline.check(config, Progress(quiet=True)) == 0
    block = next(config.cache.rglob("ranking/*.h5"))
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(data)
    with pytest.raises(CheckError):
        pipeline.check(config, Progress(quiet=True))
    assert block.name in capsys.readouterr().out


def test_site_without_a_cache_says_what_to_run(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="holds no atlas"):
        pipeline.site(tiny(), Progress(quiet=True))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"images": "nowhere"}, InputError, "nowhere"),
        ({"model": "gogolenet"}, InputError, "googlenet"),
        ({"layers": ("relu9",)}, UsageError, "relu1"),
        ({"recipe": ("octave",)}, UsageError, "octaves"),
        ({"device": "cuda:99"}, UsageError, "cpu"),
        ({"precision": "fp16", "device": "cpu"}, UsageError, "fp16"),
    ],
)
def test_bad_input_is_named_before_any_work(
    tiny: Tiny, changes: dict[str, object], error: type[Exception], text: str
) -> None:
    config = tiny(**changes)
    with pytest.raises(error, match=text):
        build(config)
    assert not list(config.cache.rglob("*.h5"))
    assert not (config.site / "index.html").exists()


def test_statistics_of_pictures_of_the_input_size_are_those_of_all_their_pixels(
    tiny: Tiny, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
    config = tiny(images=str(folder), input_size=16, layers=("conv1",), recipe=("pyramid",))
    build(config)
    seen = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        wanted = tiny_network().get_submodule("conv1")((seen - mean) / std).mean((0, 2, 3))
    got = json.loads((only_model(config) / "conv1" / "layer.json").read_text())["mean"]
    assert got == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "share", "prepared", "says"),
    [(0, 1.0, True, "square of all of the shorter side"), (0.5, 0.5, False, "square of 0.5 of")],
)
def test_pages_say_which_part_of_the_pictures_was_seen(
    tiny: Tiny, given: float, share: float, prepared: bool, says: str
) -> None:
    config = tiny(layers=("relu1",), recipe=("pyramid",), units=1, crop=given)
    build(config)
    model = only_model(config)
    crop = json.loads((model / "model.json").read_text())["crop"]
    assert crop == {"share": share, "squash": False, "prepared": prepared}
    assert says in (model / "index.html").read_text()


def test_key_names_the_crop_and_grey_where_they_are_not_as_they_always_were(tiny: Tiny) -> None:
    quiet = Progress(quiet=True)
    usual = prepare(tiny(crop=0.875), quiet).key()
    assert {*usual} == {"ranking", "model", "images", "forward"}
    assert prepare(tiny(crop=0.5), quiet).key()["crop"]["share"] == 0.5
    assert prepare(tiny(), quiet).key()["images"] == usual["images"], "atlases stay comparable"
    grey = prepare(tiny(model="tests.test_pipeline:grey_network", crop=0.875), quiet).key()
    assert grey["grey"] == "luminance"


def test_key_of_the_embedded_photographs_knows_no_crop() -> None:
    pytest.importorskip("skimage")
    for crop in (0, 0.5):
        key = prepare(Config(crop=crop), Progress(quiet=True)).key()
        assert {*key} == {"ranking", "model", "images"}


def grey_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


def test_labels_reach_the_pages_and_unknown_ones_are_reported(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny(layers=("relu1",), units=4)
    name = config.model
    (tmp_path / "labels.toml").write_text(
        f'"{name}/relu1:3" = "left edges"\n"{name}/relu1:99" = "nothing"\n'
    )
    build(config)
    assert "left edges" in (only_model(config) / "relu1" / "3.html").read_text()
    assert "relu1:99" in capsys.readouterr().err


def test_lists_reach_the_site_and_broken_ones_stop_a_build_before_its_work(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lists.toml"
    path.write_text("[[list]]\ntitle = 'Tour'\n")
    config = tiny(layers=("relu1",), units=4)
    with pytest.raises(InputError, match="list 1, 'Tour' names no unit"):
        build(config)
    assert not config.cache.exists()
    path.write_text(path.read_text() + "units = ['relu1:3', 'relu1:99']\n")
    build(config)
    assert "does not show this unit" in (config.site / "lists/tour/2.html").read_text()
    assert "relu1/img/3" in (config.site / "lists/tour/1.html").read_text()
    assert "list “Tour”: there is no unit relu1:99 on this site" in capsys.readouterr().err
    (page,) = config.site.glob("*/relu1/3.html")
    before = page.read_bytes()
    path.rename(tmp_path / "mine.toml")  # what the site was made from does not depend on its name
    assert pipeline.site(tiny(lists="mine.toml"), Progress(quiet=True)) == 0
    assert page.read_bytes() == before
    assert (config.site / "lists/tour/1.html").exists()


def test_labels_beside_the_program_count_and_those_here_win(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(layers=("relu1",), units=4)
    program, here = tmp_path / "program", tmp_path / "here"
    for folder, texts in ((program, {3: "edges", 0: "colour"}), (here, {3: "left edges"})):
        folder.mkdir()
        lines = [f'"{config.model}/relu1:{unit}" = "{text}"\n' for unit, text in texts.items()]
        (folder / "labels.toml").write_text("".join(lines))
    for module in (pages, writing):
        monkeypatch.setattr(module, "LABEL_FOLDERS", (program, Path()))
    monkeypatch.chdir(here)
    build(config)
    units = json.loads((only_model(config) / "relu1" / "layer.json").read_text())["units"]
    labels = {unit["channel"]: unit["label"] for unit in units if unit["label"]}
    assert labels == {3: "left edges", 0: "colour"}
    (program / "labels.toml").unlink()
    capsys.readouterr()
    build(config)
    said = capsys.readouterr().err
    assert f"the label of {config.model}/relu1:0 is gone: it is in no labels.toml" in said
    assert "relu1:3" not in said


def test_layers_prints_a_row_a_layer(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert pipeline.layers(tiny(layers=("all",)), Progress(quiet=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["layer", "type", "channels"]
    assert [line.split()[0] for line in lines[1:]] == ["conv1", "relu1", "pool", "conv2", "relu2"]


def test_changed_settings_are_named(
    tiny: Tiny, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tiny(layers=("relu1",), recipe=("octaves",))
    build(first)
    capsys.readouterr()
    loud = {"layers": ("relu1",), "quiet": False}
    build(tiny(**loud, recipe=("pyramid",), units=1))
    assert "recipe changed from octaves to pyramid" in capsys.readouterr().err
    (photographs / "9.png").unlink()
    build(tiny(**loud, recipe=("pyramid",), units=1, seed=3))
    said = capsys.readouterr().err
    assert "seed changed from 0 to 3" in said
    assert "images changed: ranked and rendered anew" in said


# --- classes, images, plan, export ---------------------------------------------------------------


def plan_of(config: Config) -> dict[str, object]:
    (path,) = config.cache.glob("*/atlas.json")
    plan: dict[str, object] = json.loads(path.read_text())
    return plan


def test_classes_are_rendered_and_have_pages(tiny: Tiny) -> None:
    config = tiny(layers=("relu2",), classes=2)
    build(config)
    folder = only_model(config) / "classes"
    assert sorted(path.name for path in folder.glob("*.html")) == ["0.html", "1.html", "index.html"]
    model = json.loads((only_model(config) / "model.json").read_text())
    assert {row["index"] for row in model["classes"]} == {0, 1}


def test_the_layer_that_the_classifier_reads_shows_the_units_behind_the_classes(
    tiny: Tiny,
) -> None:
    build(tiny(layers=("relu2",), units=1, classes=0))
    assert len(units(tiny())) == 1
    build(tiny(layers=("relu2",), units=1, classes=1))
    assert len(units(tiny())) == 3  # the three channels that the class is a sum of


def test_images_have_pages_and_fewer_than_asked_is_said(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(layers=("relu1",), lenses=24, quiet=False)
    build(config)
    assert "10 sample images, so 10 image pages" in capsys.readouterr().err
    assert len(list((only_model(config) / "images").glob("[0-9]*.html"))) == 10


def test_lenses_are_cached_and_more_of_them_add_to_them(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tiny(layers=("relu1",), lenses=3))
    seen: list[int] = []
    real = looking.look

    def watched(network: object, pictures: dict[int, object], *rest: object) -> object:
        seen.extend(pictures)
        return real(network, pictures, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(looking, "look", watched)
    build(tiny(layers=("relu1",), lenses=3))
    assert seen == []
    build(tiny(layers=("relu1",), lenses=5))
    assert len(seen) == 2


def test_unknown_class_is_answered_before_any_work(tiny: Tiny) -> None:
    config = tiny(classes=("7",))
    with pytest.raises(UsageError, match=r"no class '7'.*0 to 1"):
        build(config)
    with pytest.raises(UsageError, match="--target: there is no class 'zebra'"):
        build(tiny(target="zebra"))
    assert not list(config.cache.rglob("*.h5"))


def test_a_network_without_classifier_has_no_class_pages_and_says_so(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(
        model="tests.test_pipeline:headless", layers=("0",), classes=3, lenses=2, quiet=False
    )
    assert build(config) == 0
    assert "puts out no class scores" in capsys.readouterr().err
    assert not (only_model(config) / "classes").exists()
    assert len(list((only_model(config) / "images").glob("[0-9]*.html"))) == 2


def headless() -> nn.Module:
    """A network that puts out maps only."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def test_plan_counts_what_is_missing_and_changes_nothing(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(layers=("relu1",), recipe=("octaves",), classes=1, lenses=2)
    assert pipeline.plan(config, Progress(quiet=True)) == 0
    assert not config.cache.exists()
    assert not config.site.exists()
    assert row_of("relu1", capsys) == ["2", "2", "0"]
    build(config)
    before = blocks(config)
    pipeline.plan(config, Progress(quiet=True))
    assert row_of("relu1", capsys) == ["2", "0", "2"]
    pipeline.plan(tiny(layers=("relu1",), recipe=("octaves",), units=3), Progress(quiet=True))
    assert row_of("relu1", capsys) == ["3", "1", "2"]
    assert blocks(config) == before


def row_of(layer: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Units, missing and cached renderings of a layer as the plan prints them."""
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith(f"{layer} "))
    return row[1:4]


def test_export_writes_what_the_cache_holds(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(layers=("relu1",), out=str(tmp_path / "atlas.h5"))
    with pytest.raises(InputError, match="holds no atlas of"):
        pipeline.export(config, Progress(quiet=True))
    build(config)
    assert pipeline.export(config, Progress(quiet=True)) == 0
    assert (tmp_path / "atlas.h5").stat().st_size > 1000
    with pytest.raises(UsageError, match="--out"):
        pipeline.export(tiny(), Progress(quiet=True))


def test_two_atlases_of_one_model_stand_side_by_side(tiny: Tiny) -> None:
    build(tiny(layers=("relu1",), name="epoch 1"))
    build(tiny(layers=("relu1",), name="epoch 2"))
    models = json.loads((tiny().site / "atlas.json").read_text())["models"]
    assert [model["title"] for model in models] == ["epoch 1", "epoch 2"]


def test_a_plan_of_another_version_is_replaced_by_a_build_and_refused_by_the_others(
    tiny: Tiny,
) -> None:
    config = tiny(layers=("relu1",))
    build(config)
    (path,) = config.cache.glob("*/atlas.json")
    now = path.read_bytes()
    path.write_text('{"key": "0123456789abcdef"}')
    with pytest.raises(InputError, match="another version of this program; build that atlas"):
        pipeline.site(config, Progress(quiet=True))
    assert build(config) == 0
    assert json.loads(path.read_bytes()).keys() == json.loads(now).keys()
