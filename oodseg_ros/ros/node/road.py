"""What happens to a frame between mailbox and topics, for all cameras: the handlers of the inference thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from rclpy.node import Node

from ...frame import Alert, Frame, Prediction
from ...model_card import Calibration
from ...parameters.settings import Settings
from ...pipeline import account as timing
from ...pipeline.account import AgeWindow, FrameCounter
from ...pipeline.alert_board import AlertBoard
from ...pipeline.camera import CameraPipeline
from ...pipeline.geometry.ground import CameraGeometry
from ...pipeline.input_gate.gate import InputGate
from ...pipeline.input_gate.image_statistics import measure
from ...pipeline.mailbox import Item
from ...pipeline.reasons import FrameRefused
from ..messages.images import to_frame
from .log_once import LogOnce
from .outputs import Answer, CameraOutputs


@dataclass
class CameraRoad:
    """State of one camera's road.

    Attributes:
        outputs: its publishers.
        ego_mask: uint8, or None.
        counter, ages: its account; ages are stamp → published, seconds.
        geometry: frame → geometry, or None where nothing is known.
        calibration: frame → how camera_info contradicts it; empty = not.
        gate: which images are judged at all; None = all.
        pipeline: judges its frames; made anew when the thresholds change.
        newest: last answer, for snapshots.
    """

    outputs: CameraOutputs
    ego_mask: np.ndarray | None
    counter: FrameCounter
    geometry: Callable[[Frame], CameraGeometry | None]
    calibration: Callable[[Frame], str] = lambda frame: ""
    gate: InputGate | None = None
    ages: AgeWindow = field(default_factory=AgeWindow)
    pipeline: CameraPipeline | None = None
    newest: Answer | None = None
    overlays_skipped: int = 0


class Road:
    """Handlers for `InferenceWorker`; all run in its thread, except `dropped` for overwritten and inactive frames.

    Args:
        node: for clock and log.
        settings: read anew for each frame, so that runtime parameters take effect.
        cameras: name → state.
        calibration: of the bundle.
        board: where alerts are posted.
        publish_alert: sends the board's alerts at once.
        reports: what is logged once.
        record: keeps a frame, its score and its state for the event recorder.
        speed: of the vehicle in m/s, or None where nothing measures it.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], Settings],
        cameras: Mapping[str, CameraRoad],
        calibration: Calibration,
        board: AlertBoard,
        publish_alert: Callable[[], None],
        reports: LogOnce,
        record: Callable[[Item, Frame, np.ndarray | None, Alert], None],
        speed: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._clock, self._log = node.get_clock(), node.get_logger()
        self._settings = settings
        self._cameras = cameras
        self._calibration = calibration
        self._board = board
        self._publish_alert = publish_alert
        self._record = record
        self._reports = reports
        self._speed = speed
        self._judged_by = settings().obstacles

    def now_ns(self) -> int:
        return self._clock.now().nanoseconds

    def decode(self, item: Item) -> Frame:
        camera, frame = self._cameras[item.camera], to_frame(item.payload, item.camera)
        if camera.gate is not None:
            encoding = getattr(item.payload, "encoding", "") or getattr(item.payload, "format", "")
            statistics = measure(frame.image, encoding, frame.stamp_ns, self.now_ns(), camera.calibration(frame))
            if fault := camera.gate.check(statistics):
                raise FrameRefused(fault, frame)
        return frame

    def answer(self, item: Item, frame: Frame, prediction: Prediction) -> str | None:
        camera, settings = self._cameras[item.camera], self._settings()
        if settings.obstacles != self._judged_by:
            # New thresholds, new evidence.
            self._judged_by = settings.obstacles
            for other in self._cameras.values():
                other.pipeline = None
        pipeline = self._pipeline(camera)
        if reason := self._board.interruption(item.camera):
            # The heartbeat said UNKNOWN meanwhile; evidence from before does not count as if nothing had been.
            pipeline.unknown(reason, self.now_ns())
        geometry = camera.geometry(frame)
        speed = self._speed() if settings.speed is None else settings.speed
        judgement = pipeline.judge(frame, prediction, self.now_ns(), geometry, speed)
        # Before the alert: what triggers a bag is in it.
        self._record(item, frame, judgement.prediction.score, judgement.alert)
        if self._board.post(item.camera, judgement.alert):
            self._publish_alert()
        answer = Answer(frame, judgement, item.payload.header, geometry)
        age = (self.now_ns() - frame.stamp_ns) * 1e-9
        late = settings.max_age > 0 and age > settings.max_age / 2
        camera.overlays_skipped += late
        camera.outputs.publish(answer, settings.overlay_rate, settings.overlay_alpha, late)
        camera.newest = answer
        if judgement.refused is not None:
            text = f"camera {item.camera}: answer refused: {judgement.refused.text} (said once)"
            self._reports.text_once(item.camera, judgement.refused.reason, text)
            return judgement.refused.reason
        age = (self.now_ns() - frame.stamp_ns) * 1e-9
        camera.ages.add(age, settings.deadline)
        alert = judgement.alert
        self._log.debug(
            f"camera {item.camera}: image of {frame.stamp_ns * 1e-9:.3f} s: {alert.state.value} ({alert.reason}), "
            f"{len(alert.obstacles)} obstacles, published {age:.3f} s after its stamp"
        )
        return None

    def answered(self, item: Item) -> None:
        self._cameras[item.camera].counter.answer()

    def dropped(self, item: Item, reason: str, error: Exception | None) -> None:
        camera = self._cameras[item.camera]
        camera.counter.drop(reason)
        self._log.debug(f"camera {item.camera}: image of {item.stamp_ns * 1e-9:.3f} s dropped: {reason}")
        if error is not None:
            self._reports.once(item.camera, reason, error)
        if reason in (timing.OVERWRITTEN, timing.INACTIVE):
            return
        if reason == timing.TOO_OLD:
            self._too_old(item)
        self._board.failed(item.camera, reason)
        if error is not None:
            refused = isinstance(error, FrameRefused)
            detail = error.fault.detail if refused else ""
            alert = self._pipeline(camera).unknown(reason, self.now_ns(), detail)
            if refused:
                self._record(item, error.frame, None, alert)
            if self._board.post(item.camera, alert):
                self._publish_alert()

    def _pipeline(self, camera: CameraRoad) -> CameraPipeline:
        if camera.pipeline is None:
            settings = self._settings()
            camera.pipeline = CameraPipeline(
                self._calibration, settings.obstacles, camera.ego_mask, settings.output_gate
            )
        return camera.pipeline

    def _too_old(self, item: Item) -> None:
        age = (self.now_ns() - item.stamp_ns) * 1e-9
        if age > 3600:
            self._reports.text_once(
                item.camera,
                "clock",
                f"camera {item.camera}: images are stamped {age:.0f} s ago; when a bag is played, use its clock "
                "(--clock and use_sim_time:=true) or set max_age to 0",
            )
