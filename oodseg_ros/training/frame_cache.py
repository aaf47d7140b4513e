"""Decoded frames that are kept: random access to files costs a decode, memory is finite."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class FrameCache:
    """The most recently used arrays, up to a number of bytes; one per process.

    What it returns is shared and therefore read-only.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[np.ndarray, ...]] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """The arrays of `key`, read now if they are not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        arrays = read()
        for array in arrays:
            array.flags.writeable = False
        size = sum(array.nbytes for array in arrays)
        if size > self._limit:
            return arrays
        self._kept[key] = arrays
        self._bytes += size
        while self._bytes > self._limit:
            _, old = self._kept.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in old)
        return arrays

    def shrink(self, limit: int) -> None:
        """Lower the limit and forget what is beyond it."""
        self._limit = min(self._limit, limit)
        while self._bytes > self._limit:
            _, old = self._kept.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in old)
