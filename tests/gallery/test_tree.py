"""One model's folder under construction."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from atlas.errors import CacheError, CheckError
from atlas.gallery import tree as sitetree
from atlas.gallery.tree import Tree


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def build(site: Path, pool: Executor, files: dict[str, str], folder: str = "m") -> Tree:
    tree = Tree(site, folder, pool)
    for path, text in files.items():
        tree.put(path, text.encode())
    if not tree.is_unchanged:
        tree.swap()
    tree.sweep()
    return tree


def texts(folder: Path) -> dict[str, str]:
    return {path: (folder / path).read_text() for path in sitetree.walk(folder)}


def test_the_manifest_lists_what_was_made(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a.html": "A", "l/b.jpg": "B"})
    assert json.loads(texts(tmp_path / "m")["manifest.json"]) == {
        "schema": 1,
        "files": ["a.html", "l/b.jpg", "manifest.json"],
    }
    assert sorted(tmp_path.iterdir()) == [tmp_path / "m"]


def test_the_same_files_again_write_nothing(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a": "A", "l/b": "B"})
    before = {path: (tmp_path / "m" / path).stat() for path in sitetree.walk(tmp_path / "m")}
    stamp = tmp_path.stat().st_mtime_ns
    tree = build(tmp_path, pool, {"a": "A", "l/b": "B"})
    assert tree.is_unchanged
    assert {path: (tmp_path / "m" / path).stat() for path in before} == before
    assert tmp_path.stat().st_mtime_ns == stamp


def test_an_unchanged_file_keeps_its_inode(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a": "A", "b": "B"})
    before = (tmp_path / "m/a").stat()
    build(tmp_path, pool, {"a": "A", "b": "C"})
    after = (tmp_path / "m/a").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert texts(tmp_path / "m")["b"] == "C"


def test_what_is_no_longer_made_goes_with_its_folder(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a": "A", "old/x": "X"})
    build(tmp_path, pool, {"a": "A"})
    assert sorted(texts(tmp_path / "m")) == ["a", "manifest.json"]
    assert not (tmp_path / "m/old").exists()


def test_between_swap_and_sweep_old_and_new_files_are_there(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"old": "O"})
    tree = Tree(tmp_path, "m", pool)
    tree.put("new", b"N")
    tree.swap()
    assert {"old", "new"} <= texts(tmp_path / "m").keys()


def test_a_crash_after_the_swap_is_healed_by_the_next_build(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"old": "O"})
    tree = Tree(tmp_path, "m", pool)
    tree.put("new", b"N")
    tree.swap()  # and no sweep
    sitetree.remove_temporaries(tmp_path)
    build(tmp_path, pool, {"new": "N"})
    assert sorted(texts(tmp_path / "m")) == ["manifest.json", "new"]


def test_files_of_others_stay(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a": "A"})
    (tmp_path / "m/notes.txt").write_text("mine")
    os.symlink("notes.txt", tmp_path / "m/link")
    build(tmp_path, pool, {"a": "B"})
    assert (tmp_path / "m/notes.txt").read_text() == "mine"
    assert os.readlink(tmp_path / "m/link") == "notes.txt"


def test_a_file_of_others_in_the_way_is_not_replaced(tmp_path: Path, pool: Executor) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/a").write_text("mine")
    tree = Tree(tmp_path, "m", pool)
    tree.put("a", b"A")
    with pytest.raises(CacheError, match="was not made here"):
        tree.settle()
    tree.discard()
    assert (tmp_path / "m/a").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path, pool: Executor) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(CacheError, match="not a folder"):
        Tree(tmp_path, "m", pool)


def test_a_discarded_tree_leaves_the_site_as_it_was(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a": "A"})
    tree = Tree(tmp_path, "m", pool)
    tree.put("a", b"B")
    tree.discard()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "m"]
    assert (tmp_path / "m/a").read_text() == "A"


def test_a_manifest_cannot_name_files_outside(tmp_path: Path, pool: Executor) -> None:
    build(tmp_path, pool, {"a": "A"})
    (tmp_path / "precious").write_text("P")
    evil = {"schema": 1, "files": ["a", "../precious", "/etc/passwd", "x/../../precious"]}
    (tmp_path / "m/manifest.json").write_text(json.dumps(evil))
    build(tmp_path, pool, {"b": "B"})
    assert (tmp_path / "precious").read_text() == "P"


def test_a_link_to_nothing_is_refused(tmp_path: Path, pool: Executor) -> None:
    tree = Tree(tmp_path, "m", pool)
    tree.put_page("l/a.html", '<a href="b.html?q=1#x">b</a><img src="../c.jpg">')
    tree.put_page("l/b.html", '<a href="../../index.html"></a><a href="https://x.org/"></a>')
    tree.put("c.jpg", b"C")
    tree.check_links(frozenset(["index.html"]))
    tree.put_page("l/d.html", '<img srcset="../c.jpg 1x, gone.jpg 2x">')
    with pytest.raises(CheckError, match=r"page m/l/d.html links to m/l/gone.jpg"):
        tree.check_links(frozenset(["index.html"]))
    tree.discard()


def test_a_file_that_github_refuses_is_refused(
    tmp_path: Path, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitetree, "LARGEST", 3)
    with pytest.raises(CheckError, match="fewer --layers"):
        Tree(tmp_path, "m", pool).put("a", b"1234")


def test_the_budget_warns_and_then_refuses() -> None:
    assert sitetree.check_budget(sitetree.HEAVY) == []
    assert "301 MB" in sitetree.check_budget(301_000_000)[0]
    with pytest.raises(CheckError, match="fewer --units"):
        sitetree.check_budget(sitetree.BUDGET + 1)


def test_temporaries_of_an_interrupted_build_go(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-a/l").mkdir(parents=True)
    (tmp_path / ".tmp-1-b").write_text("x")
    (tmp_path / "keep").mkdir()
    sitetree.remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keep"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, pool: Executor) -> None:
    tree = Tree(tmp_path, "m", pool)
    tree.put("a", b"A")
    tree.put("a/b", b"a is a file already")
    with pytest.raises(CacheError, match="cannot write"):
        tree.settle()
    tree.discard()
