"""Evidence over time: what is too weak for a hit in any single frame, but stays, becomes an obstacle all the same.

Wald's sequential test for every candidate, a group of pixels above the score that objects grow to: each view adds
log p(strength | unknown) / p(strength | normal) from the bundle's table, a frame without it the logarithm of the share
of unknowns that are missed. At 0 the candidate is taken for normal and its test begins anew; at the bound it is an
obstacle until it is lost or back at 0.

Whatever the share of frames in which a normal thing is a candidate, its expected likelihood ratio per step is at most
1, because both hit and miss are counted as if it were sure to be so. So a test that begins at some frame ever reaches
the bound by chance with a probability of at most `exp(-bound)`, and with as many of them per frame as a clean frame has
candidates, `exp(bound) = candidates / false_alerts` keeps the false alerts per frame.

That holds for steps that err independently. Frames of a standing vehicle do not: they show the same paint on the same
road. So what speaks for an unknown counts once per view, when the candidate has moved by a fifth of its size in the
picture or has become as much larger or smaller; what speaks against it counts in every frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...object_rule import Evidence
from .tracks import MAX_GAP, Box, Tracker

APART_S = 0.1
"""Seconds between frames from which on each counts fully against a candidate; nearer ones count in proportion."""
FORGET_S = 2.0
"""Seconds without a judged frame after which nothing from before counts: boxes no longer tell what is what."""
NEW_VIEW = 0.2
"""Movement, in sizes of the candidate, and logarithm of its growth, from which on it is seen anew."""
MAX_CANDIDATES = 200
"""Candidates per frame, the strongest: assignment takes the cube of their number."""


@dataclass
class _Test:
    value: float = 0.0
    missed: int = 0
    decided: bool = False
    seen: Box | None = None

    def add(self, step: float, bound: float) -> None:
        """No more than the bound: what is an obstacle needs as many misses to be none, however long it was seen."""
        self.value = min(max(self.value + step, 0.0), bound)
        self.decided = self.value >= bound or (self.decided and self.value > 0.0)


class Evidences:
    """The tests of one camera; not thread-safe.

    Args:
        table: the bundle's.
        false_alerts: wanted per judged frame.
    """

    def __init__(self, table: Evidence, false_alerts: float) -> None:
        self.bound = math.log(max(table.candidates, 1.0) / false_alerts)
        self._table = table
        self._tracker = Tracker()
        self.reset()

    def reset(self) -> None:
        """Forget all of it."""
        self._tracker.reset()
        self._tests: dict[int, _Test] = {}
        self._last_ns: int | None = None

    def update(self, stamp_ns: int, boxes: list[Box], strengths: list[float], margin: float) -> list[bool]:
        """For each candidate of the next judged frame, whether it is an obstacle by now.

        Args:
            stamp_ns: of the frame; not before the last one.
            boxes: (x0, y0, x1, y1) in pixels, at most `MAX_CANDIDATES`.
            strengths: raw scores that the table is of.
            margin: pixels by which a far obstacle may jump.
        """
        elapsed = APART_S if self._last_ns is None else (stamp_ns - self._last_ns) * 1e-9
        if elapsed > FORGET_S:
            self.reset()
        self._last_ns = stamp_ns
        weight = min(1.0, elapsed / APART_S)
        seen = [track_id for track_id, _ in self._tracker.update(boxes, margin)]
        for track_id, strength, box in zip(seen, strengths, boxes, strict=True):
            test = self._tests.setdefault(track_id, _Test())
            test.missed, step = 0, self._table.hit(strength)
            if step <= 0:
                test.add(weight * step, self.bound)
            elif test.seen is None or _is_new_view(test.seen, box):
                test.seen = box
                test.add(step, self.bound)
        for track_id in self._tests.keys() - set(seen):
            test = self._tests[track_id]
            test.missed += 1
            test.add(weight * self._table.miss(), self.bound)
            if test.missed > MAX_GAP:  # the tracker has forgotten it, too
                del self._tests[track_id]
        return [self._tests[track_id].decided for track_id in seen]


def _is_new_view(before: Box, now: Box) -> bool:
    sizes = [math.sqrt((x1 - x0) * (y1 - y0)) for x0, y0, x1, y1 in (before, now)]
    shift = math.hypot(before[0] + before[2] - now[0] - now[2], before[1] + before[3] - now[1] - now[3]) / 2
    return shift >= NEW_VIEW * max(sizes) or abs(math.log(sizes[1] / sizes[0])) >= NEW_VIEW
