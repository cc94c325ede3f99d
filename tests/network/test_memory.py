"""Freed memory stays with the process."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAULTS = """
import resource, sys, torch
from atlas.network.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(20):  # the first few are cut from fresh memory still
    torch.empty(1 << 24).fill_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.empty(1 << 24).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(kind: str) -> int:
    """Pages that ten tensors of 64 MiB took from the kernel, one after the other."""
    command = [sys.executable, "-c", FAULTS, kind]
    return int(subprocess.check_output(command, cwd=ROOT, text=True, timeout=120))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again() -> None:
    assert faults("kept") < 1000
    assert faults("plain") > 100_000
