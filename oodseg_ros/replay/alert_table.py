"""Alerts as a CSV file, one line per frame."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from ..frame import Alert, Frame, Obstacle

COLUMNS = ("frame", "camera", "stamp_ns", "state", "reason", "count", "max_score", "min_range_m", "obstacles")


class AlertTable:
    """Context manager that writes alerts as they come; a run that is cut short leaves what it had.

    Columns: number of the frame, camera, header stamp, state, reason, number of obstacles, largest calibrated score,
    smallest distance of a range interval in metres (empty where unknown), and the obstacles as JSON.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", newline="", buffering=1)
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)

    def __enter__(self) -> AlertTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, number: int, frame: Frame, alert: Alert) -> None:
        """Append one frame's alert."""
        obstacles = alert.obstacles
        ranges = [obstacle.ground.range_min for obstacle in obstacles if obstacle.ground]
        self._writer.writerow(
            (
                number,
                frame.camera,
                frame.stamp_ns,
                alert.state.value,
                alert.reason,
                len(obstacles),
                f"{max(obstacle.score for obstacle in obstacles):.4f}" if obstacles else "",
                f"{min(ranges):.2f}" if ranges else "",
                json.dumps([as_dict(obstacle) for obstacle in obstacles], separators=(",", ":")),
            )
        )


def as_dict(obstacle: Obstacle) -> dict[str, Any]:
    """An obstacle as plain JSON values; an infinite range is null."""
    plain: dict[str, Any] = {
        "track": obstacle.track_id,
        "age": obstacle.age,
        "box": list(obstacle.box),
        "area": obstacle.area,
        "score": round(obstacle.score, 4),
        "foot": [round(value, 1) for value in obstacle.foot],
    }
    if obstacle.ground is not None:
        ground = obstacle.ground
        plain["position"] = [round(value, 3) for value in ground.position]
        plain["range_m"] = [_finite(ground.range_min), _finite(ground.range_max)]
    return plain


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
