"""Circuits are traced once for each unit, whoever else is in its block."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor, nn

from atlas import pipeline
from atlas.attribution.circuits import Circuits
from atlas.cache.selection import read_selection, selection_path
from atlas.config import Config
from atlas.errors import InputError
from atlas.network.intervening import Interventions, Scene
from atlas.progress import Progress
from atlas.records.circuits import Circuit
from atlas.records.network import CLASSES
from atlas.stages import attribution
from atlas.stages.site import open_atlas

Tiny = Callable[..., Config]


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def blocks(config: Config) -> dict[str, bytes]:
    """Files of circuits in the cache."""
    return {
        str(path.relative_to(config.cache)): path.read_bytes()
        for path in sorted(config.cache.glob("*/*/circuits/*/*.h5"))
    }


def found(config: Config) -> dict[tuple[str, int], str]:
    """Layer and channel → its circuit, of what pages show."""
    path = selection_path(config.cache, config.atlas_name)
    with open_atlas(path) as (store, selection):
        return {
            (layer, channel): repr(one)
            for layer, mark in selection.circuits.items()
            for channel, one in store.circuits(layer, mark).items()
        }


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Layer and channel of every unit that was worked on."""
    seen: list[tuple[str, int]] = []
    plain = Circuits.of_unit

    def count(self: Circuits, layer: str, channel: int, scenes: Mapping[int, Scene]) -> Circuit:
        seen.append((layer, channel))
        return plain(self, layer, channel, scenes)

    monkeypatch.setattr(Circuits, "of_unit", count)
    return seen


def test_every_unit_is_done_once_and_classes_are_only_reached(
    tiny: Tiny, done: list[tuple[str, int]]
) -> None:
    config = tiny(units="all", classes=2, masks="off")
    assert build(config) == 0
    assert sorted(done) == [("relu1", i) for i in range(4)] + [("relu2", i) for i in range(3)]
    kept = blocks(config)
    done.clear()
    assert build(config) == 0
    assert done == []
    assert blocks(config) == kept
    assert pipeline.check(config, Progress(True)) == 0


def test_classes_are_reached_though_none_is_shown(tiny: Tiny) -> None:
    config = tiny(units="all", classes=0, masks="off")
    build(config)
    with open_atlas(selection_path(config.cache, config.atlas_name)) as (store, selection):
        known = store.circuits("relu2", selection.circuits["relu2"])
    # the classes are the means of the first two channels
    assert {link.channel for link in known[0].of("classes")} <= {0}
    assert CLASSES not in selection.circuits


def test_another_choice_of_layers_is_another_circuit(
    tiny: Tiny, done: list[tuple[str, int]]
) -> None:
    build(tiny(masks="off"))
    done.clear()
    build(tiny(masks="off", layers=("relu2",)))
    assert {layer for layer, _ in done} == {"relu2"}, "nothing before it is looked at any more"


def test_off_does_nothing_and_shows_nothing_that_is_there(
    tiny: Tiny, done: list[tuple[str, int]]
) -> None:
    build(tiny(circuits="off"))
    assert done == []
    build(tiny())
    assert done
    build(tiny(circuits="off"))
    assert blocks(tiny())
    assert not read_selection(selection_path(tiny().cache, tiny().atlas_name)).circuits


def test_a_unit_that_fails_is_said_and_tried_again(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = Circuits.of_unit

    def fail(self: Circuits, layer: str, channel: int, scenes: Mapping[int, Scene]) -> Circuit:
        if channel == 2:
            raise RuntimeError("no such luck")
        return plain(self, layer, channel, scenes)

    monkeypatch.setattr(Circuits, "of_unit", fail)
    assert build(tiny(units="all")) == 1
    assert "relu1:2: its circuit is not known: RuntimeError: no" in capsys.readouterr().err
    assert len(found(tiny())) == 5
    with pytest.raises(RuntimeError, match="no such luck"):
        build(tiny(units="all", strict=True))
    monkeypatch.undo()
    assert build(tiny(units="all")) == 0
    assert len(found(tiny())) == 7


def test_a_network_that_cannot_be_run_in_parts_says_why_and_is_no_failure(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Interventions, images: Tensor) -> None:
        raise InputError("its layers cannot be run by themselves (relu2 differs)")

    monkeypatch.setattr(Interventions, "check", refuse)
    assert build(tiny(units="all", quiet=False)) == 0
    assert "no circuits: its layers cannot be run by themselves" in capsys.readouterr().err
    assert all("cannot be run by themselves" in text for text in found(tiny()).values())
    assert build(tiny(units="all", quiet=False)) == 0, "and it is not asked again"
    assert "no circuits" not in capsys.readouterr().err


def test_nothing_of_a_unit_depends_on_the_others_in_its_part(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = tiny(units="all", masks="off")
    build(together)
    monkeypatch.setattr(attribution, "PART_UNITS", 1)
    alone = tiny(units="all", masks="off", cache=tmp_path / "other", site=tmp_path / "other site")
    build(alone)
    assert len(blocks(alone)) == 7
    assert found(alone) == found(together)


def test_shards_together_are_one_run(tiny: Tiny, tmp_path: Path) -> None:
    one = tiny(units="all", masks="off")
    build(one)
    parts = [
        replace(one, cache=tmp_path / f"c{i}", site=tmp_path / f"s{i}", shard=(i, 2))
        for i in (1, 2)
    ]
    for part in parts:
        build(part)
        assert blocks(part)
    whole = tiny(units="all", masks="off", cache=tmp_path / "whole", site=tmp_path / "whole site")
    pipeline.merge(whole, Progress(True), [str(part.cache) for part in parts])
    pipeline.site(whole, Progress(True))
    assert blocks(whole) == blocks(one)
    assert found(whole) == found(one)
    assert len(found(one)) == 7


def test_pages_show_them(tiny: Tiny) -> None:
    config = tiny(units="all", masks="off")
    build(config)
    page = next(config.site.glob("*/relu2/0.html")).read_text()
    assert "Fed by" in page
    assert "relu1:" in page


def dark() -> nn.Module:
    """A network whose first layer is silent on every picture."""
    first, second = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)
    nn.init.constant_(first.bias, -100.0)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def test_units_without_any_activation_have_reasons(tiny: Tiny) -> None:
    config = tiny(
        model="tests.stages.test_circuits:dark",
        layers=("1", "3"),
        units="all",
        masks="off",
        input_size=24,
    )
    build(config)
    with open_atlas(selection_path(config.cache, config.atlas_name)) as (store, selection):
        known = store.circuits("3", selection.circuits["3"])
    assert known
    for one in known.values():
        assert math.isnan(one.error) or one.error < 1e-5
        assert not one.of("fed_by")
        assert "nothing here changes" in one.reasons["fed_by"]
