"""Seconds until the vehicle is where an obstacle is: from the vehicle's speed, or from how the distance shrinks."""

from __future__ import annotations

from collections import deque

import numpy as np

MIN_SPEED = 0.1
"""Metres per second; slower than that nothing is reached."""
_POINTS, _MIN_POINTS = 12, 5
_MIN_NS = 400_000_000
_FORGET_NS = 2_000_000_000


def time_to_reach(distance: float, speed: float | None) -> float | None:
    """Seconds for `distance` metres, or None where nothing is reached (standing, going away, speed not known)."""
    if speed is None or not speed > MIN_SPEED:
        return None
    return max(0.0, distance) / speed


class Closing:
    """Closing speeds of tracks, by a straight line through their last distances; not thread-safe."""

    def __init__(self) -> None:
        self._tracks: dict[int, deque[tuple[int, float]]] = {}

    def reset(self) -> None:
        """Forget all."""
        self._tracks.clear()

    def update(self, track_id: int, stamp_ns: int, distance: float) -> float | None:
        """Speed in m/s at which a track comes nearer, negative if it goes away; None until it was seen long enough."""
        if track_id <= 0:
            return None
        points = self._tracks.setdefault(track_id, deque(maxlen=_POINTS))
        points.append((stamp_ns, distance))
        for other in [key for key, seen in self._tracks.items() if stamp_ns - seen[-1][0] > _FORGET_NS]:
            del self._tracks[other]
        if len(points) < _MIN_POINTS or points[-1][0] - points[0][0] < _MIN_NS:
            return None
        stamps, distances = np.asarray(points, float).T
        seconds = (stamps - stamps.mean()) * 1e-9
        return -float(seconds @ (distances - distances.mean()) / (seconds @ seconds))
