"""Figures of a replayed drive."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..evaluation.results import latency
from ..frame import AlertState
from ..inference.runner import Runner
from .drive import Drive


def summarize_drive(drive: Drive, runner: Runner) -> dict[str, Any]:
    """The content of a replay's `metrics.json`, without the run's own duration.

    `alerts`: onsets, that is transitions into OBSTACLE, of all cameras together; per hour of the drive and per
    kilometre; the share of frames in each state; `pixel` and `component` only with ground truth, keys as of an
    evaluation.
    """
    hours = max(0, drive.end_ns - (drive.start_ns or 0)) / 3.6e12
    onsets = sum(row["onset"] for row in drive.rows)
    states = Counter(row["state"] for row in drive.rows)
    ages = [row["age_s"] for row in drive.rows if math.isfinite(row["age_s"])]
    kilometres = drive.metres / 1000
    result: dict[str, Any] = {
        "frames": len(drive.rows),
        "judged": len(drive.milliseconds),
        "bundle": runner.bundle.id,
        "engine": runner.engine_identity,
        "duration_s": hours * 3600,
        "kilometres": kilometres,
        "alerts": {
            "onsets": onsets,
            "per_hour": onsets / hours if hours else math.nan,
            "per_kilometre": onsets / kilometres if kilometres > 0 else math.nan,
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


def refuse_unjudged(name: str, judged: int, skipped: Mapping[str, int]) -> None:
    """No frame that was judged is no result, however many were read.

    Raises:
        DatasetError: with the commonest reasons.
    """
    if not judged:
        reasons = "; ".join(f"{count} {why}" for why, count in Counter(skipped).most_common(3))
        raise DatasetError(f"{name}: not one frame was judged: {reasons or 'there is none'}")


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
