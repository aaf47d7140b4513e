"""Freed image memory stays in the process where glibc rules."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CHECK = """
import resource, numpy as np
from oodseg_ros.ros.node.allocator import keep_freed_memory
assert keep_freed_memory()
def faults():
    for _ in range(20):
        several = [np.ones(8_000_000, np.uint8) for _ in range(4)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt of glibc")
def test_images_are_allocated_without_new_pages() -> None:
    # In a process of its own: the setting is for a process's life.
    result = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    # Without it the 80 arrays map some 40000 pages anew.
    assert int(result.stdout) < 2000
