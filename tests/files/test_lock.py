"""One run at a time."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from atlas.errors import CacheError
from atlas.files.lock import lock

HOLD = """
import sys
from pathlib import Path
from atlas.files.lock import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_to_lock_is_told_who_holds_it(tmp_path):
    path = tmp_path / ".lock"
    with lock(path):
        us = f"process {os.getpid()} on {socket.gethostname()} since 20"
        with pytest.raises(CacheError, match=f"in use by {us}.* UTC;"), lock(path):
            pass
        assert path.read_text().startswith(us)
    with lock(path):
        pass
    assert path.exists()


def test_one_that_has_only_just_got_the_lock_is_named_too(tmp_path):
    path = tmp_path / ".lock"
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        later = threading.Timer(0.1, path.write_text, ["process 7 on here"])
        later.start()
        with pytest.raises(CacheError, match="in use by process 7 on here;"), lock(path):
            pass
        later.join()


def test_a_holder_that_cannot_write_its_name_is_another_process(tmp_path, monkeypatch):
    monkeypatch.setattr("atlas.files.lock.WAIT", 0)
    path = tmp_path / ".lock"
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(CacheError, match="in use by another process;"), lock(path):
            pass


def test_a_killed_holder_frees_the_lock(tmp_path):
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CacheError, match=f"process {holder.pid} on"), lock(path):
            pass
        holder.send_signal(signal.SIGKILL)
    with lock(path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")


def test_an_error_inside_the_block_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path / ".lock"):
        raise ZeroDivisionError
    with lock(tmp_path / ".lock"):
        pass


def test_a_lock_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    with pytest.raises(CacheError, match="cannot lock"), lock(tmp_path / "no" / ".lock"):
        pass

    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(CacheError, match="cannot lock"), lock(tmp_path / ".lock"):
        pass
