"""Evidence of single frames → one state that a consumer may act on.

| state | next frame has an obstacle | next frame is clear | frame cannot be judged |
|---|---|---|---|
| UNKNOWN | OBSTACLE if N of the last M frames had one, else UNKNOWN | CLEAR after M judged frames, else UNKNOWN | UNKNOWN |
| CLEAR | OBSTACLE if N of the last M frames had one, else CLEAR (`confirming`) | CLEAR | UNKNOWN |
| OBSTACLE | OBSTACLE | CLEAR after `release_frames` clear ones in a row, else OBSTACLE (`releasing`) | UNKNOWN, and OBSTACLE again with the next judged frame |

So a fault never shortens the way to CLEAR.
"""

from __future__ import annotations

from collections import deque

from ..frame import AlertState
from .settings import ObstacleSettings


class AlertMachine:
    """State of one camera; not thread-safe. `state` and `reason` are what was answered last."""

    def __init__(self, settings: ObstacleSettings) -> None:
        self._settings = settings
        self._window: deque[bool] = deque(maxlen=settings.trigger_window)
        self.reset()

    def reset(self) -> None:
        """Forget all evidence: UNKNOWN, `starting`."""
        self.state, self.reason = AlertState.UNKNOWN, "starting"
        self._window.clear()
        self._clear_run = 0
        self._latched = False
        self._known = False

    def judged(self, present: bool) -> tuple[AlertState, str]:
        """A frame was judged; `present` = it holds an obstacle."""
        settings = self._settings
        self._window.append(present)
        self._clear_run = 0 if present else self._clear_run + 1
        if present and sum(self._window) >= settings.trigger_hits:
            self._latched = self._known = True
        elif self._latched and self._clear_run >= settings.release_frames:
            self._latched = False
            # Old hits are spent; a release shorter than the window must not trigger again from them.
            self._window.extend([False] * settings.trigger_window)
        elif not present and len(self._window) == settings.trigger_window:
            self._known = True
        if self._latched:
            return self._answer(AlertState.OBSTACLE, "obstacle" if present else "releasing")
        if not self._known:
            return self._answer(AlertState.UNKNOWN, "starting")
        return self._answer(AlertState.CLEAR, "confirming" if present else "ok")

    def unknown(self, reason: str) -> tuple[AlertState, str]:
        """A frame could not be judged, or none came."""
        self._clear_run = 0
        if not self._latched:
            self._known = False
            # Hits stay, clear frames before the fault do not count as evidence after it.
            hits = sum(self._window)
            self._window.clear()
            self._window.extend([True] * min(hits, self._settings.trigger_hits - 1))
        return self._answer(AlertState.UNKNOWN, reason)

    def _answer(self, state: AlertState, reason: str) -> tuple[AlertState, str]:
        self.state, self.reason = state, reason
        return state, reason


def worst_case_reaction(settings: ObstacleSettings, frame_period: float, latency: float) -> float:
    """Seconds from an object becoming visible to OBSTACLE being published, at worst.

    Holds for an object that is found in at least `trigger_hits` of any `trigger_window` frames, at one judged frame per
    `frame_period` seconds and at most `latency` seconds from a frame's stamp to its alert: the object appears just after
    a frame was taken, and its hits are the last ones of the window.
    """
    return settings.trigger_window * frame_period + latency
