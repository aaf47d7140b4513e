"""All that happens to the cameras' frames between picture and alert: one entry for the node, `replay` and `run`.

A frame comes with a time and leaves as a `Step`: what is known of its camera then. In between: account of its stamp,
input gate, network, output gate, objects, zones, tracks, alert. Knows no ROS, and no time but the one it is given.
Whatever one frame raises is a reason of that frame; only an engine that fails again and again is raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..errors import ImageError
from ..frame import Alert, Frame, Prediction
from ..model_card import Calibration
from ..parameters.judging import ObstacleSettings
from ..parameters.settings import CameraSettings, Settings
from . import reasons
from .alert_board import AlertBoard
from .camera import CameraPipeline
from .geometry.camera_info import CalibrationCheck, is_rectified
from .geometry.source import GeometrySource
from .input_gate.gate import InputGate
from .input_gate.picture import measure
from .network import Admitted, BatchRunner, Network, Outcome, compiled_now
from .obstacles.zones import load_ego_mask
from .step import Arrival, Camera, Step, Surroundings

_CLOCK_APART = 3600.0
"""Seconds; images as old as that are stamped by another clock than this one."""


class Pipeline:
    """`frame` is the one entry for a frame at a time; `InferenceThread` uses its parts for cameras side by side.

    `receive`, `drop` and what the board and the accounts are asked may come from any thread, all else from one.

    Args:
        runner: images → predictions.
        settings: read anew for each frame, so that runtime parameters take effect.
        surroundings: by camera; those without an entry have no geometry.
        speed: of the vehicle in m/s, or None where nothing measures it; the parameter `speed` goes before it.
        clock: seconds that never go back, for time-outs.
        report: called with camera, kind and sentence for what a person should know; may come again and again. Of kind
            `debug`: what became of a frame that gives no step.
        before_alert: called with every judged or refused frame before its alert can be seen anywhere.

    Raises:
        ConfigError: an ego mask cannot be read, or rectification contradicts the topic.
    """

    def __init__(
        self,
        runner: BatchRunner,
        calibration: Calibration,
        settings: Callable[[], Settings],
        surroundings: Mapping[str, Surroundings] | None = None,
        speed: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[str, str, str], None] = lambda camera, kind, text: None,
        before_alert: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self._settings = settings
        self._speed = speed
        self._report = report
        self._before_alert = before_alert
        self._judged_by: ObstacleSettings = settings().obstacles
        self._placing = ""
        self.unplaced: dict[str, str] = dict.fromkeys(settings().names, "no image has been judged yet")
        """Camera → why its obstacles have no position; empty = they have."""
        self.ready: Callable[[int, int, int], bool] = lambda *shape: compiled_now(runner, *shape)
        """(height, width, batch) → whether that can run now. False: it will be, and frames wait; raises why not."""
        self.board = AlertBoard(settings().names, lambda: settings().image_timeout, clock)
        self._network = Network(runner, lambda *shape: self.ready(*shape), settings, self.board.set_warming, report)
        given = surroundings or {}
        self.cameras = {
            camera.name: self._camera(camera, calibration, given.get(camera.name, Surroundings()))
            for camera in settings().cameras
        }

    def start(self) -> None:
        """Answer from now on; nothing from before counts."""
        for camera in self.cameras.values():
            if camera.gate is not None:
                camera.gate.reset()
        self._network.start()
        self.board.set_mode(None)

    def stop(self) -> None:
        """Count the frames that wait inside as `inactive`."""
        for arrival, _ in self._network.take_waiting().values():
            self.drop(arrival, reasons.INACTIVE)

    def reset(self, name: str) -> None:
        """Forget all evidence of a camera, as if its next frame were its first."""
        camera = self.cameras[name]
        camera.judge.reset()
        if camera.gate is not None:
            camera.gate.reset()

    def frame(self, arrival: Arrival, now_ns: int) -> Step:
        """Judge one frame at `now_ns`, the clock of the stamps.

        Raises:
            EngineGivenUp: the engine failed on more than `engine_retries` frames in a row.
            KeyError: no such camera.
        """
        reason = self.receive(arrival.camera, arrival.stamp_ns)
        if reason is not None:
            return Step(arrival, self._known(arrival.camera, now_ns), reason)
        (step,) = self.step([arrival], lambda: now_ns)
        self.delivered(step, now_ns)
        return step

    def receive(self, name: str, stamp_ns: int, against: str | None = None) -> str | None:
        """Count a frame that arrived; the reason for which it is dropped unseen, `against` if nothing else, or None."""
        self.board.received(name)
        counter = self.cameras[name].counter
        reason = counter.receive(stamp_ns)
        if reason is not None:
            self.board.failed(name, reason)
        elif self.board.mode == reasons.DISABLED:
            reason = reasons.DISABLED
            counter.drop(reason)
        elif against is not None:
            reason = against
            counter.drop(reason)
            self.board.failed(name, reason)
        return reason

    def drop(self, arrival: Arrival, reason: str) -> None:
        """Count a received frame that will not be looked at."""
        self.cameras[arrival.camera].counter.drop(reason)
        self._report(arrival.camera, "debug", f"image of {arrival.stamp_ns * 1e-9:.3f} s dropped: {reason}")

    def step(self, arrivals: Sequence[Arrival], now_ns: Callable[[], int]) -> Iterator[Step]:
        """Judge received frames that are there side by side; equal sizes run as one batch.

        Frames whose size is not compiled wait inside, the newest of each camera; they come out of a later call.

        Args:
            arrivals: at most one per camera, the most important first.
            now_ns: the clock of the stamps.

        Raises:
            EngineGivenUp: see `frame`; after the step of the last frame that failed.
        """
        self._follow_settings()
        groups: dict[tuple[int, ...], list[Admitted]] = {}
        fresh = {arrival.camera for arrival in arrivals}
        for name, (arrival, frame) in self._network.take_waiting().items():
            if name in fresh:
                self.drop(arrival, reasons.OVERWRITTEN)
            else:
                groups.setdefault(frame.image.shape, []).append((arrival, frame))
        for arrival in arrivals:
            admitted = self._admit(arrival, now_ns)
            if isinstance(admitted, Step):
                yield admitted
            else:
                self.cameras[arrival.camera].shape = admitted[1].image.shape[:2]
                groups.setdefault(admitted[1].image.shape, []).append(admitted)
        for group in groups.values():
            _, most = self.batch(group[0][0].camera)
            for outcome in self._network.run(group, most, now_ns):
                yield self._concluded(outcome, now_ns())

    def delivered(self, step: Step, now_ns: int) -> None:
        """A step has reached whoever waits for it: an answered frame counts as answered only then."""
        if step.dropped is None:
            camera = self.cameras[step.arrival.camera]
            camera.counter.answer()
            camera.ages.add((now_ns - step.arrival.stamp_ns) * 1e-9, self._settings().deadline)

    def undelivered(self, step: Step, error: Exception, now_ns: int) -> Step:
        """A step could not be handed on: its frame is lost, and its camera is UNKNOWN."""
        if step.dropped is not None:
            return Step(step.arrival, step.alert, step.dropped, error=error)
        return self.lost(step.arrival, error, now_ns)

    def lost(self, arrival: Arrival, error: Exception, now_ns: int) -> Step:
        """A received frame came to nothing by a fault of this program: its camera is UNKNOWN."""
        return self._refuse(arrival, reasons.INTERNAL_ERROR, now_ns, error=error)

    # Inside.

    def _camera(self, settings: CameraSettings, calibration: Calibration, around: Surroundings) -> Camera:
        name, now = settings.name, self._settings()

        def report(kind: str, text: str) -> None:
            self._placing = text
            self._report(name, f"geometry/{kind}", text)

        rectified = is_rectified(name, settings.rectification, around.topic)
        return Camera(
            settings=settings,
            judge=CameraPipeline(
                calibration,
                now.obstacles,
                load_ego_mask(settings.ego_mask) if settings.ego_mask else None,
                now.output_gate,
            ),
            gate=InputGate(settings.input_gate) if settings.input_gate.checks else None,
            contradiction=CalibrationCheck(settings.geometry, around.info, rectified),
            locate=around.geometry or GeometrySource(settings, around.info, around.poses, report, rectified),
            rectified=rectified,
        )

    def _follow_settings(self) -> None:
        obstacles = self._settings().obstacles
        if obstacles != self._judged_by:
            # New thresholds, new evidence.
            self._judged_by = obstacles
            for camera in self.cameras.values():
                camera.judge.change(obstacles)

    def _known(self, name: str, now_ns: int) -> Alert:
        return self.board.alerts(now_ns)[name]

    def _admit(self, arrival: Arrival, now_ns: Callable[[], int]) -> Admitted | Step:
        """The frame, if it may be judged."""
        camera, now = self.cameras[arrival.camera], now_ns()
        if arrival.is_older(self._settings().max_age, now):
            return self._late(arrival, now)
        try:
            frame = arrival.decode()
        except Exception as error:  # adversarial messages raise anything; none may end the thread
            return self._refuse(arrival, reasons.DECODE_FAILED, now, error=error)
        if camera.gate is not None:
            try:
                statistics = measure(frame.image, arrival.encoding, frame.stamp_ns, now, camera.contradiction(frame))
                fault = camera.gate.check(statistics)
            except Exception as error:
                return self._refuse(arrival, reasons.INTERNAL_ERROR, now, error=error)
            if fault is not None:
                return self._refuse(arrival, fault.reason, now, fault.detail, frame)
        return arrival, frame

    def batch(self, name: str) -> tuple[set[str], int]:
        """Cameras of this one's image size, itself among them, and how many of them run as one batch."""
        shape = self.cameras[name].shape
        same = {other for other, camera in self.cameras.items() if shape is not None and camera.shape == shape}
        most = max(1, min(self._settings().batch, len(same)))
        return same | {name}, self._network.together(shape, most)

    def _concluded(self, outcome: Outcome, now_ns: int) -> Step:
        """The step of a frame that the network is done with."""
        arrival, error = outcome.arrival, outcome.error
        if error is not None:
            reason = reasons.DECODE_FAILED if isinstance(error, ImageError) else reasons.ENGINE_ERROR
            return self._refuse(arrival, reason, now_ns, error=error)
        if outcome.prediction is None:
            return self._late(arrival, now_ns)
        try:
            return self._judge(arrival, outcome.frame, outcome.prediction, now_ns, outcome.seconds)
        except Exception as fault:
            return self._refuse(arrival, reasons.INTERNAL_ERROR, now_ns, error=fault)

    def _judge(self, arrival: Arrival, frame: Frame, prediction: Prediction, now_ns: int, network_s: float) -> Step:
        start = time.perf_counter()
        name = arrival.camera
        camera, settings = self.cameras[name], self._settings()
        if reason := self.board.interruption(name):
            # The heartbeat said UNKNOWN meanwhile; evidence from before does not count as if nothing had been.
            camera.judge.unknown(reason, now_ns)
        self._placing = "its geometry is none" if camera.settings.geometry == "none" else ""
        geometry = camera.locate(frame)
        # At once, because others read it from their threads.
        camera.placing = self._placing
        self.unplaced[name] = "" if geometry is not None else self._placing
        speed = self._speed() if settings.speed is None else settings.speed
        judgement = camera.judge.judge(frame, prediction, now_ns, geometry, speed)
        if camera.judge.lacks_evidence:
            text = "alert_rule is evidence, but the bundle has no table for it: only hits raise the alert; see "
            self._report(name, "evidence", f"camera {name}: {text}oodseg calibrate-objects --objects")
        refused = judgement.refused
        if refused is not None:
            self._report(name, refused.reason, f"camera {name}: answer refused: {refused.text} (said once)")
        step = Step(
            arrival,
            judgement.alert,
            None if refused is None else refused.reason,
            frame,
            judgement,
            geometry,
            network_s=network_s,
            judging_s=time.perf_counter() - start,
        )
        posted = self._post(step)
        if refused is not None:
            camera.counter.drop(refused.reason)
        return posted

    def _refuse(
        self,
        arrival: Arrival,
        reason: str,
        now_ns: int,
        detail: str = "",
        frame: Frame | None = None,
        error: Exception | None = None,
    ) -> Step:
        """Count a frame that cannot be judged; its camera is UNKNOWN."""
        camera = self.cameras[arrival.camera]
        camera.counter.drop(reason)
        self.board.failed(arrival.camera, reason)
        if error is None:
            text = f"{reasons.sentence(reason)} ({detail})" if detail else reasons.sentence(reason)
            self._report(arrival.camera, reason, f"camera {arrival.camera}: frame dropped ({reason}): {text}")
        alert = camera.judge.unknown(reason, now_ns, detail)
        return self._post(Step(arrival, alert, reason, frame, error=error))

    def _post(self, step: Step) -> Step:
        if step.frame is not None:
            self._before_alert(step)
        news = self.board.post(step.arrival.camera, step.alert)
        return replace(step, news=news)

    def _late(self, arrival: Arrival, now_ns: int) -> Step:
        self.drop(arrival, reasons.TOO_OLD)
        name = arrival.camera
        self.board.failed(name, reasons.TOO_OLD)
        age = (now_ns - arrival.stamp_ns) * 1e-9
        if age > _CLOCK_APART:
            self._report(
                name,
                "clock",
                f"camera {name}: images are stamped {age:.0f} s ago; when a bag is played, use its clock (--clock and "
                "use_sim_time:=true) or set max_age to 0",
            )
        return Step(arrival, self._known(name, now_ns), reasons.TOO_OLD)
