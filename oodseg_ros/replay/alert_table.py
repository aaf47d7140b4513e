"""Alerts as a CSV file, one line per frame: the same columns from `replay` and `run`, and the words of the node."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from ..frame import Obstacle
from ..pipeline.alert import alert_values
from .judge import Judged

COLUMNS = (
    *("frame", "file", "camera", "stamp_ns", "state", "reason", "detail", "evidence_age_s", "score_drift_bits"),
    *("ranges", "count", "max_score", "min_range_m", "obstacles"),
)


class AlertTable:
    """Context manager that writes alerts as they come; a run that is cut short leaves what it had.

    Columns: number of the frame, file it was read from, camera, header stamp; state, reason, detail, age of evidence,
    drift and ranges in the words of the node's alert (`alert_values`); number of obstacles, largest calibrated
    score, smallest distance of a range interval in metres (empty where unknown), and the obstacles as JSON.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", newline="", buffering=1)
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)

    def __enter__(self) -> AlertTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, judged: Judged) -> None:
        step = judged.step
        obstacles = step.alert.obstacles
        ranges = [obstacle.ground.range_min for obstacle in obstacles if obstacle.ground]
        words = alert_values(step.alert, judged.unplaced)
        self._writer.writerow(
            (
                judged.number,
                judged.file,
                step.arrival.camera,
                step.arrival.stamp_ns,
                *(words[key] for key in COLUMNS[4:10]),
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
        "counts": obstacle.counts,
    }
    if obstacle.ground is not None:
        ground = obstacle.ground
        plain["position"] = [round(value, 3) for value in ground.position]
        plain["range_m"] = [_finite(ground.range_min), _finite(ground.range_max)]
    if obstacle.zone:
        plain["zone"] = obstacle.zone
    if obstacle.reach_s is not None:
        plain["reach_s"] = round(obstacle.reach_s, 2)
    return plain


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
