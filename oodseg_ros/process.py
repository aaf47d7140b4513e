"""What concerns a whole process: how it takes Ctrl-C, and how it allocates memory. Imports nothing that takes time."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
from pathlib import Path

INTERRUPTED = 130
"""Exit status of what Ctrl-C ended, as shells have it."""


def begin_node() -> None:
    """For the process of a node, before its imports: they take seconds, and some begin threads."""
    quiet_interrupt()
    keep_freed_memory()
    share_one_heap()
    leave_out_converter()


def quiet_interrupt() -> None:
    """From now on SIGINT ends the process with `INTERRUPTED` and without a traceback, until another handler is set.

    At once, not by KeyboardInterrupt: raised while modules are imported it comes out of libraries as other errors.
    SIGINT that the parent has set to be ignored (`nohup … &`) stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def interruptible() -> None:
    """SIGINT raises KeyboardInterrupt again, so that what is at work can clean up."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
_MAX_BLOCK = 1 << 30
_MAX_BLOCK_BEFORE_2_35 = 1 << 25


def keep_freed_memory() -> bool:
    """Tell glibc not to return freed blocks of image size to the kernel; False where there is no glibc.

    Receiving, copying and publishing a 1080p image allocates several blocks of 6 to 8 MB, for each of which thousands
    of pages would be mapped, cleared and unmapped, at every frame; a training step has maps of 40 MB. In exchange the
    process keeps its peak size.
    """
    mapped = _mallopt(_M_MMAP_THRESHOLD, _MAX_BLOCK) or _mallopt(_M_MMAP_THRESHOLD, _MAX_BLOCK_BEFORE_2_35)
    return mapped and _mallopt(_M_TRIM_THRESHOLD, _MAX_BLOCK)


def share_one_heap() -> bool:
    """Tell glibc, before there are threads, to serve them all from one heap; False where there is no glibc.

    With heaps of their own a node's twenty threads would keep the peaks of all.
    """
    return _mallopt(_M_ARENA_MAX, 1)


def _mallopt(parameter: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(parameter, value))


_CONVERTER = "openvino.tools.ovc"


def leave_out_converter() -> None:
    """From now on `import openvino` passes over its converter of networks: 9 MB, 0.09 s and a client that reports usage
    to its makers, for what is not needed where a converted graph is cached.
    """
    sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]


def allow_converter() -> None:
    """`openvino.tools.ovc` can be imported again."""
    if sys.modules.get(_CONVERTER, sys) is None:
        del sys.modules[_CONVERTER]


def drop_mapped(suffix: str) -> None:
    """Give the kernel back the pages of data files of this suffix that this process has mapped for reading. Pages that
    are read again come from the file again.

    Shared mappings only: a private one may hold what is in no file, as the tables of an executable called `.bin`.
    """
    try:
        mappings = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for mapping in mappings:
        addresses, access, *_ = mapping.split()
        if access == "r--s" and mapping.endswith(suffix):
            first, last = (int(address, 16) for address in addresses.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)
