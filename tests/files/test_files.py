"""Writing and exchanging."""

import errno
import os
from types import SimpleNamespace

import pytest

from atlas.errors import CacheError
from atlas.files import files


def refuse(number):
    """A system call that always fails with one error number."""

    def call(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return call


# --- writing -------------------------------------------------------------------------------------


def test_a_written_file_has_its_bytes_and_leaves_no_temporary(tmp_path):
    files.atomic_write(tmp_path / "a", b"one")
    files.atomic_write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_a_short_write_is_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:1]))
    files.atomic_write(tmp_path / "a", b"hello")
    assert (tmp_path / "a").read_bytes() == b"hello"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "the disk reports an error"),
        (errno.ENAMETOOLONG, "File name too long"),
    ],
)
def test_a_failed_write_keeps_the_old_file_and_says_why(
    tmp_path, monkeypatch, call, number, reason
):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse(number))
        with pytest.raises(CacheError, match=reason) as caught:
            files.atomic_write(path, b"new")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_an_interrupt_while_writing_removes_the_temporary(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            files.atomic_write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == []


def test_a_folder_without_fsync_support_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    files.sync_folder(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(CacheError, match="a folder is in the place of a file"):
        files.atomic_write(tmp_path / "a", b"x")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(CacheError, match="No such file"):
        files.atomic_write(tmp_path / "no" / "a", b"x")


def test_unchanged_content_is_not_written(tmp_path):
    path = tmp_path / "deep" / "er" / "a"
    assert files.write_if_changed(path, b"x")
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert not files.write_if_changed(path, b"x")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert files.write_if_changed(path, b"y")
    assert path.read_bytes() == b"y"


def test_a_file_in_the_place_of_a_parent_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="a file is in the place of a folder"):
        files.write_if_changed(tmp_path / "file" / "deep" / "a", b"x")


def test_work_that_does_not_fit_on_the_disk_is_refused_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: SimpleNamespace(free=7_900_000))
    files.require_free(tmp_path / "not" / "yet", 7_900_000)
    with pytest.raises(CacheError, match="7 MB free and this run needs about 8 MB"):
        files.require_free(tmp_path / "not" / "yet", 7_900_001)


# --- folders -------------------------------------------------------------------------------------


def folder(path, text):
    path.mkdir()
    (path / "file").write_text(text)
    return path


@pytest.mark.parametrize("at_once", [True, False])
def test_two_folders_change_places(tmp_path, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(files, "exchange_at_once", lambda new, old: False)
    new, old = folder(tmp_path / "new", "new"), folder(tmp_path / "old", "old")
    files.exchange(new, old)
    assert (old / "file").read_text() == "new"
    assert (new / "file").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_a_folder_moves_where_there_was_none(tmp_path):
    files.exchange(folder(tmp_path / "new", "new"), tmp_path / "old")
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_failed_exchange_leaves_the_old_folder(tmp_path, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(files, "exchange_at_once", lambda new, old: False)
    old = folder(tmp_path / "old", "old")
    with pytest.raises(CacheError, match="cannot replace"):
        files.exchange(tmp_path / "missing", old)
    assert (old / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["old"]
