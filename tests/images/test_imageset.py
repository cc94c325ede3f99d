"""The set has one order and one digest, whatever the file system does."""

import os
from dataclasses import replace

import pytest

from atlas.errors import InputError
from atlas.images.load import find_images, load
from tests.picture_files import encode, fill, flat, save


def test_a_folder_is_listed_in_the_order_of_bytes(tmp_path):
    data = encode(flat(), "PNG")
    names = ["b.png", "a/z.JPG", "a.png", "A.png", "a-b.png", "é.png"]
    for name in names:
        save(tmp_path, name, data)
    save(tmp_path, "notes.txt", b"not looked at")
    found = find_images(str(tmp_path))
    assert [item.name for item in found.items] == [
        "A.png",
        "a-b.png",
        "a.png",
        "a/z.JPG",
        "b.png",
        "é.png",
    ]
    assert found.skipped == ()
    assert found.title == tmp_path.name
    assert found.root == tmp_path
    assert len({item.sha256 for item in found.items}) == 1


def test_the_digest_of_a_set_knows_names_bytes_and_crops(tmp_path):
    digests = set()
    fill(tmp_path / "a", 2)
    digests.add(find_images(str(tmp_path / "a")).sha256)
    fill(tmp_path / "b", 2)
    assert find_images(str(tmp_path / "b")).sha256 in digests
    (tmp_path / "a" / "000.png").rename(tmp_path / "a" / "00x.png")
    digests.add(find_images(str(tmp_path / "a")).sha256)
    save(tmp_path / "b", "000.png", encode(flat((9, 9, 9)), "PNG"))
    found = find_images(str(tmp_path / "b"))
    digests.add(found.sha256)
    digests.add(replace(found, items=found.items[:1]).sha256)
    other = replace(found.items[0], crop=(0, 0, 4, 4))
    digests.add(replace(found, items=(other, found.items[1])).sha256)
    assert len(digests) == 5


def test_hostile_names_are_listed_and_decoded(tmp_path):
    data = encode(flat(), "PNG")
    names = ["-rf.png", "a\nb.png", '"><script>.png', "x" * 251 + ".png", "\u202egnp.png"]
    for name in names:
        save(tmp_path, name, data)
    with open(os.path.join(os.fsencode(tmp_path), b"\xff\xfe.png"), "wb") as file:
        file.write(data)
    found = find_images(str(tmp_path))
    assert {item.name for item in found.items} == {*names, "\\xff\\xfe.png"}
    for workers in (0, 1):
        got = list(load(found, 8, 8, workers=workers))
        assert [one.sample.name for one in got] == [item.name for item in found.items]


def test_a_set_that_cannot_be_used_says_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    save(tmp_path, "file.png", encode(flat(), "PNG"))
    save(tmp_path / "text", "readme.md", b"")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to("b.png")
    for name, what in [
        ("missing", "No such file"),
        ("file.png", "is a file, not a folder"),
        ("empty", "holds no readable image; give --images"),
        ("text", r"no readable image; 1 other file\(s\) are no picture by suffix or content; give"),
        ("links", r"no readable image; the first of 1: a\.png is a link that leads nowhere; give"),
        ("x\0y", "null byte"),
    ]:
        with pytest.raises(InputError, match=what) as caught:
            find_images(str(tmp_path / name))
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 3
