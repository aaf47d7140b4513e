"""What changes in the alerts of a drive: which appear, which disappear, which move in time or are for other objects."""

from __future__ import annotations

import bisect
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

OBSTACLE = "OBSTACLE"
KINDS = ("appeared", "disappeared", "moved", "changed")
NEAR_NS = 500_000_000
"""Boxes of both bundles are compared where they are nearest in time, at most so far apart."""
OVERLAP = 0.2
"""Boxes that share so much of the smaller one are of one object."""


@dataclass(frozen=True)
class Row:
    """One frame of an `alerts.csv`."""

    frame: int
    camera: str
    stamp_ns: int
    state: str
    reason: str
    obstacles: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Alarm:
    """A camera's OBSTACLE without a break, row by row."""

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """Where it begins."""
        return self.rows[0]

    @property
    def last(self) -> Row:
        """The last row of it."""
        return self.rows[-1]

    @property
    def camera(self) -> str:
        return self.first.camera


@dataclass(frozen=True)
class Change:
    """Alarms of both bundles that meet in time for one object, or those of one that meet none.

    Attributes:
        kind: `appeared`, `disappeared`, `moved`, or `changed`: at the same time, but an object is in one of them only.
        old, new: the alarms of each, in time order.
        lost, gained: where an object of the old that the new never has was seen first, and the other way round; one
            row for each object.
    """

    kind: str
    old: tuple[Alarm, ...]
    new: tuple[Alarm, ...]
    lost: tuple[Row, ...] = ()
    gained: tuple[Row, ...] = ()

    @property
    def first(self) -> Row:
        """Where to look: the first frame that only one of them has in alarm, or has this object in."""
        if self.kind == "changed":
            return min((*self.lost, *self.gained), key=lambda row: row.stamp_ns)
        begins = [alarms[0].first for alarms in (self.old, self.new) if alarms]
        ends = [alarms[-1].last for alarms in (self.old, self.new) if alarms]
        begin = min(begins, key=lambda row: row.stamp_ns)
        if len(begins) == 2 and begins[0].stamp_ns == begins[1].stamp_ns:
            return max(ends, key=lambda row: row.stamp_ns)
        return begin

    @property
    def begins_s(self) -> float | None:
        """Seconds by which the new one begins later; negative = earlier; None where one has none."""
        return (self.new[0].first.stamp_ns - self.old[0].first.stamp_ns) / 1e9 if self.old and self.new else None

    @property
    def ends_s(self) -> float | None:
        """Seconds by which the new one ends later; negative = earlier; None where one has none."""
        return (self.new[-1].last.stamp_ns - self.old[-1].last.stamp_ns) / 1e9 if self.old and self.new else None


def read_rows(path: Path) -> list[Row]:
    """The rows of an `alerts.csv`."""
    with path.open(newline="") as stream:
        return [
            Row(
                int(row["frame"]),
                row["camera"],
                int(row["stamp_ns"]),
                row["state"],
                row["reason"],
                tuple(json.loads(row["obstacles"] or "[]")),
            )
            for row in csv.DictReader(stream)
        ]


def alarms(rows: Sequence[Row]) -> list[Alarm]:
    """Runs of OBSTACLE, camera by camera, in time order."""
    found: list[Alarm] = []
    for camera in dict.fromkeys(row.camera for row in rows):
        run: list[Row] = []
        for row in [*(row for row in rows if row.camera == camera), None]:
            if row is not None and row.state == OBSTACLE:
                run.append(row)
            elif run:
                found.append(Alarm(tuple(run)))
                run = []
    return found


def changes(old: Sequence[Row], new: Sequence[Row], tolerance_s: float = 0.0) -> tuple[list[Change], int]:
    """What differs, in time order, and the number of alarms that do not.

    Alarms of the same camera that overlap in time are for the same object if boxes of theirs overlap, or if one of
    them tells no box.

    Args:
        old, new: of the same drive.
        tolerance_s: by so much begin and end may differ.
    """
    found, same = [], 0
    for before, after in _groups(alarms(old), alarms(new)):
        lost, gained = _only_in(before, after), _only_in(after, before)
        if not before or not after:
            found.append(Change("appeared" if after else "disappeared", before, after, lost, gained))
        elif len(before) != len(after) or any(
            abs(one.stamp_ns - other.stamp_ns) > 1e9 * tolerance_s + 0.5
            for pair in zip(before, after, strict=True)
            for one, other in zip(*((alarm.first, alarm.last) for alarm in pair), strict=True)
        ):
            found.append(Change("moved", before, after, lost, gained))
        elif lost or gained:
            found.append(Change("changed", before, after, lost, gained))
        else:
            same += len(before)
    found.sort(key=lambda change: (change.first.stamp_ns, change.first.camera))
    return found, same


def _groups(old: Sequence[Alarm], new: Sequence[Alarm]) -> list[tuple[tuple[Alarm, ...], tuple[Alarm, ...]]]:
    """Alarms that belong together, directly or by way of others: those of old and of new, in time order."""
    pairs = [(i, j) for i, before in enumerate(old) for j, after in enumerate(new) if _one_object(before, after)]
    graph = coo_array(
        (np.ones(len(pairs)), ([i for i, _ in pairs], [len(old) + j for _, j in pairs])),
        shape=(len(old) + len(new),) * 2,
    )
    count, group = connected_components(graph, directed=False)
    members: list[tuple[list[Alarm], list[Alarm]]] = [([], []) for _ in range(count)]
    for index, alarm in enumerate((*old, *new)):
        members[group[index]][index >= len(old)].append(alarm)
    return [(tuple(before), tuple(after)) for before, after in members]


def _one_object(one: Alarm, other: Alarm) -> bool:
    meet = one.first.stamp_ns <= other.last.stamp_ns and other.first.stamp_ns <= one.last.stamp_ns
    if one.camera != other.camera or not meet:
        return False
    mine, theirs = ([row for row in alarm.rows if row.obstacles] for alarm in (one, other))
    if not mine or not theirs:
        return True  # nothing but the time tells
    return any(_has(theirs, row, obstacle["box"]) for row in mine for obstacle in row.obstacles)


def _only_in(these: Sequence[Alarm], others: Sequence[Alarm]) -> tuple[Row, ...]:
    """Of each object of `these` that `others` never have: the row where it is seen first."""
    there = sorted((row for alarm in others for row in alarm.rows if row.obstacles), key=lambda row: row.stamp_ns)
    seen: dict[Any, Row] = {}
    shared = set()
    for row in (row for alarm in these for row in alarm.rows):
        for number, obstacle in enumerate(row.obstacles):
            # What is not tracked is one object per row.
            name = obstacle.get("track") or (row.stamp_ns, number)
            seen.setdefault(name, row)
            if (others and not there) or (there and _has(there, row, obstacle["box"])):
                shared.add(name)
    return tuple(row for name, row in seen.items() if name not in shared)


def _has(rows: Sequence[Row], at: Row, box: Sequence[int]) -> bool:
    """Whether the rows (with obstacles, in time order) have this object at that time, or nearest to it."""
    index = bisect.bisect_left(rows, at.stamp_ns, key=lambda row: row.stamp_ns)
    near = min(rows[max(0, index - 1) : index + 1], key=lambda row: abs(row.stamp_ns - at.stamp_ns))
    return abs(near.stamp_ns - at.stamp_ns) <= NEAR_NS and any(
        _overlap(box, obstacle["box"]) >= OVERLAP for obstacle in near.obstacles
    )


def _overlap(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of the smaller box that both have."""
    sides = [min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(0, sides[0]) * max(0, sides[1]) / max(1, min(areas))
