"""One run at a time."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
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
