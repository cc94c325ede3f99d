"""Writing, exchanging, naming and locking."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_control_characters_of_a_path_are_escaped_in_messages():
    assert files.shown(Path("a/b c")) == "a/b c"
    assert files.shown("a\nb\udcff") == "a\\nb\\udcff"


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


# --- digests -------------------------------------------------------------------------------------


def test_digests_are_those_of_the_standard(tmp_path):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "a").write_bytes(b"")
    assert files.sha256_bytes(b"") == files.sha256_file(tmp_path / "a") == empty


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("inception4a", "inception4a"),
        ("blocks.4.2", "blocks.4.2"),
        ("Mixed_5b-x", "Mixed_5b-x"),
        ("timm/resnet18", "timm~2Fresnet18"),
        ("a:b", "a~3Ab"),
        ("a~b", "a~7Eb"),
        ("a b", "a~20b"),
        ("é", "~C3~A9"),
        ("_x", "~5Fx"),
        (".hidden", "~2Ehidden"),
        (".", "~2E"),
        ("..", "~2E~2E"),
        ("../../etc", "~2E.~2F..~2Fetc"),
        ("x.", "x~2E"),
        ("vendor", "~76endor"),
        ("Assets", "~41ssets"),
        ("index.html", "~69ndex.html"),
        ("con", "~63on"),
        ("COM1.layer", "~43OM1.layer"),
        ("console", "console"),
        ("conv1", "conv1"),
        ("", "~"),
        ("<script>", "~3Cscript~3E"),
        ("\u202e", "~E2~80~AE"),
        ("a\0b", "a~00b"),
    ],
)
def test_escaped_names_by_hand(name, escaped):
    assert files.escape_name(name) == escaped
    assert files.unescape_name(escaped) == name


@given(st.text(max_size=60))
def test_escaping_is_reversible_and_plain(name):
    escaped = files.escape_name(name)
    assert escaped.isascii()
    assert set(escaped) <= set(map(chr, files.PLAIN)) | {"~"}
    assert 1 <= len(escaped) <= 200
    assert escaped[0] not in "._"
    assert not escaped.endswith(".")
    if "~~" not in escaped:
        assert files.unescape_name(escaped) == name


@given(st.text(alphabet=st.characters(codec=None), max_size=8))
def test_surrogates_of_undecodable_names_are_escaped_too(name):
    assert files.unescape_name(files.escape_name(name)) == name


def test_long_names_are_cut_and_stay_distinct():
    one, two = files.escape_name("é" * 300 + "1"), files.escape_name("é" * 300 + "2")
    assert one != two
    assert len(one) <= 200
    assert one[-18:-16] == "~~"
    with pytest.raises(ValueError, match="turned back"):
        files.unescape_name(one)


@pytest.mark.parametrize("bad", ["", "~~", "a~2", "a~c2", "a b", "a/b", "~2e"])
def test_what_is_no_escaped_name_is_refused(bad):
    with pytest.raises(ValueError, match="turned back"):
        files.unescape_name(bad)


def test_names_that_differ_in_case_get_distinct_folders():
    names = ["conv", "Conv", "CONV", "conv", "other"]
    assert files.folder_names(names) == {
        "conv": "conv",
        "Conv": "Conv~c2",
        "CONV": "CONV~c3",
        "other": "other",
    }


@given(st.lists(st.text(alphabet="aA~c2", max_size=5)))
def test_no_two_folders_are_equal_when_case_is_ignored(names):
    folders = files.folder_names(names)
    assert list(folders) == list(dict.fromkeys(names))
    assert len({folder.lower() for folder in folders.values()}) == len(folders)


# --- locks ---------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from atlas.files.files import lock
with lock(Path(sys.argv[1]), "process 1 on elsewhere since noon"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_to_lock_is_told_who_holds_it(tmp_path):
    path = tmp_path / ".lock"
    with files.lock(path, "process 1 on elsewhere since noon"):
        with (
            pytest.raises(CacheError, match="in use by process 1 on elsewhere since noon;"),
            files.lock(path, "me"),
        ):
            pass
        assert path.read_text() == "process 1 on elsewhere since noon"
    with files.lock(path, "me"):
        assert path.read_text() == "me"
    assert path.exists()


def test_a_killed_holder_frees_the_lock(tmp_path):
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CacheError, match="process 1"), files.lock(path, "me"):
            pass
        holder.send_signal(signal.SIGKILL)
    with files.lock(path, "me"):
        assert path.read_text() == "me"


def test_an_error_inside_the_block_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), files.lock(tmp_path / ".lock", "me"):
        raise ZeroDivisionError
    with files.lock(tmp_path / ".lock", "me"):
        pass


def test_a_lock_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    with pytest.raises(CacheError, match="cannot lock"), files.lock(tmp_path / "no" / ".lock", ""):
        pass
    monkeypatch.setattr(files.fcntl, "flock", refuse(errno.ENOLCK))
    with pytest.raises(CacheError, match="cannot lock"), files.lock(tmp_path / ".lock", ""):
        pass


def test_the_holder_text_names_process_and_host():
    assert files.this_process().startswith(f"process {os.getpid()} on ")


@pytest.mark.parametrize("name", ["classes", "compare", "images"])
def test_no_layer_takes_a_folder_of_the_site(name: str) -> None:
    assert files.escape_name(name) == f"~{ord(name[0]):02X}{name[1:]}"
