"""What is usual for a camera: a slow average of what its good frames looked like."""

from __future__ import annotations

import numpy as np

LEAST = 10
"""Frames before a level means anything."""
_WEIGHT = 0.03


class Level:
    """Mean of the first frames, then an exponential average over about thirty."""

    def __init__(self) -> None:
        self._count = 0
        self._value: np.ndarray | float = 0.0

    def learn(self, value: np.ndarray | float, where: np.ndarray | None = None) -> None:
        """Take a good frame into account; `where` limits an array to some of its elements."""
        self._count += 1
        weight = max(_WEIGHT, 1.0 / self._count)
        step = weight * (value - self._value)
        self._value = self._value + (step if where is None or self._count == 1 else np.where(where, step, 0.0))

    @property
    def value(self) -> np.ndarray | float | None:
        """None before `LEAST` frames."""
        return self._value if self._count >= LEAST else None


class Lasting:
    """True once something has been so for a number of nanoseconds of stamps, and in three frames."""

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns
        self._since: int | None = None
        self._count = 0

    def __call__(self, so: bool, stamp_ns: int) -> bool:
        if not so:
            self._since, self._count = None, 0
            return False
        if self._since is None:
            self._since = stamp_ns
        self._count += 1
        return self._count >= 3 and stamp_ns - self._since >= self._after_ns
