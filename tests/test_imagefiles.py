"""Only plain files inside the folder are read."""

import os
import socket

import pytest

from atlas.errors import InputError
from atlas.imagefiles import MAX_BYTES, read_file
from atlas.images import find_images
from atlas.records import SkippedFile

from .picture_files import encode, fill, flat, save


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
        "outside.png": "is a link out of the folder",
        "nowhere.png": "is a link that leads nowhere",
        "loop.png": "is a link that goes round in a circle",
        "up": "is a link out of the folder",
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
