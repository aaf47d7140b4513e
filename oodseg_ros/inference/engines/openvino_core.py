"""The process's OpenVINO core, and the care that its signal stack needs.

OpenVINO's CPU plugin (2026.4 here) gives the thread that makes it an alternative signal stack and, when it is
destroyed, puts back the one it found. With two of them, the first one dropped first, the second puts back a stack that
is gone, and the next signal with a Python handler (Ctrl-C, SIGTERM, the end of a child) kills the process silently.
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@functools.cache
def openvino_core() -> Any:
    """The only `openvino.Core` of this process; it is never destroyed. Use no other one."""
    import openvino

    core = openvino.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # makes the plugin now, before any other one
    return core


class _Stack(ctypes.Structure):
    """`stack_t` of signal.h."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """This thread has the same alternative signal stack after the block as before it.

    For libraries that make cores of their own inside of it (nncf).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        gc.collect()  # cores in cycles go now, and not after the stack was put back
        libc.sigaltstack(ctypes.byref(before), None)
