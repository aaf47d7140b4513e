"""How healthy a drive was: where it could not tell, why and for how long, what was lost, how far the scores drifted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..frame import AlertState
from ..pipeline.account import AgeWindow, FrameCounter
from ..pipeline.reasons import sentence

MAX_EPISODES = 50


@dataclass(frozen=True)
class Episode:
    """Frames in a row that were UNKNOWN for one reason; seconds since the drive began, and its length."""

    camera: str
    reason: str
    start_s: float
    seconds: float
    frames: int

    @property
    def text(self) -> str:
        """The reason for people."""
        return sentence(self.reason)


@dataclass(frozen=True)
class CameraHealth:
    """One camera over a whole drive.

    Attributes:
        frames: judged or refused.
        unknown: share of them that were UNKNOWN.
        expected, lost: frames that the stamps say there were, and those of them that are missing.
        rate: frames per second by the stamps; NaN where too few.
        age_p50, age_p99, age_max: of the evidence, seconds; NaN where there was none.
        drift_p50, drift_p95, drift_max: of single frames from the calibration, bits; NaN where not measured.
        reasons: reason of UNKNOWN → frames, most frequent first.
    """

    frames: int
    unknown: float
    expected: int
    lost: int
    rate: float
    age_p50: float
    age_p99: float
    age_max: float
    drift_p50: float
    drift_p95: float
    drift_max: float
    reasons: dict[str, int]


@dataclass(frozen=True)
class Health:
    """Of all cameras; `episodes` are the longest ones, in order of time."""

    cameras: dict[str, CameraHealth]
    episodes: tuple[Episode, ...]


def summarize_health(rows: Iterable[Mapping[str, Any]]) -> Health:
    """Health of a drive.

    Args:
        rows: one per frame in order of time, with camera, stamp_ns, log_ns, state, reason, age_s and drift.
    """
    rows = list(rows)
    start_ns = rows[0]["log_ns"] if rows else 0
    cameras = {camera: [row for row in rows if row["camera"] == camera] for camera in {row["camera"] for row in rows}}
    episodes = [episode for camera in cameras.values() for episode in _episodes(camera, start_ns)]
    longest = sorted(episodes, key=lambda episode: (-episode.seconds, episode.start_s))[:MAX_EPISODES]
    return Health(
        {name: _camera(cameras[name]) for name in sorted(cameras)},
        tuple(sorted(longest, key=lambda episode: (episode.start_s, episode.camera))),
    )


def _camera(rows: list[Mapping[str, Any]]) -> CameraHealth:
    counter, ages, drifts = FrameCounter(), AgeWindow(len(rows)), AgeWindow(len(rows))
    for row in rows:
        counter.receive(row["stamp_ns"])
        if math.isfinite(row["age_s"]):
            ages.add(row["age_s"])
        if math.isfinite(row["drift"]):
            drifts.add(row["drift"])
    reasons = Counter(row["reason"] for row in rows if row["state"] == AlertState.UNKNOWN.value)
    counts, age, drift = counter.counts(), ages.summary(), drifts.summary()
    return CameraHealth(
        frames=len(rows),
        unknown=sum(reasons.values()) / len(rows),
        expected=counts.expected,
        lost=counts.lost,
        rate=1 / counter.period_s(),
        age_p50=age.p50,
        age_p99=age.p99,
        age_max=age.max,
        drift_p50=drift.p50,
        drift_p95=drift.p95,
        drift_max=drift.max,
        reasons=dict(reasons.most_common()),
    )


def _episodes(rows: list[Mapping[str, Any]], start_ns: int) -> list[Episode]:
    found: list[Episode] = []
    begun: int | None = None
    for index, row in enumerate([*rows, None]):
        key = (row["state"], row["reason"]) if row is not None else None
        first = rows[begun] if begun is not None else None
        if first is not None and key != (first["state"], first["reason"]):
            # It lasts until something else is said.
            end = row["log_ns"] if row is not None else rows[-1]["log_ns"]
            start = (first["log_ns"] - start_ns) / 1e9
            found.append(Episode(first["camera"], first["reason"], start, (end - first["log_ns"]) / 1e9, index - begun))
            begun = None
        if begun is None and row is not None and row["state"] == AlertState.UNKNOWN.value:
            begun = index
    return found
