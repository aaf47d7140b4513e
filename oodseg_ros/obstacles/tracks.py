"""Which obstacle of this frame is which one of the last: ids and ages by overlap of boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_IOU = 0.1
MAX_GAP = 3
"""Frames that a track may miss and still be found again."""


@dataclass(frozen=True)
class Track:
    """What is remembered of an obstacle.

    Attributes:
        track_id: 1, 2, … in order of appearance.
        box: last seen box, pixels.
        age: frames in which it was seen.
        missed: frames since it was seen.
    """

    track_id: int
    box: tuple[int, int, int, int]
    age: int
    missed: int = 0


class Tracker:
    """Tracks of one camera; not thread-safe."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._next = 1

    def reset(self) -> None:
        """Forget all tracks; ids go on, so that no id means two things."""
        self._tracks = []

    def update(self, boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int]]:
        """(track id, age) for each box, in their order."""
        pairs = match(np.array([t.box for t in self._tracks]).reshape(-1, 4), np.array(boxes).reshape(-1, 4))
        found = {box: track for track, box in pairs}
        seen = []
        for index, box in enumerate(boxes):
            if index in found:
                old = self._tracks[found[index]]
                seen.append(Track(old.track_id, box, old.age + 1))
            else:
                seen.append(Track(self._next, box, 1))
                self._next += 1
        matched = set(found.values())
        lost = [
            Track(t.track_id, t.box, t.age, t.missed + 1)
            for i, t in enumerate(self._tracks)
            if i not in matched and t.missed < MAX_GAP
        ]
        self._tracks = seen + lost
        return [(track.track_id, track.age) for track in seen]


def match(old: np.ndarray, new: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (index of old, index of new) of boxes `[N, 4]`, best overlap first, each used once."""
    overlap = iou(old, new)
    pairs = []
    while overlap.size and overlap.max() >= MIN_IOU:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        pairs.append((int(row), int(column)))
        overlap[row] = -1
        overlap[:, column] = -1
    return pairs


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union `[N, M]` of half-open boxes `[N, 4]` and `[M, 4]`."""
    first, second = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    inner = np.clip(sides, 0, None).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (first, second)]
    return inner / np.maximum(areas[0] + areas[1] - inner, 1e-9)
