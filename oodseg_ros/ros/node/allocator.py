"""Keep freed memory in the process: without it each image is allocated from the kernel and given back, page by page."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST = 1 << 30
_LARGEST_BEFORE_2_35 = 1 << 25


def keep_freed_memory() -> bool:
    """Tell glibc not to return freed blocks of image size to the kernel; False where there is no glibc.

    Receiving, copying and publishing a 1080p image allocates several blocks of 6 to 8 MB, for each of which thousands
    of pages would be mapped, cleared and unmapped, at every frame. In exchange the process keeps its peak size.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    mapped = mallopt(_M_MMAP_THRESHOLD, _LARGEST) or mallopt(_M_MMAP_THRESHOLD, _LARGEST_BEFORE_2_35)
    return bool(mapped and mallopt(_M_TRIM_THRESHOLD, _LARGEST))
