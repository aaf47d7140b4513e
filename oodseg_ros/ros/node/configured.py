"""All that the node holds between configure and cleanup, and the part of it that lives while it is active."""

from __future__ import annotations

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from ...frame import Frame
from ...inference.runner import Runner
from ...labels import LabelSet
from ...parameters.settings import CameraSettings, Settings
from ...pipeline import reasons
from ...pipeline.account import FrameCounter
from ...pipeline.alert_board import AlertBoard
from ...pipeline.geometry.camera_info import CalibrationCheck, is_rectified
from ...pipeline.geometry.ground import CameraGeometry
from ...pipeline.geometry.source import GeometrySource
from ...pipeline.input_gate.gate import InputGate
from ...pipeline.mailbox import Mailbox
from ...pipeline.obstacles.ego_mask import load_ego_mask
from ...pipeline.worker import Handlers, InferenceWorker
from ..messages.alert import to_alert
from ..messages.detections import VISION_MSGS
from . import qos, topics
from .camera_input import CameraInput
from .camera_reports import reaction, to_report
from .diagnostics import ALERT, NodeReport, Rates, to_diagnostics
from .heartbeat import Heartbeat
from .log_once import LogOnce
from .odometry import Odometry
from .outputs import Answer, CameraOutputs
from .recording import Recording
from .road import CameraRoad, Road
from .transforms import TF2_ROS, Transforms


class Configured:
    """Built on configure: a runner, the outputs, the heartbeat. `activate` adds subscriptions and the inference thread.

    Args:
        node: owner of topics and timers.
        settings: the present settings; read anew wherever a runtime parameter counts.
        runner: verified, owned by the inference thread from `activate` to `deactivate`.
        warnings: permanent ones, repeated in every diagnostic message.
        engine_failed: called once, in the inference thread, when the engine was given up.

    Raises:
        ConfigError: an ego mask cannot be read, or odometry is wanted without nav_msgs.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], Settings],
        runner: Runner,
        warnings: tuple[str, ...],
        engine_failed: Callable[[], None],
    ) -> None:
        self._node = node
        self._settings = settings
        self._runner = runner
        self._engine_failed = engine_failed
        self._enabled = True
        self._rates = Rates()
        self._inputs: dict[str, CameraInput] = {}
        self._worker: InferenceWorker | None = None
        now = settings()
        ego_masks = {camera.name: load_ego_mask(camera.ego_mask) if camera.ego_mask else None for camera in now.cameras}
        self._odometry = Odometry(node, now.odometry) if now.odometry else None
        if not VISION_MSGS and "obstacles" in now.publish:
            warnings += ("vision_msgs is not installed: no <camera>/obstacles and <camera>/semantic/label_info",)
        self._warnings = warnings
        self.board = AlertBoard(now.names, lambda: settings().image_timeout)
        self._reports = LogOnce(node.get_logger())
        self._placing: dict[str, str] = {}
        self._unplaced = dict.fromkeys(now.names, "no image has been judged yet")
        wants_tf = any(camera.geometry in ("auto", "tf") for camera in now.cameras)
        self._transforms = Transforms(node, now.base_frame) if TF2_ROS and wants_tf else None
        self.cameras = {
            camera.name: CameraRoad(
                outputs=CameraOutputs(
                    node,
                    camera.name,
                    now.publish,
                    self.labels,
                    now.base_frame,
                    now.ground_classes,
                    self._info(camera.name),
                ),
                ego_mask=ego_masks[camera.name],
                counter=FrameCounter(),
                geometry=self._geometry(camera),
                calibration=CalibrationCheck(camera.geometry, self._info(camera.name), self._rectified(camera)),
                gate=InputGate(camera.input_gate) if camera.input_gate.checks else None,
            )
            for camera in now.cameras
        }
        self.recording = Recording(node, now, runner.bundle.id, runner.engine_identity, self._unplaced)
        self._road = Road(
            node,
            settings,
            self.cameras,
            runner.bundle.card.calibration,
            self.board,
            self.publish_alert,
            self._reports,
            self.recording.frame,
            self._odometry.speed if self._odometry is not None else lambda: None,
        )
        self._heartbeat = Heartbeat(
            node,
            settings,
            self.board,
            runner.bundle.id,
            self.recording.alerts,
            lambda: self._worker.busy_for() if self._worker is not None else 0.0,
            engine_failed,
            self._unplaced,
        )
        self._diagnostics = node.create_publisher(
            DiagnosticArray, "/diagnostics", qos.profile(topics.DIAGNOSTICS_OUT), **qos.options()
        )
        # A clock of their own: heartbeats must not stop when simulation time does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            node.create_timer(1.0 / now.alert_rate, self.publish_alert, clock=steady),
            node.create_timer(1.0 / now.diagnostics_rate, self._publish_diagnostics, clock=steady),
        ]

    def activate(self) -> None:
        settings = self._settings()
        handlers = Handlers(
            decode=self._road.decode,
            answer=self._road.answer,
            answered=self._road.answered,
            dropped=self._road.dropped,
            warming=self._warming,
            fatal=self._fatal,
        )
        mailbox = Mailbox(settings.names, lambda item: self._road.dropped(item, "overwritten", None))
        self._worker = InferenceWorker(
            self._runner,
            mailbox,
            handlers,
            self._road.now_ns,
            lambda: self._settings().max_age,
            settings.batch,
            settings.engine_retries,
        )
        self._node.get_logger().info(reaction(settings))
        for road in self.cameras.values():
            if road.gate is not None:
                road.gate.reset()
        self.board.set_mode(None if self._enabled else reasons.DISABLED)
        self._worker.start()
        for camera in settings.cameras:
            counter = self.cameras[camera.name].counter
            self._inputs[camera.name] = CameraInput(
                self._node, camera, mailbox, counter, self.board.received, self._refusal, self.board.failed
            )

    def deactivate(self, timeout: float = 60.0) -> bool:
        """Stop answering; False: the inference thread is still inside the engine after `timeout` seconds."""
        for camera in self._inputs.values():
            camera.destroy()
        self._inputs.clear()
        stopped = self._worker is None or self._worker.stop(timeout)
        self._worker = None
        if self.board.mode != reasons.ENGINE_FAILED:
            self.board.set_mode(reasons.INACTIVE)
        # After SIGINT the context is gone before the node is.
        if self._node.context.ok():
            self.publish_alert()
        return stopped

    def destroy(self) -> None:
        self.recording.close()
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for camera in self.cameras.values():
            camera.outputs.destroy()
        if self._odometry is not None:
            self._odometry.destroy()
        self._heartbeat.destroy()
        self._node.destroy_publisher(self._diagnostics)
        if self._transforms is not None:
            self._transforms.destroy()

    def enable(self, enabled: bool) -> None:
        """Switched off, every frame is dropped as `disabled` and the state is UNKNOWN."""
        if enabled == self._enabled:
            # Evidence stays: whoever says it again must not blind the node for some frames.
            return
        self._enabled = enabled
        if self._worker is not None and self.board.mode != reasons.ENGINE_FAILED:
            self.board.set_mode(None if enabled else reasons.DISABLED)
        self.publish_alert()

    @property
    def labels(self) -> LabelSet:
        """The bundle's."""
        return self._runner.bundle.labels

    def newest(self) -> list[Answer]:
        """The last answer of every camera that has one."""
        return [camera.newest for camera in self.cameras.values() if camera.newest is not None]

    def publish_alert(self) -> None:
        """The board as it is now; from the heartbeat, and from the inference thread when something changed."""
        self._heartbeat.publish()

    def _geometry(self, camera: CameraSettings) -> Callable[[Frame], CameraGeometry | None]:
        name, told = camera.name, [""]

        def report(kind: str, text: str) -> None:
            told[0] = text
            self._reports.text_once(name, f"geometry/{kind}", text, severe=False)

        source = GeometrySource(camera, self._info(name), self._transforms, report, self._rectified(camera))

        def locate(frame: Frame) -> CameraGeometry | None:
            told[0] = "its geometry is none" if camera.geometry == "none" else ""
            found = source(frame)
            # At once, because the heartbeat reads it from another thread.
            self._placing[name] = told[0]
            self._unplaced[name] = "" if found is not None else told[0]
            return found

        return locate

    def _rectified(self, camera: CameraSettings) -> bool:
        topic = topics.inputs(camera.transport)[0].named(camera.name)
        return is_rectified(camera.name, camera.rectification, self._node.resolve_topic_name(topic))

    def _info(self, name: str) -> Callable[[], CameraInfo | None]:
        """Newest CameraInfo of a camera."""

        def info() -> CameraInfo | None:
            camera_input = self._inputs.get(name)
            return camera_input.info if camera_input is not None else None

        return info

    def _look_around(self, name: str) -> str:
        """Tell board and log what is wrong with the publishers of a camera; returns why they are too many."""
        if (camera := self._inputs.get(name)) is None:
            return ""
        several, missing = camera.look_around()
        self.board.explain(name, missing)
        if several:
            text = (
                f"camera {name}: {several}; what they send mixes, and a camera that stands still hides behind another"
            )
            self._reports.text_once(name, "publishers", text)
        elif missing and not missing.startswith("nobody"):
            self._reports.text_once(name, "publishers", f"camera {name}: {missing}")
        return several

    def _refusal(self) -> str | None:
        return None if self._enabled else reasons.DISABLED

    def _warming(self, warming: bool) -> None:
        self.board.set_warming(warming)
        self.publish_alert()

    def _fatal(self, error: Exception) -> None:
        self._node.get_logger().fatal(f"the engine failed again and again, giving up: {type(error).__name__}: {error}")
        self.board.set_mode(reasons.ENGINE_FAILED)
        self.publish_alert()
        self._engine_failed()

    def _publish_diagnostics(self) -> None:
        now, monotonic = self._node.get_clock().now(), time.monotonic()
        alerts = self.board.alerts(now.nanoseconds)
        settings = self._settings()
        several = {name: self._look_around(name) for name in self.cameras}
        reports = {
            name: to_report(
                *(name, road, alerts[name], settings, self._rates, monotonic),
                unplaced=self._placing.get(name, ""),
                publishers=several[name],
            )
            for name, road in self.cameras.items()
        }
        runner = self._runner
        node = NodeReport(
            self.board.mode or "",
            runner.engine_identity,
            runner.bundle.id,
            runner.golden_error,
            self._warnings,
            reaction(settings),
        )
        name = self._node.get_fully_qualified_name()
        recorder = self.recording.counts(), self.recording.trouble
        array = to_diagnostics(name, now.to_msg(), node, reports, *recorder)
        said = to_alert(
            alerts, now.to_msg(), self._heartbeat.sequence, runner.bundle.id, f"{name}: {ALERT}", self._unplaced
        )
        # Before the cameras, whose statuses end in the same name.
        array.status[1:1] = said.status
        self._diagnostics.publish(array)
