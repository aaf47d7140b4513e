"""What changes in the alerts of a drive: which appear, which disappear, which move in time."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OBSTACLE = "OBSTACLE"


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
    """A camera's OBSTACLE without a break: first and last row."""

    first: Row
    last: Row

    @property
    def camera(self) -> str:
        return self.first.camera


@dataclass(frozen=True)
class Change:
    """Alarms of both bundles that meet in time, or those of one that meet none.

    Attributes:
        kind: `appeared`, `disappeared` or `moved`.
        old, new: the alarms of each, in time order.
    """

    kind: str
    old: tuple[Alarm, ...]
    new: tuple[Alarm, ...]

    @property
    def first(self) -> Row:
        """Where to look: the first frame that only one of them has in alarm."""
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
                found.append(Alarm(run[0], run[-1]))
                run = []
    return found


def changes(old: Sequence[Row], new: Sequence[Row], tolerance_s: float = 0.0) -> tuple[list[Change], int]:
    """What differs, in time order, and the number of alarms that do not.

    Args:
        old, new: of the same drive.
        tolerance_s: by so much begin and end may differ.
    """
    entries = [(0, alarm) for alarm in alarms(old)] + [(1, alarm) for alarm in alarms(new)]
    entries.sort(key=lambda entry: (entry[1].camera, entry[1].first.stamp_ns))
    groups: list[list[tuple[int, Alarm]]] = []
    end = -1
    for side, alarm in entries:
        meets = groups and groups[-1][0][1].camera == alarm.camera and alarm.first.stamp_ns <= end
        if meets:
            groups[-1].append((side, alarm))
            end = max(end, alarm.last.stamp_ns)
        else:
            groups.append([(side, alarm)])
            end = alarm.last.stamp_ns
    found, same = [], 0
    for group in groups:
        before, after = (tuple(alarm for side, alarm in group if side == wanted) for wanted in (0, 1))
        if not before or not after:
            found.append(Change("appeared" if after else "disappeared", before, after))
            continue
        if len(before) == len(after) and all(
            abs(one.stamp_ns - other.stamp_ns) <= 1e9 * tolerance_s + 0.5
            for pair in zip(before, after, strict=True)
            for one, other in zip(*((alarm.first, alarm.last) for alarm in pair), strict=True)
        ):
            same += len(before)
        else:
            found.append(Change("moved", before, after))
    found.sort(key=lambda change: (change.first.stamp_ns, change.first.camera))
    return found, same
