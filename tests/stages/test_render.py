"""The stage ranking → renderings: shards, what goes to a worker, and what fails there."""

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas import pipeline
from atlas.cache import opened
from atlas.config import Config
from atlas.network.network import Network
from atlas.progress import Progress
from atlas.rendering.job import Job
from atlas.rendering.kinds import FourierRecipe, Octave, Recipe
from atlas.rendering.recipes import RECIPES
from atlas.stages import attribution, render
from atlas.stages import look as looking
from atlas.stages.choose import choose_units
from atlas.stages.rank import rank_layers
from atlas.stages.recipes import choose_recipes
from atlas.stages.run import choose_layers, open_work
from atlas.workers import forks, local, renderer, schedule
from atlas.workers.pool import LostError
from atlas.workers.renderer import Renderer
from atlas.workers.schedule import UnitBlock
from tests.helpers import layer_info, nature_of, network_of, tiny_network
from tests.store_records import merge_one

Tiny = Callable[..., Config]


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def files(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Path below the folder → bytes, of all files but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two units or two images a block, so that a tiny network has several; few steps; no clock."""
    base = RECIPES["octaves"]
    assert isinstance(base, FourierRecipe)
    steps = (Octave(share=0.5, steps=3), Octave(share=1.0, steps=3))
    monkeypatch.setitem(RECIPES, "octaves", replace(base, octaves=steps, seeds=2))
    monkeypatch.setattr(schedule, "BLOCK_UNITS", 2)
    monkeypatch.setattr(looking, "BLOCK_IMAGES", 2)
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)  # seconds are shown on the pages
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


# --- processes of this machine -------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
def test_processes_side_by_side_leave_every_byte_of_one(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"units": 3, "classes": 2, "lenses": 5, "facets": 1, "precision": "fp32"}
    atlases = []
    for count in (1, 2):
        monkeypatch.setattr(local, "how_many", lambda _, count=count: count)
        config = tiny(**settings, cache=tmp_path / f"{count}", site=tmp_path / f"{count}-site")
        assert build(config) == 0
        atlases.append((files(config.cache, "*.h5"), files(config.site)))
    one, two = atlases
    assert one[0].keys() == two[0].keys()  # the digest of its bytes is in each name
    assert one[1] == two[1]


def test_nothing_is_forked_after_building_blocks_were_compiled(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "how_many", lambda _: 2)
    monkeypatch.setattr(Network, "_compiled", lambda network, _: network.way)
    asked: list[int] = []

    def forked(action: Any, processes: int, warn: Any) -> Any:
        asked.append(processes)
        return forks.forked(action, processes, warn)

    for module in (attribution, looking):
        monkeypatch.setattr(module, "forked", forked)
    assert build(tiny(units=2, lenses=2, compile="on")) == 0
    assert len(asked) == 3, "masks, circuits, image pages"
    assert {*asked} == {1}


# --- shards --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_three_shards_merged_are_the_single_run_byte_for_byte(tiny: Tiny, tmp_path: Path) -> None:
    settings = {"units": 3, "classes": 2, "lenses": 5, "facets": 1, "precision": "fp32", "batch": 8}
    whole = tiny(**settings, cache=tmp_path / "whole", site=tmp_path / "whole-site")
    build(whole)
    parts = []
    for number in (1, 2, 3):
        folders = {"cache": tmp_path / f"part{number}", "site": tmp_path / f"site{number}"}
        parts.append(tiny(**settings, **folders, shard=(number, 3)))
        assert build(parts[-1]) == 0
    for kind in ("renderings/*/*.h5", "lenses/*.h5"):
        each = [files(part.cache, f"*/*/{kind}") for part in parts]
        assert all(each)
        assert sum(map(len, each)) == len(files(whole.cache, f"*/*/{kind}"))  # none done twice
    merged = tiny(**settings, cache=tmp_path / "merged", site=tmp_path / "merged-site")
    for part in parts:
        merge_one(part.cache, merged.cache)
    assert files(merged.cache, "*.h5") == files(whole.cache, "*.h5")
    assert pipeline.site(merged, Progress(quiet=True)) == 0
    assert files(merged.site) == files(whole.site)
    cache = files(merged.cache)
    assert build(merged) == 0
    assert files(merged.cache) == cache  # nothing was left to do


@pytest.mark.usefixtures("small_blocks")
def test_a_shard_writes_the_site_with_what_is_there(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=4, shard=(2, 2))
    assert build(config) == 0
    assert "2 of 4 units" in " ".join((config.site / "index.html").read_text().split())


@pytest.mark.usefixtures("small_blocks")
def test_all_shards_in_one_cache_leave_nothing_to_do(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        build(tiny(layers=("relu1",), units=4, shard=(number, 2)))
    monkeypatch.setattr(renderer, "render_best", None)
    assert build(tiny(layers=("relu1",), units=4)) == 0


@pytest.mark.usefixtures("small_blocks")
def test_a_shard_without_blocks_is_done(tiny: Tiny) -> None:
    config = tiny(layers=("relu1",), units=2, shard=(2, 2))
    assert build(config) == 0
    assert not list(config.cache.rglob("renderings/*/*.h5"))


# --- what grows with the blocks -------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
def test_what_all_blocks_share_is_found_out_once(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(units: int) -> Counter[str]:
        """How often a run of so many units asks what does not depend on the block."""
        counts: Counter[str] = Counter()

        def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
            def ask(*arguments: object) -> object:
                counts[name] += 1
                return real(*arguments)

            return ask

        places = [
            *((render, name) for name in ("rendering_fingerprint", "usable_images")),
            *((render, "picture_numbers"), (opened.json, "loads"), (importlib.metadata, "version")),
        ]
        folder = tmp_path / str(units)
        config = tiny(layers=("relu1",), units=units, cache=folder / "c", site=folder / "s")
        pipeline.rank(config, Progress(quiet=True))
        with monkeypatch.context() as patch:
            for module, name in places:
                patch.setattr(module, name, counted(name, getattr(module, name)))
            assert pipeline.render(config, Progress(quiet=True)) == 0
        assert len(files(config.cache, "*/*/renderings/relu1/*.h5")) == units // 2
        return counts

    assert asked(2) == asked(4)


@pytest.mark.usefixtures("small_blocks")
def test_what_is_missing_is_known_without_opening_a_block(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(layers=("relu1", "relu2"), units=4)
    build(config)
    with open_work(config, Progress(quiet=True)) as work:
        layers = choose_layers(work)
        chosen = choose_units(work, rank_layers(work, layers))
        recipes = choose_recipes(work)
        monkeypatch.setattr(opened.OpenBlocks, "file", None)
        assert render.missing_blocks(work, recipes, layers, chosen) == []
        more = {name: (*channels, 5) for name, channels in chosen.items()}
        missing = render.missing_blocks(work, recipes, layers, more)
    assert {(block.layer.name, block.channels) for block in missing} == {
        ("relu1", (5,)),
        ("relu2", (5,)),
    }


# --- blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "asked", "used"),
    [
        ("octaves", "bf16", "bf16"),
        ("octaves", "auto", "fp32"),
        ("pyramid", "bf16", "fp32"),
        ("class", "bf16", "fp32"),
    ],
)
def test_recipes_that_repeat_others_are_rendered_in_fp32(
    tiny: Tiny, name: str, asked: str, used: str
) -> None:
    network = network_of(tiny_network(), ["relu1"])
    nature = nature_of({}, hf=0.05, magnitude=np.zeros((3, 0, 0), np.float32))
    recipe, layer = RECIPES[name], layer_info("relu1", 4, 16)
    block = UnitBlock(recipe=recipe, layer=layer, first=0, last=1, channels=(3, 1))
    job = Renderer(tiny(precision=asked, seed=5), network, nature).make_job(block)
    assert (job.recipe, job.layer, job.channels) == (recipe, "relu1", (3, 1))
    assert (job.size, job.seed, job.batch, job.precision) == (32, 5, 12, used)
    assert job.weights == network.weights_sha256


@pytest.mark.usefixtures("small_blocks")
def test_failed_base_picture_fails_its_facet_and_no_other(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = renderer.render_best

    def fails_once(network: Network, job: Job[Recipe]) -> object:
        if 1 in job.channels and job.recipe.name == "octaves":
            raise ValueError("channel 1 is cursed")
        return real(network, job)

    monkeypatch.setattr(renderer, "render_best", fails_once)
    config = tiny(layers=("relu1",), units=4, facets=1)
    assert build(config) == 1
    monkeypatch.setattr(renderer, "render_best", real)
    before = set(files(config.cache, "*.h5"))
    assert build(config) == 0
    made = [
        Path(name).name.partition(".")[0] for name in files(config.cache, "*.h5").keys() - before
    ]
    assert len(made) == 2  # the base picture of channel 1 and its facet,
    assert len(set(made)) == 1  # at one rank


@pytest.mark.usefixtures("small_blocks")
def test_a_lost_block_is_a_failure_of_each_of_its_units(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Renderer.render

    def lost(self: Renderer, blocks: Sequence[UnitBlock]) -> Any:
        result = LostError("its process was lost 4 times")
        return result if blocks[0].layer.name == "relu1" else real(self, blocks)

    monkeypatch.setattr(Renderer, "render", lost)
    config = tiny(layers=("relu1", "relu2"))
    assert build(config) == 1
    assert capsys.readouterr().err.count("failed: LostError: its process was lost 4 times") == 2
    assert files(config.cache, "renderings/relu2/*.h5")
    with pytest.raises(LostError):
        build(tiny(layers=("relu1", "relu2"), strict=True))


@pytest.mark.usefixtures("small_blocks")
def test_what_compile_could_not_do_is_said_once(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "steps are not recorded as CUDA graphs: why"
    real = Renderer.render

    def noted(self: Renderer, blocks: Sequence[UnitBlock]) -> Any:
        self.network.recorder.failure = note
        return real(self, blocks)

    monkeypatch.setattr(Renderer, "render", noted)
    assert build(tiny(layers=("relu1", "relu2"), units=4, batch=1)) == 0
    assert capsys.readouterr().err.count(note) == 1
