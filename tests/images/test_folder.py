"""Only plain files inside the folder are read."""

import os
import socket

import pytest

from atlas.errors import InputError
from atlas.images.folder import MAX_BYTES, read_file
from atlas.images.load import find_images, load
from atlas.records.samples import SkippedFile
from tests.picture_files import encode, fill, flat, reds, save


def test_what_is_no_plain_readable_file_is_skipped_with_its_reason(tmp_path, monkeypatch):
    root = tmp_path / "set"
    fill(root, 1)
    save(tmp_path, "secret.png", encode(flat(), "PNG"))
    (root / "inside.png").symlink_to("000.png")
    (root / "outside.png").symlink_to("../secret.png")
    (root / "nowhere.png").symlink_to("missing.png")
    (root / "loop.png").symlink_to("loop.png")
    (root / "up").symlink_to("..")
    (root / "folder.png").mkdir()
    os.mkfifo(root / "fifo.png")
    monkeypatch.chdir(root)  # the path of a socket may have 108 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
    found = find_images(str(root))
    assert [item.name for item in found.items] == ["000.png", "inside.png"]
    reasons = {file.name: file.reason for file in found.skipped}
    assert reasons == {
        "outside.png": "is a link out of the folder; --follow-links lets it in",
        "nowhere.png": "is a link that leads nowhere",
        "loop.png": "is a link that goes round in a circle",
        "up": "is a link out of the folder; --follow-links lets it in",
        "fifo.png": "is not a plain file (a FIFO, a device or the like)",
        "socket.png": "is not a plain file (a socket or the like)",
    }


def refuse(name):
    """A PermissionError for one path, else the real call."""

    def wrap(call):
        def wrapped(path, *rest, **more):
            if str(path).endswith(name):
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *rest, **more)

        return wrapped

    return wrap


def test_an_unreadable_file_or_folder_is_skipped_with_its_reason(tmp_path, monkeypatch):
    fill(tmp_path, 2)
    fill(tmp_path / "closed", 2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse("000.png")(os.open))
        patch.setattr(os, "scandir", refuse("closed")(os.scandir))
        found = find_images(str(tmp_path))
    assert [item.name for item in found.items] == ["001.png"]
    assert found.skipped == (
        SkippedFile(name="closed", reason="cannot be opened: Permission denied"),
        SkippedFile(name="000.png", reason="cannot be read: Permission denied"),
    )


def test_a_very_large_file_is_not_read(tmp_path):
    path = save(tmp_path, "big.png", b"")
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(InputError, match="has 256 MB, the limit is 256 MB"):
        read_file(path, tmp_path)


def test_a_picture_without_a_suffix_or_with_a_wrong_one_is_known_by_its_content(tmp_path):
    png, jpeg, tif = (encode(flat(), kind) for kind in ("PNG", "JPEG", "TIFF"))
    taken = {"0a1b": png, "photo.jpg!large": jpeg, "x.0": png, "scan": tif}
    passed = {
        **{"notes.txt": b"text", "labels.csv": b"a,b", "all.json": b"{}", "empty": b""},
        **{"BMW": b"BMW is a maker of cars and motorcycles", "P5": b"P5 is a format"},
        **{".hidden": png, "raw.nef": tif},
    }
    for name, data in {**taken, **passed}.items():
        save(tmp_path, name, data)
    os.mkfifo(tmp_path / "fifo")
    found = find_images(str(tmp_path))
    assert {item.name for item in found.items} == {*taken}
    assert found.skipped == ()


def linked(tmp_path):
    """A folder of links: to a file, to a folder, and round in a circle."""
    fill(tmp_path / "store" / "deep", 2)
    root = tmp_path / "set"
    root.mkdir()
    (root / "one.png").symlink_to(tmp_path / "store" / "deep" / "001.png")
    (root / "all").symlink_to(tmp_path / "store")
    (root / "again").symlink_to(root)
    (tmp_path / "store" / "back").symlink_to(root)
    (root / "twin").symlink_to(tmp_path / "store" / "deep")
    return root


def test_links_out_of_the_folder_are_followed_when_that_is_asked_for(tmp_path):
    found = find_images(str(linked(tmp_path)), follow_links=True)
    # all/deep is twin, which is nearer; each folder is searched once
    assert [item.name for item in found.items] == ["one.png", "twin/000.png", "twin/001.png"]
    reasons = {file.name: file.reason for file in found.skipped}
    searched = "is searched already: a link leads to the same folder"
    assert reasons == dict.fromkeys(["again", "all/back", "all/deep"], searched)
    assert reds(load(found, 8, 8)) == [1, 0, 1]


def test_without_asking_each_link_is_skipped_and_says_how_to_ask(tmp_path):
    root = linked(tmp_path)
    fill(root, 1)
    reasons = {file.name: file.reason for file in find_images(str(root)).skipped}
    out = "is a link out of the folder; --follow-links lets it in"
    inside = "is a link to a folder; --follow-links searches it"
    assert reasons == {**dict.fromkeys(["one.png", "all", "twin"], out), "again": inside}
    (root / "000.png").unlink()
    with pytest.raises(InputError, match="--follow-links"):
        find_images(str(root))
