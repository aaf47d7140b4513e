"""`replay`: a bag through a bundle and the alert logic, without ROS, on the bag's own clock.

Everything that is decided depends on the bag, the bundle and the engine only: the clock is the log time of the
messages, so `alerts.csv` is the same byte for byte in every run, however fast the machine is.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BagError, UserError
from ..evaluation.metrics.components import ComponentMetrics
from ..evaluation.metrics.pixels import PixelMetrics
from ..frame import Alert, AlertState, Frame
from ..inference.runner import Runner
from ..parameters.settings import ObstacleSettings, OutputGateSettings
from ..pipeline.camera import CameraPipeline, Judgement
from ..pipeline.input_gate.gate import InputGate
from ..pipeline.input_gate.image_statistics import ImageStatistics, measure
from ..pipeline.reasons import FrameRefused
from ..pipeline.score_drift import ScoreDrift
from ..sources.bag_messages import RawMessage, ReplayBag
from ..sources.bag_topics import camera_names, choose_topics
from ..sources.bags import FrameReader
from .alert_table import AlertTable
from .truth import Truth

ODOMETRY = "nav_msgs/msg/Odometry"
Watcher = Callable[[RawMessage, Frame, Judgement], None]


@dataclass
class Drive:
    """What a replay came to.

    Attributes:
        rows: per judged frame: camera, stamp_ns, log_ns, state, reason, score (highest calibrated one of its obstacles,
            0 without), age_s (of the evidence when the message was logged), drift, onset (an alert begins here).
        skipped: frames that could not be judged, counted by reason.
        start_ns, end_ns: first and last log time of the camera messages.
        metres: way driven, nan without an odometry topic.
        pixel, components: metrics of the frames with ground truth; None without.
        milliseconds: time of the network per frame; the only thing here that depends on the machine.
        damage: what of the bag could not be read.
        missing: frames that the bag promises and that did not come.
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


def replay(
    runner: Runner,
    bag: ReplayBag,
    settings: ObstacleSettings,
    out: Path,
    *,
    topics: list[str] | None = None,
    truth: Truth | None = None,
    track: str = "obstacle",
    limit: int | None = None,
    ego_mask: np.ndarray | None = None,
    gates: bool = True,
    watch: Watcher = lambda raw, frame, judgement: None,
    progress: Callable[[int], None] = lambda done: None,
) -> Drive:
    """Judge every frame of the bag and write `out/alerts.csv`.

    Args:
        runner: a loaded bundle.
        bag: see there.
        settings: of all cameras.
        out: an existing folder.
        topics: image topics; None = one per camera.
        truth: ground truth by stamp.
        track: component rule for frames with ground truth.
        limit: frames at most.
        ego_mask: see `CameraPipeline`.
        gates: refuse pictures and answers as the node does by default; what they refuse is UNKNOWN and counted.
        watch: called with every judged frame, in order.
        progress: called with the number of frames so far.

    Raises:
        BagError: the bag has no such topic, no camera, or not one message of them.
    """
    cameras = camera_names(choose_topics(bag.topics, topics, str(bag.path)))
    odometry = next((topic for topic, kind in sorted(bag.topics.items()) if kind == ODOMETRY), None)
    drive, way, read = Drive(), _Way(), FrameReader(bag)
    if truth is not None:
        drive.pixel, drive.components = PixelMetrics(), ComponentMetrics(track)
    calibration = runner.bundle.card.calibration
    output_gate = OutputGateSettings() if gates else None
    pipelines = {camera: CameraPipeline(calibration, settings, ego_mask, output_gate) for camera in cameras.values()}
    looks = {camera: InputGate() for camera in cameras.values()} if gates else {}
    drifts = {camera: ScoreDrift(calibration.inlier_histogram) for camera in cameras.values()}
    states: dict[str, AlertState] = {}
    warm: set[tuple[int, ...]] = set()
    count = 0
    with AlertTable(out / "alerts.csv") as table:
        for raw in bag.messages({*cameras} | ({odometry} if odometry else set())):
            if raw.topic == odometry:
                way.add(bag, raw)
                continue
            if limit is not None and count >= limit:
                break
            count += 1
            camera = cameras[raw.topic]
            drive.start_ns = raw.log_ns if drive.start_ns is None else drive.start_ns
            drive.end_ns = raw.log_ns
            try:
                frame, encoding = read(raw, camera)
                if looks and (fault := looks[camera].check(_statistics(frame, encoding, raw.log_ns))):
                    raise FrameRefused(fault, frame)
                if frame.image.shape not in warm:  # what is built for a new size is no part of a frame's time
                    runner.warm(*frame.image.shape[:2])
                    warm.add(frame.image.shape)
                start = time.perf_counter()
                prediction = runner([frame.image])[0]
                drive.milliseconds.append((time.perf_counter() - start) * 1e3)
            except FrameRefused as refused:
                drive.skipped[f"{camera}: {refused.fault.reason}"] += 1
                alert = pipelines[camera].unknown(refused.fault.reason, raw.log_ns, refused.fault.detail)
                _record(drive, table, count - 1, raw, refused.frame, alert, states, math.nan)
                continue
            except UserError as error:
                drive.skipped[f"{camera}: {error}"] += 1
                frame = Frame(np.zeros((1, 1, 3), np.uint8), raw.log_ns, camera)
                alert = pipelines[camera].unknown("bad_image", raw.log_ns)
                _record(drive, table, count - 1, raw, frame, alert, states, math.nan)
                continue
            judgement = pipelines[camera].judge(frame, prediction, raw.log_ns)
            drift = drifts[camera].measure(judgement.prediction.score)
            _record(drive, table, count - 1, raw, frame, judgement.alert, states, drift)
            if judgement.refused is not None:
                drive.skipped[f"{camera}: {judgement.refused.reason}"] += 1
            elif truth is not None:
                _compare(drive, truth, frame, judgement)
            watch(raw, frame, judgement)
            progress(count)
    drive.metres = way.metres
    drive.damage, drive.missing = bag.damage, bag.missing(set(cameras))
    if not drive.rows:
        raise BagError(f"bag {bag.path} holds no message on {', '.join(cameras)}: {drive.damage or 'it is empty'}")
    return drive


class _Way:
    """Length of the way of an odometry topic, in the plane."""

    def __init__(self) -> None:
        self.metres = math.nan
        self._last: tuple[float, float] | None = None

    def add(self, bag: ReplayBag, raw: RawMessage) -> None:
        try:
            position = bag.parse(raw).pose.pose.position
        except UserError:
            return
        here = (position.x, position.y)
        if not all(map(math.isfinite, here)):
            return
        self.metres = (0.0 if math.isnan(self.metres) else self.metres) + (
            math.dist(here, self._last) if self._last else 0.0
        )
        self._last = here


def _statistics(frame: Frame, encoding: str, now_ns: int) -> ImageStatistics:
    return measure(frame.image, encoding, frame.stamp_ns, now_ns)


def _record(
    drive: Drive,
    table: AlertTable,
    number: int,
    raw: RawMessage,
    frame: Frame,
    alert: Alert,
    states: dict[str, AlertState],
    drift: float,
) -> None:
    table.write(number, frame, alert)
    onset = alert.state is AlertState.OBSTACLE and states.get(frame.camera) is not AlertState.OBSTACLE
    states[frame.camera] = alert.state
    drive.rows.append(
        {
            "number": number,
            "camera": frame.camera,
            "stamp_ns": frame.stamp_ns,
            "log_ns": raw.log_ns,
            "state": alert.state.value,
            "reason": alert.reason,
            "score": max((obstacle.score for obstacle in alert.obstacles), default=0.0),
            "age_s": alert.evidence_age_s,
            "drift": drift,
            "onset": onset,
        }
    )


def _compare(drive: Drive, truth: Truth, frame: Frame, judgement: Judgement) -> None:
    try:
        mask = truth.find(frame.stamp_ns)
        if mask is not None:
            drive.pixel.update(judgement.prediction.score, mask)
            drive.components.update(judgement.prediction.score, mask, judgement.mask)
    except UserError as error:
        drive.skipped[f"{frame.camera}, ground truth: {error}"] += 1
