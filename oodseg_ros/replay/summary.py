"""Figures of a replayed drive, and how healthy it was: where it could not tell, why and for how long, what was lost,
how far the scores drifted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DatasetError, counted
from ..evaluation.results import distribution
from ..frame import AlertState
from ..inference.runner import Runner
from ..pipeline.account import AgeWindow, FrameCounter
from .drive import Drive

MAX_EPISODES = 50


@dataclass(frozen=True)
class Episode:
    """Frames in a row that were UNKNOWN for one reason; seconds since the drive began, and its length."""

    camera: str
    reason: str
    start_s: float
    seconds: float
    frames: int


@dataclass(frozen=True)
class CameraHealth:
    """One camera over a whole drive.

    Attributes:
        unknown: share of them that were UNKNOWN.
        expected, lost: frames that the stamps say there were, and those of them that are missing.
        rate: frames per second by the stamps; NaN where too few.
        age_p50, age_p99: of the evidence, seconds; NaN where there was none.
        drift_p50, drift_max: of single frames from the calibration, bits; NaN where not measured.
        reasons: reason of UNKNOWN → frames, most frequent first.
    """

    frames: int
    unknown: float
    expected: int
    lost: int
    rate: float
    age_p50: float
    age_p99: float
    drift_p50: float
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
        drift_p50=drift.p50,
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


MIN_RATE_S = 600.0
"""Seconds of driving from which a rate per hour or kilometre is told: one alert in 5 s is not 720 per hour."""


def rates(onsets: int, seconds: float, metres: float) -> dict[str, float]:
    """`per_hour` and `per_kilometre`; nan where the drive is too short to tell, or the way is not known."""
    told = seconds >= MIN_RATE_S
    return {
        "per_hour": onsets / seconds * 3600 if told else math.nan,
        "per_kilometre": onsets / metres * 1000 if told and metres > 0 else math.nan,
    }


def summarize_drive(drive: Drive, runner: Runner) -> dict[str, Any]:
    """The content of a replay's `metrics.json`, without the run's own duration.

    `alerts`: onsets, that is transitions into OBSTACLE, of all cameras together, and where they `began` (`at_s` =
    seconds since the first frame); per hour and kilometre of a drive that is long enough; the share of frames in each
    state; `drift`: mean drift of the scores from those of calibration in the first and the last quarter of the frames,
    in bits, 0 = as in calibration, 1 = nothing in common; `pixel` and `component` only with ground truth, keys as of an
    evaluation.
    """
    seconds = max(0, drive.end_ns - (drive.start_ns or 0)) / 1e9
    began = [row for row in drive.rows if row["onset"]]
    states = Counter(row["state"] for row in drive.rows)
    ages = [row["age_s"] for row in drive.rows if math.isfinite(row["age_s"])]
    result: dict[str, Any] = {
        "frames": len(drive.rows),
        "judged": drive.judged,
        "bundle": runner.bundle.id,
        "engine": runner.engine_identity,
        "duration_s": seconds,
        "kilometres": drive.metres / 1000,
        "alerts": {
            "onsets": len(began),
            "began": [
                {
                    "camera": row["camera"],
                    "stamp_ns": row["stamp_ns"],
                    "at_s": (row["log_ns"] - (drive.start_ns or 0)) / 1e9,
                    "score": row["score"],
                }
                for row in began
            ],
            **rates(len(began), seconds, drive.metres),
            "share_of_frames": {s.value: states[s.value] / max(1, len(drive.rows)) for s in AlertState},
            "reasons": dict(Counter(row["reason"] for row in drive.rows)),
        },
        "evidence_age_s": distribution(ages),
        "drift": {"first_quarter": _quarter(drive, 0), "last_quarter": _quarter(drive, 3)},
        "looked_again": drive.looked_again,
        "latency_ms": distribution([1e3 * taken for taken in drive.seconds["inference"]]),
        "skipped": dict(drive.skipped),
        "missing": drive.missing,
        "damage": drive.damage,
    }
    if drive.pixel is not None and drive.pixel.frames:
        result["pixel"] = drive.pixel.compute()
        threshold = result["pixel"]["best_F1_threshold"]
        if math.isfinite(threshold):
            result["component"] = drive.components.compute(threshold)
        # The masks of the judgements: by threshold and object rule, as the node publishes them.
        deployed = {"threshold": runner.bundle.card.calibration.threshold}
        result["component_deployed"] = deployed | drive.components.compute_predicted()
    return result


def refuse_unjudged(name: str, judged: int, skipped: Mapping[str, int]) -> None:
    """Refuse a result in which not one frame was judged, however many were read.

    Raises:
        DatasetError: with the commonest reasons.
    """
    if not judged:
        reasons = "; ".join(counted(skipped, 3, "{} {}"))
        raise DatasetError(f"{name}: not one frame was judged: {reasons or 'there is none'}")


def _quarter(drive: Drive, number: int) -> float:
    values = np.asarray([row["drift"] for row in drive.rows])
    part = np.array_split(values, 4)[number]
    part = part[~np.isnan(part)]
    return float(part.mean()) if part.size else math.nan
