"""What concerns a whole process: how it takes Ctrl-C, and how it allocates memory. Imports nothing that takes time."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

INTERRUPTED = 130
"""Exit status of what Ctrl-C ended, as shells have it."""


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


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_MAX_BLOCK = 1 << 30
_MAX_BLOCK_BEFORE_2_35 = 1 << 25


def keep_freed_memory() -> bool:
    """Tell glibc not to return freed blocks of image size to the kernel; False where there is no glibc.

    Receiving, copying and publishing a 1080p image allocates several blocks of 6 to 8 MB, for each of which thousands
    of pages would be mapped, cleared and unmapped, at every frame; a training step has maps of 40 MB. In exchange the
    process keeps its peak size.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    mapped = mallopt(_M_MMAP_THRESHOLD, _MAX_BLOCK) or mallopt(_M_MMAP_THRESHOLD, _MAX_BLOCK_BEFORE_2_35)
    return bool(mapped and mallopt(_M_TRIM_THRESHOLD, _MAX_BLOCK))
