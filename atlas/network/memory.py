"""Freed memory stays with the process, so that the next step need not ask the kernel for it again.

A gradient step allocates and frees the same large tensors again and again. glibc hands each back to
the kernel at once and takes fresh pages for the next one, which the kernel must zero: a sixth of
the time of a step on the CPU (docs/rendering.md). Start at `keep_freed_memory`.
"""

import ctypes
import functools
import platform

import torch

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3)."""

LARGEST = (1 << 30, 1 << 25)
"""Bytes up to which a block is kept: what we want, and what older versions of glibc accept."""

KEPT = (1 << 31) - 1
"""Bytes of free memory that are kept at most; the largest that mallopt takes."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed; returns whether it does.

    Only glibc knows the parameters; with any other C library nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    # The second alone would turn off the threshold's own growth, and make everything slower.
    accepted = any(library.mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST)
    return accepted and bool(library.mallopt(M_TRIM_THRESHOLD, KEPT))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, on the host or on the device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "DefaultCPUAllocator" in str(error) or "out of memory" in str(error)
