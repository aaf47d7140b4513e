"""Ages and frame accounts: what was asked, what was answered, and where every other frame went."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from .reasons import NO_STAMP, REPEATED_STAMP

PERIODS = 31
"""Stamp differences from which the period of a camera is estimated (their median)."""
MAX_GAP_NS = 10_000_000_000
"""Stamp differences above this (ns) are a pause or a restart of the camera, not losses."""


@dataclass(frozen=True)
class AgeSummary:
    """Percentiles of a window of ages, in seconds; NaN where the window is empty."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class AgeWindow:
    """The last `size` ages. Not thread-safe: one thread adds, others read `summary()` of a copy.

    Attributes:
        missed: ages above the deadline, ever.
    """

    def __init__(self, size: int = 600) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self.missed = 0

    def add(self, seconds: float, deadline: float = 0.0) -> None:
        """Add an age in seconds; above `deadline` seconds it counts as missed, 0 = never."""
        self._values.append(seconds)
        self.missed += bool(deadline and seconds > deadline)

    def summary(self) -> AgeSummary:
        # list() of a deque is one C call, atomic under the GIL.
        values = np.asarray(list(self._values))
        if not len(values):
            nan = float("nan")
            return AgeSummary(0, nan, nan, nan, nan)
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return AgeSummary(len(values), float(p50), float(p95), float(p99), float(values.max()))


@dataclass(frozen=True)
class FrameCounts:
    """Account of one camera at one moment.

    Attributes:
        received: frames that reached this process.
        answered: frames for which a prediction was published.
        dropped: reason → frames that were not answered.
        lost: frames that transport lost before us, estimated from gaps in the stamps.
        waiting: frames neither answered nor dropped yet.
    """

    received: int = 0
    answered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    lost: int = 0

    @property
    def expected(self) -> int:
        """Frames that the camera must have sent: those that came and those that are missing among them."""
        return self.received + self.lost

    @property
    def waiting(self) -> int:
        return self.received - self.answered - sum(self.dropped.values())


class FrameCounter:
    """The account of one camera. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = self._answered = self._lost = 0
        self._dropped: dict[str, int] = {}
        self._last_stamp: int | None = None
        self._periods: deque[int] = deque(maxlen=PERIODS)

    def receive(self, stamp_ns: int) -> str | None:
        """Count a frame that arrived; returns the reason for which it is dropped at once (and counted so), or None."""
        with self._lock:
            self._received += 1
            reason = None
            if stamp_ns == 0:
                reason = NO_STAMP
            elif stamp_ns == self._last_stamp:
                reason = REPEATED_STAMP
            if reason:
                self._dropped[reason] = self._dropped.get(reason, 0) + 1
                return reason
            if self._last_stamp is not None:
                self._lost += self._gap(stamp_ns - self._last_stamp)
            self._last_stamp = stamp_ns
            return None

    def answer(self) -> None:
        with self._lock:
            self._answered += 1

    def drop(self, reason: str) -> None:
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def counts(self) -> FrameCounts:
        with self._lock:
            return FrameCounts(self._received, self._answered, dict(self._dropped), self._lost)

    def period_s(self) -> float:
        """Estimated period of the camera in seconds; NaN before five frames."""
        with self._lock:
            return self._period() * 1e-9 if len(self._periods) >= 5 else float("nan")

    def _period(self) -> int:
        # Not numpy's median: it costs more than taking a small image from DDS.
        return sorted(self._periods)[len(self._periods) // 2]

    def _gap(self, difference: int) -> int:
        if not 0 < difference <= MAX_GAP_NS:
            # Time went back (bag loop) or the camera paused: a new stream begins.
            self._periods.clear()
            return 0
        missing = 0
        if len(self._periods) >= 5:
            # A gap of 1.5 periods or more has lost frames in it; drivers jitter by less than half a period.
            missing = max(0, int(difference / self._period() + 0.5) - 1)
        self._periods.append(difference)
        return missing
