"""Which obstacle of this frame is which one of the last: stable ids, ages, and the speed at which they come nearer.

Boxes are carried on by their smoothed speed, grown, and assigned so that the sum of their overlaps is largest. On
simulated drives at 5 to 30 Hz with misses and a swaying camera, greedy assignment of plain overlaps changed ids 6 to
24 times as often (`benchmarks/tracking.py`): far obstacles are a few pixels wide and move by more than that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, replace

import lap
import numpy as np

Box = tuple[int, int, int, int]

MIN_OVERLAP = 0.1
"""Least intersection over union of two grown boxes that may be the same obstacle."""

MIN_INSIDE = 0.5
"""Share of the smaller box that lies in the other one, from which on a weaker obstacle may be what raised the alert."""

GROW_SHARE = 0.5
"""Boxes grow by this share of their size on every side, and by the margin in pixels."""

MAX_GAP = 3
"""Frames that a track may miss and still be found again."""

_SMOOTHING = 0.5

MIN_SPEED = 0.1
"""Metres per second; slower than that nothing is reached."""
_POINTS, _MIN_POINTS = 12, 5
_MIN_NS = 400_000_000
_FORGET_NS = 2_000_000_000


@dataclass(frozen=True)
class Track:
    """What is remembered of an obstacle.

    Attributes:
        track_id: 1, 2, … in order of appearance.
        box: where it was last seen, float64 `[4]`.
        speed: change of the box per frame, float64 `[4]`.
        age: frames in which it was seen.
        missed: frames since it was seen, the present one not counted.
    """

    track_id: int
    box: np.ndarray
    speed: np.ndarray
    age: int = 1
    missed: int = 0

    def expected(self) -> np.ndarray:
        """Its box in the next frame."""
        return self.box + self.speed * (self.missed + 1)

    def seen(self, box: np.ndarray) -> Track:
        """The track after it was found at `box`."""
        step = (box - self.box) / (self.missed + 1)
        speed = step if self.age == 1 else (1 - _SMOOTHING) * self.speed + _SMOOTHING * step
        return Track(self.track_id, box, speed, self.age + 1)


class Tracker:
    """Tracks of one camera; not thread-safe."""

    def __init__(self) -> None:
        self._next = 1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; ids go on, so that no id ever means two things."""
        self._seen: list[Track] = []
        self._lost: list[Track] = []

    @property
    def ids(self) -> set[int]:
        """Of all tracks that the next frame may go on with."""
        return {track.track_id for track in [*self._seen, *self._lost] if track.missed < MAX_GAP}

    def update(self, boxes: list[Box], margin: float) -> list[tuple[int, int]]:
        """(track id, age) for each box of the next frame, in their order.

        Args:
            boxes: (x0, y0, x1, y1) in pixels.
            margin: pixels by which a far obstacle may jump; about 1 % of the image width.
        """
        missed = [replace(track, missed=track.missed + 1) for track in self._lost if track.missed < MAX_GAP]
        self._seen, self._lost = [], [*self._seen, *missed]
        return [each for each in self._take(self._lost, boxes, margin, begin=True) if each is not None]

    def again(
        self, boxes: list[Box], margin: float, among: Set[int], begin: bool = False
    ) -> list[tuple[int, int] | None]:
        """The same for more boxes of the frame that `update` was given last; None for those without a track.

        Args:
            boxes, margin: as there.
            among: ids of the tracks that these boxes may go on with, where no other box did: also one that lies mostly
                inside the other, because what gets weaker breaks into pieces or melts into what is around it.
            begin: those that go on with none begin one.
        """
        return self._take([track for track in self._lost if track.track_id in among], boxes, margin, begin, MIN_INSIDE)

    def _take(
        self, known: list[Track], boxes: list[Box], margin: float, begin: bool, inside: float = math.inf
    ) -> list[tuple[int, int] | None]:
        new = np.array(boxes, np.float64).reshape(-1, 4)
        expected = np.array([track.expected() for track in known]).reshape(-1, 4)
        found = {column: known[row] for row, column in assign(expected, new, margin, inside)}
        taken: list[tuple[int, int] | None] = []
        for index, box in enumerate(new):
            if index not in found and not begin:
                taken.append(None)
                continue
            if index in found:
                seen = found[index].seen(box)
                # What is left of a weaker one has another shape, which tells nothing of its speed.
                self._seen.append(replace(seen, speed=found[index].speed) if inside <= 1 else seen)
            else:
                self._seen.append(Track(self._next, box, np.zeros(4)))
                self._next += 1
            taken.append((self._seen[-1].track_id, self._seen[-1].age))
        ids = {track.track_id for track in found.values()}
        self._lost = [track for track in self._lost if track.track_id not in ids]
        return taken


def assign(old: np.ndarray, new: np.ndarray, margin: float, inside: float = math.inf) -> list[tuple[int, int]]:
    """Pairs (row of `old`, row of `new`), each row once at most, that overlap most in sum; boxes are float `[N, 4]`.

    With `inside` in (0, 1], two boxes also overlap just enough where that share of the smaller one lies in the other.
    """
    overlap = iou(_grown(old, margin), _grown(new, margin))
    overlap[overlap < MIN_OVERLAP] = 0.0
    if inside <= 1:
        shared, smaller = _shared(old, new), np.minimum(_area(old)[:, None], _area(new)[None])
        overlap[(overlap == 0) & (shared > 0) & (shared >= inside * smaller)] = MIN_OVERLAP
    if not overlap.size:
        return []
    _, columns, _ = lap.lapjv(-overlap, extend_cost=True)  # -1: the row is assigned to nothing
    return [(row, int(column)) for row, column in enumerate(columns) if column >= 0 and overlap[row, column] > 0]


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union `[N, M]` of boxes `[N, 4]` and `[M, 4]`; 0 for boxes without area."""
    inner = _shared(first, second)
    union = _area(first)[:, None] + _area(second)[None] - inner
    return np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Area `[N, M]` that two boxes have in common."""
    first, second = first[:, None].astype(np.float64), second[None].astype(np.float64)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    return np.clip(sides, 0.0, None).prod(-1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0.0, None).astype(np.float64).prod(-1)


def _grown(boxes: np.ndarray, margin: float) -> np.ndarray:
    border = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None) * GROW_SHARE + margin
    return np.concatenate([boxes[:, :2] - border, boxes[:, 2:] + border], axis=1)


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
