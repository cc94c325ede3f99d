"""Memory that a process frees stays with it, in large pages, for its next step.

A gradient step allocates and frees the same large tensors again and again. glibc hands each back to
the kernel at once and takes fresh pages for the next one, which the kernel must zero: a sixth of
the time of a step on the CPU. Linux also finds memory faster in pages of 2 MB than in those of 4 kB
that a heap has by itself: a sixteenth of a step (docs/rendering.md). Start at `keep_freed_memory`.
"""

import ctypes
import functools
import mmap
import platform

import torch

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3)."""

LARGEST = (1 << 30, 1 << 25)
"""Bytes up to which a block is kept: what we want, and what older versions of glibc accept."""

KEPT = (1 << 31) - 1
"""Bytes of free memory that are kept at most; the largest that mallopt takes."""

AHEAD = (1 << 30) - (1 << 20)
"""Bytes of the heap for which large pages are asked: fewer than `LARGEST`."""

LARGE_PAGE = 1 << 21


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
    kept = accepted and bool(library.mallopt(M_TRIM_THRESHOLD, KEPT))
    if kept:
        ask_for_large_pages()
    return kept


def ask_for_large_pages() -> None:
    """Ask the kernel for large pages where the heap will grow; no memory is taken before it does.

    A block that is taken and freed untouched leaves the room in the heap. Where the kernel has no
    large pages, or there is no such room, nothing changes.
    """
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    block = library.malloc(AHEAD)
    if block:
        first = -(-block // LARGE_PAGE) * LARGE_PAGE
        library.madvise(first, block + AHEAD - first, mmap.MADV_HUGEPAGE)
        library.free(block)


def give_back_freed_memory() -> None:
    """Give back what is kept, as a process does best that is about to be forked.

    The forks would share its pages, and copy each of them, 4 kB at a time, when they use it.
    """
    if keep_freed_memory():
        ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, on the host or on the device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "DefaultCPUAllocator" in str(error) or "out of memory" in str(error)
