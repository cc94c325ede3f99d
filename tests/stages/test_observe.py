"""An observer looks at the pictures: what is kept, what is not done again, and who cannot look."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from atlas import pipeline
from atlas.cache.reference import read_reference
from atlas.config import Config
from atlas.errors import InputError
from atlas.models.observers import HOW_TO_GET, ChosenObserver
from atlas.progress import Progress
from atlas.stages import observe
from atlas.stages.run import open_work, require_layers
from tests.stages.conftest import IMAGES, Judged


def build(config: Config) -> None:
    assert pipeline.build(config, Progress(config.quiet)) == 0


def blocks(config: Config, kind: str) -> dict[str, bytes]:
    """Files of a kind of results in the cache."""
    return {
        str(path.relative_to(config.cache)): path.read_bytes()
        for path in sorted(config.cache.glob(f"*/*/{kind}/*/*.h5"))
    }


def layer_files(config: Config) -> dict[str, dict[str, Any]]:
    """Layer → its layer.json."""
    files = {path.parent.name: path for path in config.site.glob("*/*/layer.json")}
    return {name: json.loads(path.read_text()) for name, path in sorted(files.items())}


def places(config: Config) -> dict[tuple[str, int, str], tuple[int, float]]:
    """Layer, channel and recipe → IDENT and PREDICT on the pages."""
    return {
        (name, unit["channel"], made["recipe"]): (made["ident"], made["predict"])
        for name, file in layer_files(config).items()
        for unit in file["units"]
        for made in unit["renderings"]
    }


def said(capsys: pytest.CaptureFixture[str], part: str) -> str:
    """The one line of what a run has said that has a part."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if part in line]
    return line


# --- looking -------------------------------------------------------------------------------------


def test_every_picture_and_every_image_is_looked_at_once(judged: Judged, looked: list[int]) -> None:
    config = judged()
    build(config)
    assert sum(looked) == IMAGES + 4 + 3  # the channels of relu1 and of relu2
    kept = blocks(config, "features")
    assert {name.split("/")[3] for name in kept} == {"sample~20images", "relu1", "relu2"}
    looked.clear()
    build(config)
    assert not looked
    assert blocks(config, "features") == kept
    assert pipeline.check(config, Progress(True)) == 0


def test_further_units_are_looked_at_and_no_others(judged: Judged, looked: list[int]) -> None:
    build(judged(units=2))
    looked.clear()
    build(judged(units=4))
    assert sorted(looked) == [1, 2]


def test_what_was_damaged_is_looked_at_again(judged: Judged, looked: list[int]) -> None:
    config = judged()
    build(config)
    before, pages = blocks(config, "features"), layer_files(config)
    (name,) = (name for name in before if "relu1" in name)
    data = bytearray(before[name])
    data[len(data) // 2] ^= 1
    (config.cache / name).write_bytes(data)
    looked.clear()
    build(config)
    assert looked == [4]
    assert blocks(config, "features") == before
    assert layer_files(config) == pages


def test_another_observer_renders_nothing_again(judged: Judged) -> None:
    build(judged())
    before, seen = blocks(judged(), "renderings"), blocks(judged(), "features")
    config = judged(observer="other")
    build(config)
    assert blocks(config, "renderings") == before
    assert blocks(config, "features").items() > seen.items()
    assert {file["evidence"]["observer"] for file in layer_files(config).values()} == {"other_seer"}


def test_no_observer_leaves_its_numbers_out_and_the_pictures_as_they_are(judged: Judged) -> None:
    build(judged())
    before = blocks(judged(), "renderings")
    config = judged(observer="none")
    build(config)
    assert blocks(config, "renderings") == before
    for file in layer_files(config).values():
        assert file["evidence"] is None
    assert {ident for ident, _ in places(config).values()} == {None}


def test_a_class_is_judged_as_a_unit_is(judged: Judged) -> None:
    config = judged(classes=2)
    build(config)
    for place in (0, 1):
        (path,) = config.site.glob(f"*/classes/{place}.json")
        assert {made["ident"] for made in json.loads(path.read_text())["renderings"]} <= {1, 2}


def test_pictures_of_a_grey_network_are_judged(judged: Judged) -> None:
    config = judged(model="tests.stages.test_observe:grey_network", layers=("all",))
    build(config)
    assert all(ident for ident, _ in places(config).values())


def grey_network() -> Any:
    """Brightness, and edges from dark to bright."""
    import torch
    from torch import nn

    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU())
    weights = torch.zeros(2, 1, 3, 3)
    weights[0, 0, 1, 1] = 1
    weights[1, 0] = torch.tensor([[-1.0, 0, 1]] * 3)
    network[0].weight.data.copy_(weights)
    return network


# --- who cannot look -----------------------------------------------------------------------------


def test_an_observer_that_is_not_installed_is_said_with_the_way_to_get_it(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(observe, "choose_observer", lambda *_: None)
    build(judged(quiet=False))
    assert said(capsys, "no observer").endswith(HOW_TO_GET)
    build(judged(quiet=False, observer="none"))
    assert "no observer" not in capsys.readouterr().err


def test_too_few_judging_images_are_said_and_counted(
    judged: Judged,
    looked: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(observe, "LEAST_JUDGES", 60)
    config = judged(quiet=False)
    build(config)
    line = said(capsys, "no IDENT")
    found = re.search(r"60 distinct images have to judge, there are (\d+);", line)
    assert found is not None
    assert 5 < int(found[1]) < 40
    assert "about 180 --images" in line
    assert not looked
    assert {ident for ident, _ in places(config).values()} == {None}


def test_an_observer_of_colours_cannot_judge_five_channels(
    judged: Judged,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(observe, "LEAST_JUDGES", 1)
    folder, rng = tmp_path / "five", np.random.default_rng(0)
    folder.mkdir()
    for index in range(9):
        np.save(folder / f"{index}.npy", rng.random((16, 16, 5)).astype(np.float32))
    config = judged(
        model="tests.test_wider:five", images=str(folder), input_size=16, layers=("0",), quiet=False
    )
    build(config)
    assert "the images have 5 channels" in said(capsys, "no IDENT")
    with pytest.raises(InputError, match="--observer other: the images have 5 channels") as caught:
        build(judged(**{**vars_of(config), "observer": "other"}))
    assert "\n" not in str(caught.value)


def vars_of(config: Config) -> dict[str, object]:
    """The settings by which a configuration of this file differs from the usual ones."""
    return {
        name: getattr(config, name) for name in ("model", "images", "input_size", "layers", "quiet")
    }


# --- references ----------------------------------------------------------------------------------


@pytest.fixture
def reference(judged: Judged, tmp_path: Path) -> Path:
    """The statistics of the pictures, seen by Seer."""
    path = tmp_path / "reference.h5"
    config = judged(save_reference=str(path), cache=tmp_path / "other cache")
    assert pipeline.rank(config, Progress(True)) == 0
    return path


def test_a_reference_holds_what_the_observer_sees_of_its_images(
    reference: Path, judged: Judged, observers: dict[str, ChosenObserver]
) -> None:
    observed = read_reference(reference).observed
    assert observed is not None
    assert observed.observer == "seer"
    assert observed.weights_sha256 == observers["seer"].weights_sha256
    assert observed.features.shape == (IMAGES, sum(observed.widths))


def test_judging_on_the_reference_gives_the_same_places_and_looks_at_no_image(
    reference: Path, judged: Judged, looked: list[int]
) -> None:
    build(judged())
    direct = places(judged())
    assert all(ident for (layer, channel, _), (ident, _) in direct.items() if channel < 2)
    looked.clear()
    config = judged(reference=str(reference))
    build(config)
    assert sorted(looked) == [3, 4]
    found = places(config)
    assert found.keys() == direct.keys()
    for unit, (ident, predict) in direct.items():
        assert found[unit][0] == ident, unit
        if ident:
            assert found[unit][1] == pytest.approx(predict, abs=5e-3), unit


def test_a_reference_that_another_observer_has_seen_is_refused_or_said(
    reference: Path, judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    config = judged(reference=str(reference), observer="other")
    with pytest.raises(
        InputError, match=r"--observer other: .* was seen by .* not by other_seer"
    ) as one:
        build(config)
    assert "\n" not in str(one.value)
    assert "--save-reference" in str(one.value)


def test_auto_gives_way_to_a_reference_of_another_observer(
    reference: Path,
    judged: Judged,
    observers: dict[str, ChosenObserver],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(observe, "choose_observer", lambda *_: observers["other"])
    config = judged(reference=str(reference), quiet=False)
    build(config)
    assert "not by other_seer" in said(capsys, "no IDENT")
    assert {ident for ident, _ in places(config).values()} == {None}


def test_a_packaged_reference_that_lacks_a_layer_gives_way_in_one_line(
    reference: Path, judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    known = read_reference(reference)
    few = replace(known, stats={"relu1": known.stats["relu1"]})
    config = judged()
    build(config)
    with open_work(config, Progress(True)) as work:
        assert require_layers(few, config, work.store, Progress(False)) is None
    assert said(capsys, "measured over").endswith("the packaged reference has no layer relu2")


def test_a_reference_that_nobody_has_seen_is_said(
    judged: Judged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unseen.h5"
    pipeline.rank(judged(save_reference=str(path), observer="none"), Progress(True))
    assert read_reference(path).observed is None
    build(judged(reference=str(path), quiet=False))
    assert "was seen by no observer" in said(capsys, "no IDENT")


def test_a_reference_of_the_first_schema_is_refused_in_one_line(
    judged: Judged, tmp_path: Path
) -> None:
    path = tmp_path / "first.h5"
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "reference"
        file.attrs["schema"] = 1
        file.attrs["layers"] = '["relu1"]'
        file["relu1/activations"] = np.zeros((3, 4), np.float16)
    with pytest.raises(InputError, match="reference of schema 1, this version reads 2") as caught:
        build(judged(reference=str(path)))
    assert "\n" not in str(caught.value)
    assert "--save-reference" in str(caught.value)


# --- several machines ----------------------------------------------------------------------------


def test_shards_together_are_judged_as_one_run_is(judged: Judged, tmp_path: Path) -> None:
    one = judged()
    build(one)
    parts = [
        judged(cache=tmp_path / f"cache {i}", site=tmp_path / f"site {i}", shard=(i, 2))
        for i in (1, 2)
    ]
    for part in parts:
        build(part)
    whole = judged(cache=tmp_path / "whole", site=tmp_path / "whole site")
    pipeline.merge(whole, Progress(True), [str(part.cache) for part in parts])
    pipeline.site(whole, Progress(True))
    assert places(whole) == places(one)
    assert {name: file["evidence"] for name, file in layer_files(whole).items()} == {
        name: file["evidence"] for name, file in layer_files(one).items()
    }
