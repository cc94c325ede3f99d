"""Caches put together: what is copied, what is left alone, and what is refused."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from atlas import pipeline
from atlas.cache import blocks
from atlas.cache.audit import check, inspect
from atlas.cache.selection import write_selection
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import CacheError
from atlas.files.digests import fingerprint
from atlas.progress import Progress
from atlas.records.units import Unit
from atlas.stages.merge import Merged, differences, find_keys, merge_caches
from tests.store_records import FINGERPRINT, KEY, RUN, SELECTED, fill, merge_one, rendering

BLOCKS = 17
"""Files of results that `fill` writes."""


def cache_of(folder: Path, key: Mapping[str, object] = KEY) -> Path:
    """A cache with one of everything and a selection; returns its key folder."""
    with Store.open(folder, "tiny", key) as store:
        fill(store)
    show(store.folder)
    return store.folder


def show(folder: Path) -> None:
    """Say that the atlas of a key folder shows what is in it."""
    write_selection(folder.parent / "atlas.json", replace(SELECTED, key=folder.name))


def files(folder: Path) -> dict[str, bytes]:
    """Path below the folder → bytes, of all files but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The key folder of a cache beside the one that is merged into."""
    return cache_of(tmp_path / "there")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of the cache that is merged into; empty."""
    return tmp_path / "here"


@pytest.mark.parametrize("up", [0, 1, 2], ids=["key", "model", "cache"])
def test_an_empty_cache_becomes_a_copy(there: Path, here: Path, up: int) -> None:
    merged = merge_one([there, *there.parents][up], here)
    assert merged == Merged(copied=BLOCKS, present=0, damaged=(), left_out=())
    assert files(here) == files(there.parents[1])
    assert check(here / "tiny" / there.name) == []


def test_merging_again_copies_nothing(there: Path, here: Path) -> None:
    merge_one(there, here)
    before = files(here)
    assert merge_one(there, here) == Merged(copied=0, present=BLOCKS, damaged=(), left_out=())
    assert files(here) == before


def test_a_cache_is_verified_once_however_many_are_merged_into_it(
    there: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = cache_of(here)
    others = [there, cache_of(tmp_path / "more"), cache_of(tmp_path / "most")]
    verified: list[Path] = []

    def noted(folder: Path) -> object:
        verified.append(folder)
        return inspect(folder)

    monkeypatch.setattr(blocks, "inspect", noted)
    same = Merged(copied=0, present=BLOCKS, damaged=(), left_out=())
    assert list(merge_caches(others, here)) == [same] * 3
    assert sorted(verified) == sorted([*others, target])


def test_what_one_folder_brought_is_there_for_the_next(there: Path, here: Path) -> None:
    whole = Merged(copied=BLOCKS, present=0, damaged=(), left_out=())
    assert list(merge_caches([there, there], here)) == [
        whole,
        replace(whole, copied=0, present=BLOCKS),
    ]
    with Store.open(here, "tiny", KEY):
        pass  # no lock is left behind


def test_a_folder_that_is_refused_keeps_no_other_from_being_merged(
    there: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing, config = str(here.parent / "nothing"), Config(cache=here)
    with pytest.raises(CacheError, match="1 of 2 folders were not merged, all others were"):
        pipeline.merge(config, Progress(quiet=True), [nothing, str(there)])
    assert f"not merged: {nothing} holds no results to merge" in capsys.readouterr().err
    assert files(here) == files(there.parents[1])
    with pytest.raises(CacheError, match="holds no results to merge"):
        pipeline.merge(config, Progress(quiet=True), [nothing])


def test_renderings_of_other_ranks_come_together(there: Path, here: Path) -> None:
    with Store.open(here, "tiny", KEY) as mine:
        fill(mine)
        mine.write_renderings(4, 4, FINGERPRINT, [rendering(1)], RUN)
    with Store.open(there.parents[1], "tiny", KEY) as theirs:
        theirs.write_renderings(5, 5, FINGERPRINT, [rendering(5)], RUN)
    merged = merge_one(there, here)
    assert (merged.copied, merged.present) == (1, BLOCKS)
    with Store.read(mine.folder) as both:
        assert {0, 1, 2, 3, 5} == both.finished(FINGERPRINT)["conv"].keys()
        assert both.finished(FINGERPRINT)["conv"][5].seconds == rendering(5).seconds


def test_what_is_here_stays_where_the_same_work_has_other_bytes(there: Path, here: Path) -> None:
    with Store.open(here, "tiny", KEY) as mine:
        mine.write_renderings(0, 9, FINGERPRINT, [rendering(3), rendering(1)], RUN)
    before = files(here)
    merge_one(there, here)
    assert before.items() <= files(here).items()
    with Store.read(mine.folder) as both:
        assert both.rendering(Unit(layer="conv", channel=3), FINGERPRINT).seed == rendering(3).seed
    firsts = {path.name.partition(".")[0] for path in here.glob("tiny/*/renderings/conv/*.h5")}
    assert "2-2" not in firsts  # channel 3 alone


@pytest.mark.parametrize("index", range(BLOCKS))
def test_a_damaged_block_is_named_and_all_others_are_copied(
    there: Path, here: Path, index: int
) -> None:
    with Store.read(there) as store:
        path = sorted(store.index.blocks)[index]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    merged = merge_one(there, here)
    assert merged.copied == BLOCKS - 1
    (line,) = merged.damaged
    assert path.name in line
    assert "do not match its digest" in line
    assert path.name not in {Path(name).name for name in files(here)}
    assert check(here / "tiny" / there.name) == []


def test_leftovers_and_quarantine_are_not_copied(there: Path, here: Path) -> None:
    clean = files(there.parents[1])
    (there / "quarantine").mkdir()
    (there / "quarantine" / "old").write_text("x")
    (there / "renderings" / "conv" / ".tmp-1").write_text("x")
    merge_one(there, here)
    assert files(here) == clean


# --- refused -------------------------------------------------------------------------------------


def refused(source: Path, cache: Path, match: str) -> None:
    """Merging is an error of one line and changes nothing."""
    before = files(cache) if cache.exists() else {}
    with pytest.raises(CacheError, match=match) as caught:
        merge_one(source, cache)
    assert "\n" not in str(caught.value)
    assert (files(cache) if cache.exists() else {}) == before


def test_another_atlas_of_the_same_model_is_refused(there: Path, here: Path) -> None:
    key = {**KEY, "images": "another set", "model": {"name": "tiny"}}
    cache_of(here, {**key, "images": "a set"})
    other = cache_of(there.parents[2] / "other", key)
    refused(other, here, "another atlas of tiny than .*: other images; merge it into another")


def test_of_several_atlases_of_a_model_only_the_one_that_is_here_is_merged(
    tmp_path: Path, here: Path
) -> None:
    one, two = ({"model": {"name": "tiny"}, "images": name} for name in ("one", "two"))
    cache_of(tmp_path / "there", two)
    cache_of(tmp_path / "there", one)
    with Store.open(here, "tiny", one) as mine:
        pass
    show(mine.folder)
    merged = merge_one(tmp_path / "there", here)
    assert merged.copied == BLOCKS
    (line,) = merged.left_out
    assert "other images" in line
    assert [path.name for path in here.glob("tiny/*/key.json")] == ["key.json"]


def test_a_folder_without_results_is_refused(tmp_path: Path, here: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", here, "holds no results to merge")
    refused(tmp_path / "nowhere", here, "holds no results to merge")
    assert not here.exists()


def test_a_cache_is_not_merged_into_itself(there: Path) -> None:
    refused(there, there.parents[1], "is --cache itself")


def test_a_key_that_does_not_fit_its_folder_is_refused(there: Path, here: Path) -> None:
    moved = there.with_name("0" * 16)
    shutil.copytree(there, moved)
    refused(moved, here, "is not the key of its folder")


def test_a_newer_schema_is_refused(there: Path, here: Path) -> None:
    key = json.loads((there / "key.json").read_text())
    (there / "key.json").write_text(json.dumps({**key, "schema": 99}))
    refused(there, here, "schema 99")


def test_a_cache_that_a_run_holds_is_refused(there: Path, here: Path) -> None:
    with Store.open(here, "tiny", KEY):
        refused(there, here, "is in use by process")


def test_a_disk_without_room_is_refused(
    there: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(there)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    refused(there, here, "has 0 MB free")


def test_differences_are_named_by_field() -> None:
    one = {"ranking": 2, "images": "a", "model": {"name": "m", "mean": [0.5]}}
    other = {"ranking": 2, "images": "b", "model": {"name": "m", "mean": []}}
    assert differences(one, other) == ["images", "mean"]
    assert differences(one, one) == []


def test_folder_names_are_made_from_the_key(there: Path) -> None:
    assert find_keys(there, Path("elsewhere"))[0].name == fingerprint(KEY)[:16]
