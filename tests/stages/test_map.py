"""Maps in a build: what is kept, made again, refused, exported; pictures fit their cell."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.errors import InputError, UsageError
from atlas.progress import Progress
from atlas.ranking import maps as ranking
from atlas.rendering.kinds import Octave
from atlas.rendering.recipes import MAP
from atlas.stages import cartography
from atlas.stages import map as stage
from tests.stages.conftest import Judged
from tests.stages.test_observe import blocks, build


@pytest.fixture
def mapped(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Settings with a map of relu1 of some 800 positions and of 4 × 5 cells, in 60 steps each."""
    recipe = replace(MAP, octaves=(Octave(share=1.0, steps=60),))
    for module in (stage, cartography):
        monkeypatch.setattr(module, "MAP", recipe)
    monkeypatch.setattr(stage, "PART_CELLS", 6)
    monkeypatch.setattr(cartography, "POSITIONS", 800)
    monkeypatch.setattr(ranking, "PER_CELL", 40)
    settings = {"map": ("relu1",), "layers": ("relu1", "relu2"), "masks": "off", "circuits": "off"}
    return lambda **changes: judged(**{**settings, "recipe": ("octaves",), "units": 2, **changes})


def map_file(config: Config) -> dict[str, object]:
    path = next(config.site.glob("*/relu1/map.json"))
    return json.loads(path.read_text())


def test_a_map_has_a_picture_and_a_page_of_every_cell(mapped: Judged) -> None:
    config = mapped(classes=1)
    build(config)
    found, folder = map_file(config), next(config.site.glob("*/relu1"))
    assert (found["rows"], found["columns"]) == (4, 5)
    assert sum(one["count"] for one in found["cells"]) <= found["positions"]
    assert len(found["cells"]) > 10
    for one in found["cells"]:
        assert (folder / one["image"]).exists()
        assert (folder / one["page"]).exists()
        assert one["count"] >= 5
        assert len(one["images"]) == len(one["boxes"]) == len({*one["images"]}) > 0
        assert one["classes"] == sorted(one["classes"], key=lambda c: -c["contribution"])
    assert any(one["classes"] for one in found["cells"])  # classes are means of relu2's channels
    assert "map.html" in (folder / "index.html").read_text()
    assert not list(folder.parent.glob("relu2/map*"))


def test_pictures_excite_their_own_cell(mapped: Judged) -> None:
    """Of four channels; chance would be one of fifteen or so."""
    build(mapped())
    found = map_file(mapped())
    places = [one["own_place"] for one in found["cells"]]
    assert found["own_best"] == pytest.approx(np.mean([place == 1 for place in places]))
    assert np.median(places) <= 3


def test_only_images_that_do_not_judge_are_on_it(mapped: Judged) -> None:
    config = mapped()
    build(config)
    samples = json.loads(next(config.cache.glob("*/*/samples.*.json")).read_text())["set"]
    judging = {one["index"] for one in samples["samples"] if int(one["sha256"][:8], 16) % 3 == 0}
    assert judging
    assert not judging & {i for one in map_file(config)["cells"] for i in one["images"]}


def test_bytes_are_the_same_again_and_lost_parts_alone_are_made_again(
    mapped: Judged, tmp_path: Path
) -> None:
    build(mapped())
    first = blocks(mapped(), "maps")
    assert len(first) == 3 or len(first) == 4
    lost = mapped().cache / sorted(first)[1]
    lost.unlink()
    others = list(mapped().cache.glob("*/*/maps/*/*.h5"))
    times = [path.stat().st_mtime_ns for path in others]
    build(mapped())
    assert blocks(mapped(), "maps") == first
    assert [path.stat().st_mtime_ns for path in others] == times
    again = mapped(cache=tmp_path / "again")
    build(again)
    assert blocks(again, "maps") == first


def test_shards_together_are_one_run(mapped: Judged, tmp_path: Path) -> None:
    build(mapped())
    parts = [
        mapped(cache=tmp_path / f"c{one}", site=tmp_path / f"s{one}", shard=(one, 2))
        for one in (1, 2)
    ]
    for part in parts:
        build(part)
    whole = mapped(cache=tmp_path / "whole", site=tmp_path / "whole site")
    pipeline.merge(whole, Progress(True), [str(part.cache) for part in parts])
    assert blocks(whole, "maps") == blocks(mapped(), "maps")


def test_the_export_holds_the_grid(mapped: Judged, tmp_path: Path) -> None:
    config = mapped(out=str(tmp_path / "atlas.h5"))
    build(config)
    pipeline.export(config, Progress(True))
    found = map_file(config)
    with h5py.File(config.out) as file:
        group = file["layers/relu1/map"]
        count = len(found["cells"])
        assert group["cell"][...].tolist() == [one["cell"] for one in found["cells"]]
        assert group["direction"].shape == (count, 4)
        assert group["agreement"].shape == (count, 20)
        assert group["image"].shape == (count, 32, 32, 3)
        assert (group.attrs["rows"], group.attrs["columns"]) == (4, 5)
        assert "map" not in file["layers/relu2"]


def test_plan_counts_cells_before_and_none_after(
    mapped: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.plan(mapped(), Progress(True))
    assert "cells of maps" in capsys.readouterr().out
    build(mapped())
    capsys.readouterr()
    pipeline.plan(mapped(), Progress(True))
    assert "maps" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": ("relu3",)}, r"--map: no layer is called 'relu3'; closest: relu"),
        ({"map": ("conv1",)}, r"--map: conv1 is not in this atlas; add it to --layers"),
        ({"map": ("mean",), "layers": ("mean",)}, "1 × 1|not one map|no layer"),
    ],
)
def test_layers_without_a_map_are_refused(
    mapped: Judged, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        pipeline.build(mapped(**changes), Progress(True))


def test_too_few_images_are_refused(mapped: Judged, photographs: Path) -> None:
    with pytest.raises(InputError, match=r"--map needs 30 distinct .* give more --images"):
        pipeline.build(mapped(images=str(photographs)), Progress(True))


def test_without_classes_nothing_is_tinted_and_the_page_says_so(mapped: Judged) -> None:
    config = mapped(outputs="none")
    build(config)
    found = map_file(config)
    assert all(one["classes"] == [] for one in found["cells"])
    assert found["reason"]
    page = next(config.site.glob("*/relu1/map.html")).read_text()
    assert "No class is known" in page
