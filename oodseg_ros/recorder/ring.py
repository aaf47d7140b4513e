"""The last seconds of every camera in memory: references to what the pipeline made anyway, so keeping costs no time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..frame import Alert
from ..parameters.settings import RecordSettings

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Moment:
    """One camera at one moment.

    Attributes:
        at: monotonic seconds when it was kept; windows are cut by it, so a jump of the clock loses nothing.
        log_ns: the node's clock at that time, nanoseconds.
        stamp_ns, frame_id: header of the image.
        alert: the camera's state, with this frame's obstacles.
        image: RGB uint8 `[H, W, 3]`; None where only the state is known.
        encoded: the image as the camera sent it, where that was JPEG or PNG; it is written instead of `image`.
        score: float32 `[H, W]`, NaN = not judged; None where the frame was not judged.
        published: makes of it the score that is written, in the writing thread; None = it is that.
    """

    at: float
    log_ns: int
    camera: str
    stamp_ns: int
    frame_id: str
    alert: Alert
    image: np.ndarray | None = None
    encoded: Any = None
    score: np.ndarray | None = None
    published: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def bytes(self) -> int:
        """Bytes of memory that are freed with this moment."""
        arrays = [array.nbytes for array in (self.image, self.score) if array is not None]
        return 500 + sum(arrays) + (len(self.encoded) if self.encoded is not None else 0)

    @property
    def has_picture(self) -> bool:
        return self.image is not None or self.encoded is not None


LATE = 5.0
"""Seconds by which the writing thread, which is of low priority, may come late without losing a window's begin."""


class Ring:
    """Bounded in seconds and bytes; thread-safe, and never waits for a disk.

    Attributes:
        pushed_out: moments that left before their time for lack of memory.
    """

    def __init__(self, settings: RecordSettings) -> None:
        self._seconds = settings.before + settings.after + LATE
        self._most = settings.memory_mb * MEGABYTE
        self._period = 1.0 / settings.rate
        self._lock = threading.Lock()
        self._moments: deque[Moment] = deque()
        self._bytes = 0
        self._last_picture: dict[str, float] = {}
        self._last_state: dict[str, Any] = {}
        self.pushed_out = 0

    def add(self, moment: Moment) -> None:
        """Keep a moment: its state always, image and score at most at the rate, and whenever the state is new."""
        with self._lock:
            news = self._last_state.get(moment.camera) != moment.alert.state
            self._last_state[moment.camera] = moment.alert.state
            if moment.has_picture:
                # A little early counts as on time: a 10 Hz camera jitters, and must not be kept at 5 Hz for that.
                due = self._last_picture.get(moment.camera, -1e9) + 0.9 * self._period
                if news or moment.at >= due:
                    self._last_picture[moment.camera] = moment.at
                else:
                    moment = replace(moment, image=None, encoded=None, score=None)
            self._moments.append(moment)
            self._bytes += moment.bytes
            while self._moments[0].at < moment.at - self._seconds:
                self._drop()
            while self._bytes > self._most and len(self._moments) > 1:
                self._drop()
                self.pushed_out += 1

    def window(self, begin: float, end: float) -> list[Moment]:
        """Moments kept from `begin` to `end`, monotonic seconds, oldest first."""
        with self._lock:
            return [moment for moment in self._moments if begin <= moment.at <= end]

    @property
    def bytes(self) -> int:
        return self._bytes

    def _drop(self) -> None:
        self._bytes -= self._moments.popleft().bytes
