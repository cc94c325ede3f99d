"""One atlas written as several sites, by `build` and `site` with --site-part."""

import csv
import json
from pathlib import Path

import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.errors import UsageError
from atlas.progress import Progress
from atlas.stages import forecast_text, live, remembered
from atlas.stages.forecast import Forecast
from atlas.stages.live import Live
from tests.faults.exhaust import read_tree
from tests.stages.test_live import waiting_for_pages
from tests.test_pipeline import Tiny, build, only_model

LAYERS = ("conv1", "relu1", "relu2")


def part(tiny: Tiny, number: int, count: int, **changes: object) -> Config:
    """Settings for a part of an atlas of three layers."""
    folder = tiny().site.parent / "sites"
    settings = {"layers": LAYERS, "recipe": ("pyramid",), "site_part": (number, count), **changes}
    return tiny(**{"site": folder / f"atlas-{number}", **settings})


def write(config: Config) -> None:
    assert pipeline.site(config, Progress(quiet=True)) == 0


def rows(config: Config) -> list[dict[str, str]]:
    with (only_model(config) / "units.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_build_of_one_part_and_sites_of_the_others_show_the_atlas(tiny: Tiny) -> None:
    first, second = part(tiny, 1, 2), part(tiny, 2, 2)
    assert build(first) == 0
    write(second)
    whole = Config(cache=first.cache, site=first.site.parents[1] / "whole", quiet=True)
    write(whole)
    assert rows(first) + rows(second) == rows(whole)
    assert {row["layer"] for row in rows(first)} == {"conv1", "relu1"}
    assert {row["layer"] for row in rows(second)} == {"relu2"}
    for config in (first, second):
        assert pipeline.check(config, Progress(quiet=True)) == 0


def test_a_dictionary_and_the_layer_that_it_reads_may_be_in_different_parts(
    tiny: Tiny, pictures: Path
) -> None:
    asked = {"layers": ("relu1",), "dictionary": ("relu1=pca:2",), "images": str(pictures)}
    first, second = (part(tiny, number, 2, **asked) for number in (1, 2))
    assert build(first) == 0
    write(second)
    assert {row["layer"] for row in rows(first)} == {"relu1"}
    assert {row["layer"] for row in rows(second)} == {"relu1@pca2"}
    page = next(only_model(second).glob("relu1~40pca2/index.html")).read_text("utf-8")
    assert f'href="../../../atlas-1/{only_model(first).name}/relu1/index.html"' in page
    for config in (first, second):
        assert pipeline.check(config, Progress(quiet=True)) == 0


def test_both_commands_write_the_same_part(tiny: Tiny) -> None:
    config = part(tiny, 2, 3)
    assert build(config) == 0
    again = Config(
        cache=config.cache, site=config.site.parents[1] / "again" / "atlas-2", site_part=(2, 3)
    )
    write(again)
    assert read_tree(again.site) == read_tree(config.site)


def test_parts_of_one_atlas_say_that_they_were_made_by_the_same_command(tiny: Tiny) -> None:
    first, second = part(tiny, 1, 2), part(tiny, 2, 2)
    assert build(first) == build(second) == 0
    said = [
        json.loads((only_model(config) / "model.json").read_bytes())["provenance"]
        for config in (first, second)
    ]
    assert said[0]["command"] == said[1]["command"]
    assert "--site" not in said[0]["command"]


def test_each_part_is_remembered_by_itself(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [part(tiny, number, 2) for number in (1, 2)]
    for config in configs:
        assert build(config) == 0
    before = [read_tree(config.site) for config in configs]

    def refuse(*_: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr("atlas.stages.write.write_model_pages", refuse)
    for config in configs:
        write(config)
    assert [read_tree(config.site) for config in configs] == before


def test_another_name_of_the_others_is_no_memory_of_this_part(tiny: Tiny) -> None:
    config = part(tiny, 1, 2)
    assert build(config) == 0
    moved = config.site.parent / "net-1"
    config.site.rename(moved)
    write(Config(cache=config.cache, site=moved, site_part=(1, 2), quiet=True))
    page = (next(moved.glob("*/model.json")).parent / "index.html").read_text("utf-8")
    assert "../../net-2/" in page
    assert "atlas-2" not in page


def test_memories_of_parts_have_names_of_their_own() -> None:
    names = [remembered.memory_name(*one) for one in ((1, 1), (1, 2), (2, 2), (1, 12))]
    assert names == ["site.json", "site-1-of-2.json", "site-2-of-2.json", "site-1-of-12.json"]


@pytest.mark.parametrize("command", [pipeline.build, pipeline.plan, pipeline.site])
def test_a_site_without_the_number_is_refused_before_any_work(tiny: Tiny, command: object) -> None:
    config = part(tiny, 1, 2, site=tiny().site)
    with pytest.raises(UsageError, match="name ends in the number"):
        command(config, Progress(quiet=True))  # type: ignore[operator]
    assert not config.cache.exists()
    assert not config.site.exists()


@pytest.mark.parametrize("command", [pipeline.build, pipeline.plan])
def test_more_parts_than_layers_are_refused_before_any_work(tiny: Tiny, command: object) -> None:
    config = part(tiny, 1, 4, classes=2)
    with pytest.raises(UsageError, match="asks for 4 parts and the atlas has 3 layers"):
        command(config, Progress(quiet=True))  # type: ignore[operator]
    assert not list(config.cache.rglob("*.h5"))
    assert not (config.site / "index.html").exists()


def test_more_parts_than_layers_leave_the_site_as_it_is(tiny: Tiny) -> None:
    config = part(tiny, 1, 3)
    assert build(config) == 0
    before = read_tree(config.site)
    with pytest.raises(UsageError, match="asks for 4 parts"):
        write(Config(cache=config.cache, site=config.site, site_part=(1, 4), quiet=True))
    assert read_tree(config.site) == before


def test_pages_to_look_at_are_of_the_part_that_is_built(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE", 0.0)
    monkeypatch.setattr(live, "REST", 0)
    monkeypatch.setattr(live, "START", live.START.replace("os.nice(19); ", ""))
    config, folders = part(tiny, 2, 2, live="on"), []
    stop = Live.stop

    def look(self: Live) -> None:
        folders.append({path.parent.name for path in config.site.glob("*/*/layer.json")})
        stop(self)

    monkeypatch.setattr(Live, "stop", look)
    with waiting_for_pages(monkeypatch) as seen:
        assert build(config) == 0
    assert "of 6 units are ready" in seen[0]
    assert folders[0] == {"relu2"}
    assert pipeline.check(config, Progress(quiet=True)) == 0


def test_check_says_of_a_part_alone_what_it_cannot_check(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    config = part(tiny, 2, 2)
    assert build(config) == 0
    assert pipeline.check(config, Progress(quiet=False)) == 0
    said = capsys.readouterr()
    assert "links to atlas-1, which is not beside atlas-2: not checked" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("size", "parts", "words"),
    [
        (100e6, 1, ""),
        (950e6, 1, "; write it in 2 parts: --site-part 1/2"),
        (950e6, 2, "; each of 2 parts about 475 MB"),
        (3000e6, 3, "; each of 3 parts about 1,000 MB; write it in 4 parts: --site-part 1/4"),
    ],
)
def test_a_plan_says_in_how_many_parts_a_site_fits(size: float, parts: int, words: str) -> None:
    plan = Forecast(
        rows=(),
        images=0,
        ranking=0,
        lenses=0,
        lens_images=0,
        site=0,
        cache_bytes=0,
        site_bytes=size,
        parts=parts,
    )
    assert forecast_text.forecast_text(plan).endswith(f"that may be published{words})")


def test_one_part_of_one_is_an_ordinary_site(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(layers=LAYERS, recipe=("pyramid",), site_part=(1, 1))
    assert build(config) == 0
    assert "sites" not in json.loads((only_model(config) / "model.json").read_bytes())
