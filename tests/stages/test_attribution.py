"""What peaks depend on is found out once for each unit, whoever else is in its block."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from atlas import pipeline
from atlas.attribution import masks as masking
from atlas.cache.store import Store
from atlas.config import Config
from atlas.progress import Progress
from atlas.records.attribution import UnitMasks
from atlas.stages import attribution

Tiny = Callable[..., Config]


def build(config: Config) -> int:
    return pipeline.build(config, Progress(config.quiet))


def blocks(config: Config) -> dict[str, bytes]:
    """Files of masks in the cache."""
    return {
        str(path.relative_to(config.cache)): path.read_bytes()
        for path in sorted(config.cache.glob("*/*/masks/*/*.h5"))
    }


def shown(config: Config) -> dict[str, str | None]:
    """Page of each unit → its picture of masks."""
    return {
        path.as_posix(): json.loads(path.read_text())["masks"]
        for path in sorted(config.site.glob("*/relu*/[0-9]*.json"))
    }


def rows(config: Config) -> dict[tuple[str, int], tuple[bytes, ...]]:
    """Layer and channel → its masks and numbers."""
    found = {}
    for path in config.cache.glob("*/*/masks/*/*.h5"):
        with h5py.File(path) as file:
            for row, channel in enumerate(file["channel"][...].tolist()):
                parts = (file[name][row].tobytes() for name in ("patch", "keep", "masks"))
                found[path.parent.name, channel] = tuple(parts)
    return found


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Layer and channel of every unit that was worked on."""
    seen: list[tuple[str, int]] = []

    def count(network: object, layer: object, channel: int, *rest: object) -> UnitMasks:
        seen.append((layer.name, channel))  # type: ignore[attr-defined]
        return masking.mask_unit(network, layer, channel, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(attribution, "mask_unit", count)
    return seen


def test_every_unit_is_done_once_and_classes_are_not(
    tiny: Tiny, done: list[tuple[str, int]]
) -> None:
    config = tiny(units="all", classes=2)
    assert build(config) == 0
    assert sorted(done) == [("relu1", i) for i in range(4)] + [("relu2", i) for i in range(3)]
    kept = blocks(config)
    done.clear()
    assert build(config) == 0
    assert done == []
    assert blocks(config) == kept
    assert pipeline.check(config, Progress(True)) == 0


def test_further_units_are_added_to_those_that_are_there(
    tiny: Tiny, done: list[tuple[str, int]]
) -> None:
    build(tiny(units=1))
    first = set(done)
    done.clear()
    build(tiny(units=3))
    assert len(first) == 2
    assert len(done) == 4
    assert not first & set(done)


def test_off_does_nothing_and_shows_nothing_that_is_there(
    tiny: Tiny, done: list[tuple[str, int]]
) -> None:
    build(tiny(masks="off"))
    bare = shown(tiny())
    assert done == []
    build(tiny())
    assert done
    assert any(shown(tiny()).values())
    build(tiny(masks="off"))
    assert blocks(tiny())
    assert shown(tiny()) == bare
    assert not any(bare.values())


def test_a_unit_that_fails_is_said_and_tried_again(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(network: object, layer: object, channel: int, *rest: object) -> UnitMasks:
        if channel == 2:
            raise RuntimeError("no such luck")
        return masking.mask_unit(network, layer, channel, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(attribution, "mask_unit", fail)
    assert build(tiny(units="all")) == 1
    assert "relu1:2: what it depends on is not known" in capsys.readouterr().err
    assert {channel for _, channel in rows(tiny())} == {0, 1, 3}
    with pytest.raises(RuntimeError, match="no such luck"):
        build(tiny(units="all", strict=True))
    monkeypatch.undo()
    assert build(tiny(units="all")) == 0
    assert len(rows(tiny())) == 7


def test_an_interruption_loses_one_part_at_most(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, done: list[tuple[str, int]]
) -> None:
    write = Store.write_masks

    def stop(self: Store, layer: str, mark: str, found: list[UnitMasks]) -> None:
        write(self, layer, mark, found)
        if len(done) >= 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(attribution, "PART_UNITS", 2)
    monkeypatch.setattr(Store, "write_masks", stop)
    with pytest.raises(KeyboardInterrupt):
        build(tiny(units="all"))
    assert len(rows(tiny())) == 4
    monkeypatch.setattr(Store, "write_masks", write)
    before = set(done)
    done.clear()
    build(tiny(units="all"))
    assert not before & set(done)
    assert len(rows(tiny())) == 7


def test_nothing_of_a_unit_depends_on_the_others_in_its_part(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = tiny(units="all")
    build(together)
    monkeypatch.setattr(attribution, "PART_UNITS", 1)
    alone = tiny(units="all", cache=tmp_path / "other", site=tmp_path / "other site")
    build(alone)
    assert len(blocks(alone)) == 7
    assert rows(alone) == rows(together)


def test_shards_together_are_one_run(
    tiny: Tiny, tmp_path: Path, done: list[tuple[str, int]]
) -> None:
    one = tiny(units="all")
    build(one)
    parts = [
        tiny(units="all", cache=tmp_path / f"c{i}", site=tmp_path / f"s{i}", shard=(i, 2))
        for i in (1, 2)
    ]
    done.clear()
    for part in parts:
        build(part)
        assert blocks(part)
    assert len(done) == len(set(done)) == 7
    whole = tiny(units="all", cache=tmp_path / "whole", site=tmp_path / "whole site")
    pipeline.merge(whole, Progress(True), [str(part.cache) for part in parts])
    pipeline.site(whole, Progress(True))
    assert blocks(whole) == blocks(one)
    assert unit_files(whole) == unit_files(one)


def unit_files(config: Config) -> dict[str, bytes]:
    """The pages of units and the pictures on them."""
    return {
        str(path.relative_to(config.site)): path.read_bytes()
        for path in sorted(config.site.glob("*/relu*/img/*"))
    }


def test_numbers_are_between_nothing_and_a_little_more_than_all(tiny: Tiny) -> None:
    build(tiny(units="all"))
    (path,) = tiny().cache.glob("*/*/masks/relu1/*.h5")
    with h5py.File(path) as file:
        patch = file["patch"][...]
    assert np.isfinite(patch).any()
    assert np.nanmin(patch) >= 0
