"""Whatever is wrong with a file of the cache is found, and it is found by reading alone."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.cache import hdf5, store
from atlas.cache.audit import check
from atlas.cache.store import Store
from atlas.errors import CacheError
from atlas.files.digests import sha256_bytes
from atlas.files.files import atomic_write
from atlas.files.lock import lock
from tests.store_records import KEY, MODEL, block_paths, damage_flip, fill, reopen, stats, tree


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def damage_empty(path):
    path.write_bytes(b"")


def damage_folder(path):
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"x")


def damage_foreign(path):
    path.write_bytes(b"hello")


@pytest.mark.parametrize("number", range(15))
@pytest.mark.parametrize(
    "damage", [damage_flip, damage_cut, damage_empty, damage_folder, damage_foreign]
)
def test_a_damaged_file_is_quarantined_and_only_that_one_is_gone(filled, damage, number):
    blocks = [p for p in block_paths(filled) if p.with_suffix(".h5") == p or p.parent == filled]
    assert len(blocks) == 17
    hurt = blocks[number]
    damage(hurt)
    with Store.read(filled) as opened:
        assert len(opened.quarantined) == 1
        assert hurt.exists()
    findings = check(filled)
    assert len(findings) == 1
    assert str(hurt) in findings[0]
    with reopen(filled) as opened:
        assert len(opened.quarantined) == 1
        assert str(hurt) in opened.quarantined[0]
        assert not hurt.exists()
        assert set(opened.index.blocks) == set(blocks) - {hurt}
        notes = list((filled / "quarantine").glob("*.txt"))
        assert len(notes) == 1
        assert notes[0].read_text().startswith(hurt.relative_to(filled).as_posix())
        fill(opened)
        assert set(opened.index.blocks) == set(blocks)
    with reopen(filled) as opened:
        assert opened.quarantined == []
    assert check(filled) == []


def test_foreign_files_among_the_results_are_moved_away(filled):
    foreign = ["ranking/notes.txt", "images/a", "renderings/stray.h5", "renderings/conv/old.h5"]
    for place in foreign:
        (filled / place).write_bytes(b"x")
    (filled / "mine.txt").write_bytes(b"left alone")
    with reopen(filled) as opened:
        assert len(opened.quarantined) == 4
    assert not any((filled / place).exists() for place in foreign)
    assert (filled / "mine.txt").exists()
    assert check(filled) == [f"{filled / 'mine.txt'}: not a file of the cache"]


def test_a_block_in_the_place_of_another_kind_is_moved_away(filled):
    block = next(filled.glob("ranking/conv.*"))
    digest = block.name.split(".")[-2]
    (filled / "images" / f"7-7.{digest}.h5").write_bytes(block.read_bytes())
    with reopen(filled) as opened:
        assert len(opened.quarantined) == 1
        assert "its place is for 'images'" in opened.quarantined[0]


def test_something_else_with_the_right_digest_is_moved_away(filled):
    for name, data in [("ranking/x.{}.h5", b"not HDF5"), ("network.{}.json", b"[1")]:
        (filled / name.format(sha256_bytes(data)[:12])).write_bytes(data)
    with reopen(filled) as opened:
        assert len(opened.quarantined) == 2
        assert opened.read_network()[0] == MODEL


def test_an_unreadable_file_is_quarantined(filled, monkeypatch):
    hurt = next(filled.glob("ranking/conv.*"))
    read = Path.read_bytes

    def refuse(path):
        if path == hurt:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with reopen(filled) as opened:
            assert not opened.has_stats("conv")
            assert "cannot be read: Input/output error" in opened.quarantined[0]


@pytest.mark.parametrize("kind", ["h5", "json", "key"])
def test_a_newer_schema_is_refused_and_left_alone(filled, kind, monkeypatch):
    with monkeypatch.context() as patch, reopen(filled) as opened:
        patch.setattr(store, "SCHEMA", 2)
        patch.setattr(hdf5, "SCHEMA", 2)
        if kind == "h5":
            opened.write_stats(stats("new"))
        elif kind == "json":
            opened.write_network(replace(MODEL, title="New"), [])
        else:
            atomic_write(filled / "key.json", json.dumps({"schema": 2, "key": KEY}).encode())
    before = tree(filled)
    for way in (reopen, Store.read):
        with pytest.raises(CacheError, match=r"schema 2.* reads schema 1"):
            way(filled)
    assert len(check(filled)) == 1
    assert tree(filled) == before
    with lock(filled / ".lock"):
        pass
