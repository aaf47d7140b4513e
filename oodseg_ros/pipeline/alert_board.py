"""What is known about every camera right now, and since when: the source of the alert heartbeat.

The inference thread posts what it judged, the executor thread reads. Time without news is measured on the monotonic
clock, so that a standing simulation clock, a dead camera and a hanging engine all end in UNKNOWN.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..frame import Alert, AlertState
from .reasons import ENGINE_WARMING, INACTIVE, INFERENCE_BLOCKED, LATE, NO_IMAGE, STARTING

TIME_WENT_BACK = 1_000_000_000
"""Nanoseconds by which the clock of the stamps falls back when time itself did, as in a bag that starts over."""


@dataclass
class _Camera:
    received: float
    posted: float
    alert: Alert | None = None
    failure: str | None = None
    missing: str = ""
    interrupted: str | None = None
    warming: bool = False


class AlertBoard:
    """Every camera's newest answer, and what hides it. Thread-safe.

    Args:
        cameras: names, in the order of the alert message.
        image_timeout: seconds without an image or an answer after which the state is UNKNOWN; read each time.
        clock: monotonic seconds.
    """

    def __init__(
        self, cameras: Sequence[str], image_timeout: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._timeout = image_timeout
        self._clock = clock
        self._mode: str | None = INACTIVE
        self._blocked = False
        self._now_ns, self._went_back = 0, False
        self._cameras = {camera: _Camera(clock(), clock()) for camera in cameras}

    @property
    def mode(self) -> str | None:
        """Reason for which all cameras are UNKNOWN whatever they send, or None."""
        return self._mode

    def set_mode(self, reason: str | None) -> None:
        """None: answer from the evidence; it and all time-outs begin anew. Otherwise UNKNOWN with this reason."""
        with self._lock:
            before, self._mode = self._mode, reason
            if reason is None:
                now = self._clock()
                for camera in self._cameras.values():
                    camera.received = camera.posted = now
                    camera.alert = camera.failure = None
                    camera.warming = False
                    camera.interrupted = before or camera.interrupted

    def set_warming(self, camera: str, warming: bool) -> None:
        """True while an engine is being compiled for this camera's images. Its last answer grows old meanwhile: it is
        not younger for having waited, so after the compiler the camera is UNKNOWN until its next answer.
        """
        self._cameras[camera].warming = warming

    def set_blocked(self, blocked: bool) -> None:
        """True while the inference thread stands still: that is why answers are late, and not the cameras."""
        self._blocked = blocked

    def received(self, camera: str) -> None:
        self._cameras[camera].received = self._clock()

    def failed(self, camera: str, reason: str) -> None:
        """An image of this camera got no answer; the reason is told once the last answer is too old."""
        self._cameras[camera].failure = reason

    def explain(self, camera: str, missing: str) -> None:
        """Why no image can arrive, as far as is known: the detail of `no_image`; empty = nothing is known."""
        self._cameras[camera].missing = missing

    def post(self, camera: str, alert: Alert) -> bool:
        """A new answer; True if a consumer should hear it at once: another state or reason, or obstacles."""
        with self._lock:
            entry = self._cameras[camera]
            before = None if entry.interrupted else entry.alert
            entry.alert, entry.posted, entry.failure, entry.interrupted = alert, self._clock(), None, None
        return before is None or (before.state, before.reason) != (alert.state, alert.reason) or alert.obstacles != ()

    def interruption(self, camera: str) -> str | None:
        """Reason for which the camera was UNKNOWN on the heartbeat since its last answer, or would be now, or None."""
        with self._lock:
            entry = self._cameras[camera]
            return entry.interrupted or self._why_unknown(entry, self._clock())

    def alerts(self, now_ns: int) -> dict[str, Alert]:
        """Every camera's alert at this moment, its evidence age brought up to `now_ns` (the clock of the stamps).

        Where that clock falls back there is no evidence of its new time until the next answer: UNKNOWN, `starting`.
        """
        with self._lock:
            now = self._clock()
            fell_back = now_ns < self._now_ns - TIME_WENT_BACK
            self._went_back |= fell_back
            self._now_ns = now_ns
            for entry in self._cameras.values():
                # The second: an answer that was still on its way when time fell back.
                late = self._went_back and entry.alert and entry.alert.stamp_ns > now_ns + TIME_WENT_BACK
                if fell_back or late:
                    entry.alert, entry.interrupted = None, STARTING
            return {name: self._alert(entry, now, now_ns) for name, entry in self._cameras.items()}

    def _alert(self, entry: _Camera, now: float, now_ns: int) -> Alert:
        last = entry.alert
        # A camera's clock may be a little ahead; evidence is never younger than new.
        age = max(0.0, (now_ns - last.stamp_ns) / 1e9) if last is not None and last.stamp_ns else math.inf
        reason = self._why_unknown(entry, now)
        if reason is None and last is not None:
            return replace(last, evidence_age_s=age)
        if reason is not None:
            entry.interrupted = reason
        detail = entry.missing if reason == NO_IMAGE else ""
        return Alert(AlertState.UNKNOWN, reason or STARTING, last.stamp_ns if last else 0, age, detail=detail)

    def _why_unknown(self, entry: _Camera, now: float) -> str | None:
        if self._mode is not None:
            return self._mode
        if entry.warming:
            return ENGINE_WARMING
        if now - entry.posted <= self._timeout():
            return None
        if self._blocked:
            return INFERENCE_BLOCKED
        return NO_IMAGE if now - entry.received > self._timeout() else entry.failure or LATE
