"""Figures of a replayed drive."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from ..evaluation.results import latency
from ..frame import AlertState
from ..inference.runner import Runner
from .drive import Drive

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
        "evidence_age_s": _distribution(ages),
        "drift": {"first_quarter": _quarter(drive, 0), "last_quarter": _quarter(drive, 3)},
        "latency_ms": latency(drive.milliseconds),
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


def _distribution(values: list[float]) -> dict[str, float]:
    if not values:
        return dict.fromkeys(("p50", "p95", "p99", "max"), math.nan)
    p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "max": max(values)}


def _quarter(drive: Drive, number: int) -> float:
    values = np.asarray([row["drift"] for row in drive.rows])
    part = np.array_split(values, 4)[number]
    part = part[~np.isnan(part)]
    return float(part.mean()) if part.size else math.nan
