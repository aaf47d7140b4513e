"""`replay`: a bag through the pipeline without ROS, on the bag's own clock.

Everything that is decided depends on the bag, the parameters, the bundle and the engine only: the clock is the log time
of the messages, so `alerts.csv` is the same byte for byte in every run, however fast the machine is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BagError, UserError
from ..evaluation.metrics.components import ComponentMetrics
from ..evaluation.metrics.pixels import PixelMetrics
from ..frame import AlertState, Frame
from ..inference.runner import Runner
from ..parameters.settings import Settings
from ..pipeline.geometry.ground import CameraGeometry
from ..pipeline.output_gate import ScoreDrift
from .alert_table import AlertTable
from .recorded import Judged, RecordedBag, begun, judge
from .truth import Truth


@dataclass
class Drive:
    """What a replay came to.

    Attributes:
        rows: per frame: camera, stamp_ns, log_ns, state, reason, score (highest calibrated one of its obstacles,
            0 without), age_s (of the evidence when the message was logged), drift, onset (an alert begins here).
        skipped: frames that could not be judged, counted by reason.
        start_ns, end_ns: first and last log time of the camera messages.
        metres: way driven, nan without an odometry topic.
        pixel, components: metrics of the frames with ground truth; None without.
        milliseconds: time of the network per frame; the only thing here that depends on the machine.
        missing: frames that the bag promises and that did not come.
        notes: what a person should know of bag and parameters.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    start_ns: int | None = None
    end_ns: int = 0
    metres: float = math.nan
    pixel: PixelMetrics | None = None
    components: ComponentMetrics | None = None
    milliseconds: list[float] = field(default_factory=list)
    damage: str | None = None
    missing: int = 0
    notes: list[str] = field(default_factory=list)


def replay(
    runner: Runner,
    bag: RecordedBag,
    settings: Settings,
    out: Path,
    *,
    truth: Truth | None = None,
    track: str = "obstacle",
    limit: int | None = None,
    geometry: Callable[[Frame], CameraGeometry | None] | None = None,
    watch: Callable[[Judged], None] = lambda judged: None,
    progress: Callable[[int], None] = lambda done: None,
) -> Drive:
    """Judge every frame of the bag and write `out/alerts.csv`.

    Args:
        out: an existing folder.
        truth: ground truth by stamp.
        track: component rule for frames with ground truth.
        geometry: of the cameras, in place of the bag's calibrations; None = those.
        watch: called with every frame, in order.
        progress: called with the number of frames so far.

    Raises:
        BagError: the bag holds not one message of its cameras.
        EngineError: the engine cannot run on pictures of this size (then nothing is replaced).
        EngineGivenUp: it failed again and again.
    """
    drive = Drive()
    if truth is not None:
        drive.pixel, drive.components = PixelMetrics(), ComponentMetrics(track)
    histogram = runner.bundle.card.calibration.inlier_histogram
    drifts = {camera: ScoreDrift(histogram) for camera in settings.names}
    states: dict[str, AlertState] = {}
    recorded = bag.recorded(geometry)
    frames = begun(judge(runner, recorded, settings, limit))
    with AlertTable(out / "alerts.csv") as table:
        for judged in frames:
            step = judged.step
            drive.start_ns = judged.now_ns if drive.start_ns is None else drive.start_ns
            drive.end_ns = judged.now_ns
            drift = math.nan
            if step.judgement is not None:
                drive.milliseconds.append(step.network_s * 1e3)
                drift = drifts[step.arrival.camera].measure(step.judgement.prediction.score)
            table.write(judged)
            _record(drive, judged, states, drift)
            if judged.trouble is not None:
                drive.skipped[judged.trouble] += 1
            elif truth is not None:
                _compare(drive, truth, judged)
            watch(judged)
            progress(judged.number + 1)
    drive.metres = bag.metres
    drive.skipped.update(bag.skipped)
    drive.notes = recorded.notes
    drive.damage, drive.missing = bag.bag.damage, bag.bag.missing(set(bag.cameras))
    if not drive.rows:
        names = ", ".join(bag.cameras)
        raise BagError(f"bag {bag.bag.path} holds no message on {names}: {drive.damage or 'it is empty'}")
    return drive


def _record(drive: Drive, judged: Judged, states: dict[str, AlertState], drift: float) -> None:
    camera, alert = judged.step.arrival.camera, judged.step.alert
    onset = alert.state is AlertState.OBSTACLE and states.get(camera) is not AlertState.OBSTACLE
    states[camera] = alert.state
    drive.rows.append(
        {
            "number": judged.number,
            "camera": camera,
            "stamp_ns": judged.step.arrival.stamp_ns,
            "log_ns": judged.now_ns,
            "state": alert.state.value,
            "reason": alert.reason,
            "score": max((obstacle.score for obstacle in alert.obstacles), default=0.0),
            "age_s": alert.evidence_age_s,
            "drift": drift,
            "onset": onset,
        }
    )


def _compare(drive: Drive, truth: Truth, judged: Judged) -> None:
    camera, judgement = judged.step.arrival.camera, judged.step.judgement
    score = judgement.prediction.score
    try:
        mask = truth.find(judged.step.arrival.stamp_ns)
        if mask is not None:
            drive.pixel.update(score, mask)
            drive.components.update(score, mask, judgement.mask)
    except UserError as error:
        drive.skipped[f"{camera}, ground truth: {error}"] += 1
