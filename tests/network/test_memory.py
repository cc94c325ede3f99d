"""Freed memory stays with the process."""

import os
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


PAGES = """
import sys, torch
from pathlib import Path
from atlas.network.memory import give_back_freed_memory, keep_freed_memory
from atlas.workers.forks import spread

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

def large(_):
    held = torch.ones(1 << 24)
    areas, wanted = Path("/proc/self/smaps").read_text().split("VmFlags:"), held[1 << 23].data_ptr()
    for area, flags in zip(areas, areas[1:]):
        head = next(line for line in area.splitlines() if "-" in line.split(" ")[0])
        first, last = (int(number, 16) for number in head.split(" ")[0].split("-"))
        if first <= wanted < last:
            return "hg" in flags.splitlines()[0].split()

before = resident()
keep_freed_memory()
print((resident() - before) * 4096 < 1 << 24)  # asking takes nothing
here, kept = large(0), resident()
give_back_freed_memory()
print((kept - resident()) * 4096 > 1 << 25)
print(here, {found for _, found in spread(large, range(4), 2, sys.exit)})
"""
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
HUGE = pytest.mark.skipif(
    not os.path.exists("/sys/kernel/mm/transparent_hugepage"), reason="the kernel has no such pages"
)


@GLIBC
@HUGE
def test_large_pages_are_asked_for_here_and_in_forks_and_what_is_free_can_be_given_back() -> None:
    said = subprocess.check_output([sys.executable, "-c", PAGES], cwd=ROOT, text=True, timeout=120)
    assert said.splitlines() == ["True", "True", "True {True}"]


@GLIBC
def test_freed_memory_is_used_again() -> None:
    assert faults("kept") < 1000
    assert faults("plain") > 100_000
