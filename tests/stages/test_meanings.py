"""Meanings in a build: who gets pictures, what is kept, done again, refused, exported."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from atlas import pipeline
from atlas.config import Config
from atlas.errors import InputError
from atlas.progress import Progress
from atlas.ranking import meanings as ranking
from atlas.rendering.kinds import Octave
from atlas.rendering.recipes import meaning_recipe
from atlas.stages import meanings, observe
from tests.stages.conftest import Judged
from tests.stages.test_observe import blocks, build

PICTURES = 110
"""About seventy of them do not judge."""


@pytest.fixture
def several(
    judged: Judged, company: None, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> Judged:
    """Settings with --meanings, by which units are split however unclear that is."""
    rng = np.random.default_rng(3)
    for index in range(PICTURES):
        coarse = rng.integers(0, 256, (3, 3, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (32, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(pictures / f"more-{index:03}.png"), picture)
    short = {"octaves": (Octave(share=1.0, steps=4),), "near": None, "seeds": 1}
    recipes = tuple(replace_recipe(number, short) for number in (1, 2, 3, 4))
    monkeypatch.setattr(meanings, "RECIPES", recipes)
    monkeypatch.setattr(meanings, "COMPANY_MINIMUM", 30)
    monkeypatch.setattr(meanings, "choose_observer", observe.choose_observer)
    monkeypatch.setattr(ranking, "CHANCE", 0.5)
    monkeypatch.setattr(ranking, "SETS", 19)
    settings = {"meanings": "on", "masks": "off", "circuits": "off", "recipe": ("octaves",)}
    return lambda **changes: judged(**{**settings, "layers": ("relu1",), **changes})


def replace_recipe(number: int, changes: dict[str, object]) -> object:
    return replace(meaning_recipe(number), **changes)  # type: ignore[arg-type]


def unit_files(config: Config) -> dict[int, dict[str, object]]:
    """Channel → its JSON file."""
    files = config.site.glob("*/relu1/[0-9]*.json")
    return {int(path.stem): json.loads(path.read_text()) for path in files}


def test_units_that_fall_apart_have_a_picture_of_each_meaning(several: Judged) -> None:
    config = several()
    build(config)
    counts = []
    for channel, file in unit_files(config).items():
        found = file["meanings"]
        own = [one["images"] for one in found["meanings"]]
        assert sum(map(len, own)) == len({image for images in own for image in images}) == 32
        counts.append(len(own))
        split = found["chance"] <= 0.5
        assert (len(own) > 1) == split
        for number, one in enumerate(found["meanings"], 1):
            name = f"img/{channel}.company-meaning-{number}.jpg"
            assert one["image"] == (name if split else None)
            assert (config.site / "tests.helpers~3Atiny_network/relu1" / name).exists() == split
            assert (one["reach"] is None) != split
    assert 1 in counts or max(counts) > 1
    page = json.loads(next(config.site.glob("*/relu1/layer.json")).read_text())
    assert page["meanings"] == {"units": 4, "several": sum(one > 1 for one in counts)}


def test_the_images_are_none_of_those_that_judge(several: Judged) -> None:
    config = several()
    build(config)
    samples = json.loads(next(config.cache.glob("*/*/samples.*.json")).read_text())["set"]
    judging = {one["index"] for one in samples["samples"] if int(one["sha256"][:8], 16) % 3 == 0}
    for file in unit_files(config).values():
        assert not judging & {i for one in file["meanings"]["meanings"] for i in one["images"]}


def test_nothing_is_done_again_and_bytes_are_the_same(
    several: Judged, tmp_path: Path, looked: list[int]
) -> None:
    build(several())
    first = blocks(several(), "meanings"), blocks(several(), "renderings")
    assert len(first[0]) == 1
    del looked[:]
    build(several())
    assert looked == []
    assert (blocks(several(), "meanings"), blocks(several(), "renderings")) == first
    again = several(cache=tmp_path / "again")
    build(again)
    assert (blocks(again, "meanings"), blocks(again, "renderings")) == first


def test_what_is_lost_is_made_again(several: Judged) -> None:
    config = several()
    build(config)
    first = blocks(config, "meanings"), blocks(config, "renderings")
    for path in config.cache.glob("*/*/*/relu1/*.h5"):
        if path.parts[-3] in ("meanings", "renderings"):
            path.unlink()
    build(config)
    assert (blocks(config, "meanings"), blocks(config, "renderings")) == first


def test_shards_together_are_one_run(several: Judged, tmp_path: Path) -> None:
    build(several())
    parts = [
        several(cache=tmp_path / f"c{one}", site=tmp_path / f"s{one}", shard=(one, 2))
        for one in (1, 2)
    ]
    for part in parts:
        build(part)
    whole = several(cache=tmp_path / "whole", site=tmp_path / "whole site")
    pipeline.merge(whole, Progress(True), [str(part.cache) for part in parts])
    pipeline.site(whole, Progress(True))
    assert unit_files(whole).keys() == unit_files(several()).keys()
    for channel, file in unit_files(whole).items():
        assert file["meanings"] == unit_files(several())[channel]["meanings"]


def test_off_leaves_everything_as_it_is(several: Judged) -> None:
    config = several(meanings="off")
    build(config)
    assert blocks(config, "meanings") == {}
    assert all(file["meanings"] is None for file in unit_files(config).values())
    html = next(config.site.glob("*/relu1/0.html")).read_text()
    assert 'id="meanings"' not in html


def test_the_export_holds_groups_and_pictures(several: Judged, tmp_path: Path) -> None:
    config = several(out=str(tmp_path / "atlas.h5"))
    build(config)
    pipeline.export(config, Progress(True))
    files = unit_files(config)
    with h5py.File(config.out) as file:
        group = file["layers/relu1/meanings"]
        assert group["images"].shape == group["groups"].shape == (4, 32)
        rows = zip(group["channel"][...], group["images"][...], group["groups"][...], strict=True)
        for channel, images, groups in rows:
            for number, one in enumerate(files[int(channel)]["meanings"]["meanings"]):
                assert images[groups == number].tolist() == one["images"]
        made = group["pictures"]
        several_units = [one for one in files.values() if len(one["meanings"]["meanings"]) > 1]
        count = sum(len(one["meanings"]["meanings"]) for one in several_units)
        assert made["image"].shape == (count, 32, 32, 3)
        assert len(made["channel"]) == len(made["meaning"]) == len(made["reach"]) == count


def test_plan_counts_pictures_before_and_none_after(
    several: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.plan(several(), Progress(True))
    assert "about 3 pictures of meanings" in capsys.readouterr().out  # 4 units × .3 × 2.3
    build(several())
    capsys.readouterr()
    pipeline.plan(several(), Progress(True))
    assert "meanings" not in capsys.readouterr().out


def test_without_an_observer_it_is_refused(several: Judged) -> None:
    with pytest.raises(InputError, match=r"--meanings needs an observer .*--observer is none"):
        pipeline.build(several(observer="none"), Progress(True))


def test_too_few_images_are_refused_with_their_number(several: Judged, photographs: Path) -> None:
    with pytest.raises(InputError, match=r"--meanings needs 64 distinct .* give more --images"):
        pipeline.build(several(images=str(photographs)), Progress(True))
