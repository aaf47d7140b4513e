"""All that the node holds between configure and cleanup, and the part of it that lives while it is active."""

from __future__ import annotations

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from ...inference.runner import Runner
from ...labels import LabelSet
from ...parameters.settings import CameraSettings, Settings
from ...pipeline import reasons
from ...pipeline.inference_thread import InferenceThread
from ...pipeline.pipeline import Pipeline
from ...pipeline.step import Step, Surroundings
from ..messages.alert import to_alert
from ..messages.detections import VISION_MSGS
from . import qos, topics
from .camera_input import CameraInput
from .diagnostics import ALERT, LogOnce, Rates, camera_status, engine_status, reaction, recorder_status
from .heartbeat import Heartbeat
from .outputs import Answer, CameraOutputs
from .recording import Recording
from .vehicle import TF2_ROS, Odometry, Transforms


class Session:
    """Built on configure: pipeline, outputs, heartbeat. `activate` adds subscriptions and the inference thread.

    Args:
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
        self._thread: InferenceThread | None = None
        self._newest: dict[str, Answer] = {}
        self._overlays_skipped = dict.fromkeys(settings().names, 0)
        now = settings()
        self._log = LogOnce(node.get_logger())
        # First: it may refuse a parameter, and then nothing else shall have been made.
        self.pipeline = Pipeline(
            runner,
            runner.bundle.card.calibration,
            settings,
            {camera.name: self._surroundings(camera) for camera in now.cameras},
            speed=lambda: self._odometry.speed() if self._odometry is not None else None,
            report=self._report,
            before_alert=lambda step: self.recording.frame(step),
        )
        self._odometry = Odometry(node, now.odometry) if now.odometry else None
        if not VISION_MSGS and "obstacles" in now.publish:
            warnings += ("vision_msgs is not installed: no <camera>/obstacles and <camera>/semantic/label_info",)
        self._warnings = warnings
        wants_tf = any(camera.geometry in ("auto", "tf") for camera in now.cameras)
        self._transforms = Transforms(node, now.base_frame) if TF2_ROS and wants_tf else None
        self.recording = Recording(node, now, runner.bundle.id, runner.engine_identity, self.pipeline.unplaced)
        self._outputs = {
            name: CameraOutputs(
                *(node, name, now.publish, self.labels, now.base_frame, now.ground_classes), self._info(name)
            )
            for name in now.names
        }
        self._heartbeat = Heartbeat(
            node,
            settings,
            self.pipeline.board,
            runner.bundle.id,
            self.recording.alerts,
            self._busy_for,
            engine_failed,
            self.pipeline.unplaced,
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
        priorities = {camera.name: camera.priority for camera in settings.cameras}
        thread = InferenceThread(self.pipeline, self._runner, priorities, self._now_ns, self._deliver, self._fatal)
        self._node.get_logger().info(reaction(settings))
        thread.start()
        if not self._enabled:
            self.pipeline.board.set_mode(reasons.DISABLED)
        self._thread = thread
        for camera in settings.cameras:
            self._inputs[camera.name] = CameraInput(self._node, camera, thread)

    def deactivate(self, timeout: float = 60.0) -> bool:
        """Stop answering; False: the inference thread is still inside the engine after `timeout` seconds."""
        for camera in self._inputs.values():
            camera.destroy()
        self._inputs.clear()
        thread, self._thread = self._thread, None
        stopped = thread is None or thread.stop(timeout)
        if self.pipeline.board.mode != reasons.ENGINE_FAILED:
            self.pipeline.board.set_mode(reasons.INACTIVE)
        # After SIGINT the context is gone before the node is.
        if self._node.context.ok():
            self.publish_alert()
        return stopped

    def destroy(self) -> None:
        self.recording.close()
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for outputs in self._outputs.values():
            outputs.destroy()
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
        board = self.pipeline.board
        if self._thread is not None and board.mode != reasons.ENGINE_FAILED:
            board.set_mode(None if enabled else reasons.DISABLED)
        self.publish_alert()

    @property
    def labels(self) -> LabelSet:
        return self._runner.bundle.labels

    def newest(self) -> list[Answer]:
        """The last answer of every camera that has one."""
        return [self._newest[name] for name in self._settings().names if name in self._newest]

    def publish_alert(self) -> None:
        """The board as it is now; from the heartbeat, and from the inference thread when something changed."""
        self._heartbeat.publish()

    def _deliver(self, step: Step) -> None:
        """Publish what a step says; in the inference thread."""
        if step.news:
            self.publish_alert()
        if step.dropped is not None:
            stamp = step.arrival.stamp_ns * 1e-9
            self._node.get_logger().debug(
                f"camera {step.arrival.camera}: image of {stamp:.3f} s dropped: {step.dropped}"
            )
        if step.error is not None:
            self._log.once(step.arrival.camera, step.dropped or "", step.error)
        if step.frame is None or step.judgement is None:
            return
        settings, name = self._settings(), step.arrival.camera
        answer = Answer(step.frame, step.judgement, step.arrival.source.header, step.geometry)
        age = (self._now_ns() - step.arrival.stamp_ns) * 1e-9
        late = settings.max_age > 0 and age > settings.max_age / 2
        self._overlays_skipped[name] += late
        self._outputs[name].publish(answer, settings.overlay_rate, settings.overlay_alpha, late)
        self._newest[name] = answer
        if step.dropped is None:
            age = (self._now_ns() - step.arrival.stamp_ns) * 1e-9
            self._node.get_logger().debug(
                f"camera {name}: image of {step.arrival.stamp_ns * 1e-9:.3f} s: {step.alert.state.value} "
                f"({step.alert.reason}), {len(step.alert.obstacles)} obstacles, published {age:.3f} s after its stamp"
            )

    def _report(self, camera: str, kind: str, text: str) -> None:
        if kind == "debug":
            self._node.get_logger().debug(f"camera {camera}: {text}")
            return
        self._log.text_once(camera, kind, text, severe=not kind.startswith("geometry/"))

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _busy_for(self) -> float:
        thread = self._thread  # once: deactivate sets it to None in another thread
        return 0.0 if thread is None else thread.busy_for()

    def _surroundings(self, camera: CameraSettings) -> Surroundings:
        topic = topics.inputs(camera.transport)[0].named(camera.name)
        topic = self._node.resolve_topic_name(topic)
        return Surroundings(self._info(camera.name), lambda: self._transforms, topic=topic)

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
        several, missing = camera.check_publishers()
        self.pipeline.board.explain(name, missing)
        if several:
            text = (
                f"camera {name}: {several}; what they send mixes, and a camera that stands still hides behind another"
            )
            self._log.text_once(name, "publishers", text)
        elif missing and not missing.startswith("nobody"):
            self._log.text_once(name, "publishers", f"camera {name}: {missing}")
        return several

    def _fatal(self, error: Exception) -> None:
        self._node.get_logger().fatal(f"giving up: {error}")
        self.pipeline.board.set_mode(reasons.ENGINE_FAILED)
        self.publish_alert()
        self._engine_failed()

    def _publish_diagnostics(self) -> None:
        now, monotonic = self._node.get_clock().now(), time.monotonic()
        board, settings = self.pipeline.board, self._settings()
        alerts = board.alerts(now.nanoseconds)
        runner, recorder = self._runner, self.recording.counts()
        name, reason = self._node.get_fully_qualified_name(), reaction(settings)
        engine = (board.mode or "", runner.engine_identity, runner.bundle.id, runner.golden_error)
        said = to_alert(
            *(alerts, now.to_msg(), self._heartbeat.sequence, runner.bundle.id, f"{name}: {ALERT}"),
            self.pipeline.unplaced,
        )
        again = None if runner.second_look is None else runner.second_look.taken
        array = DiagnosticArray()
        array.header.stamp = now.to_msg()
        # The alerts before the cameras, whose statuses end in the same name.
        array.status = [engine_status(name, *engine, self._warnings, reason, again), *said.status]
        array.status += [
            camera_status(
                *(name, camera, alerts[each], settings, self._rates, monotonic),
                overlays_skipped=self._overlays_skipped[each],
                publishers=self._look_around(each),
            )
            for each, camera in self.pipeline.cameras.items()
        ]
        if recorder:
            array.status.append(recorder_status(name, recorder, self.recording.trouble))
        self._diagnostics.publish(array)
