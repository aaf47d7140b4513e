"""All that happens to the cameras' frames between picture and alert: one entry for the node, `replay` and `run`.

A frame comes with a time and leaves as a `Step`: what is known of its camera then. In between: account of its stamp,
input gate, network, output gate, objects, zones, tracks, alert. Knows no ROS, and no time but the one it is given.
Whatever one frame raises is a reason of that frame; only an engine that fails again and again is raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..errors import EngineError, ImageError
from ..frame import Alert, Frame, Prediction
from ..model_card import Calibration
from ..parameters.settings import CameraSettings, ObstacleSettings, Settings
from . import reasons
from .account import AgeWindow, FrameCounter
from .alert_board import AlertBoard
from .camera import CameraPipeline, Judgement
from .geometry.camera_info import CalibrationCheck, CameraInfo, is_rectified
from .geometry.ground import CameraGeometry
from .geometry.source import GeometrySource, PoseSource
from .input_gate.gate import InputGate
from .input_gate.image_statistics import measure
from .obstacles.ego_mask import load_ego_mask

_CLOCK_APART = 3600.0
"""Seconds; images as old as that are stamped by another clock than this one."""


class BatchRunner(Protocol):
    """What is needed of `inference.Runner`."""

    def __call__(self, images: Sequence[Any]) -> list[Prediction]: ...

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool: ...

    def warm(self, height: int, width: int, batch: int = 1) -> None: ...

    def batch_pays(self, height: int, width: int, batch: int) -> bool: ...


class EngineGivenUp(EngineError):
    """The engine failed on too many frames in a row."""


@dataclass(frozen=True)
class Arrival:
    """A frame that nobody has looked at yet.

    Attributes:
        camera: its name.
        stamp_ns: header stamp; 0 = it has none.
        decode: gives the frame; raises ImageError (or anything) for what holds no picture.
        encoding: as the message states it; any constant where there is no message.
        source: what it was made of, for whoever gets the step.
    """

    camera: str
    stamp_ns: int
    decode: Callable[[], Frame]
    encoding: str = ""
    source: Any = None


@dataclass(frozen=True)
class Step:
    """What is known after one frame.

    Attributes:
        arrival: the frame as it came.
        alert: its camera's, now.
        dropped: the reason under which it is counted; None = it was answered.
        frame: the picture, where there is one.
        judgement: where the network answered; of a refused answer nothing may be acted upon.
        geometry: where the obstacles' positions come from.
        error: what was raised.
        news: a consumer should hear of it at once: another state or reason, or obstacles.
        network_s, judging_s: seconds that the network and everything after it took.
    """

    arrival: Arrival
    alert: Alert
    dropped: str | None = None
    frame: Frame | None = None
    judgement: Judgement | None = None
    geometry: CameraGeometry | None = None
    error: Exception | None = None
    news: bool = False
    network_s: float = 0.0
    judging_s: float = 0.0


@dataclass(frozen=True)
class Surroundings:
    """What is known of a camera beside its pictures; all are asked for every frame.

    Attributes:
        info: newest calibration (sensor_msgs/CameraInfo), or None.
        poses: tells where frames sit on the vehicle; None = nothing does.
        geometry: takes the place of both where they are known otherwise.
        topic: of the pictures; its name may say that they are rectified.
    """

    info: Callable[[], CameraInfo | None] = lambda: None
    poses: Callable[[], PoseSource | None] = lambda: None
    geometry: Callable[[Frame], CameraGeometry | None] | None = None
    topic: str = ""


@dataclass
class Camera:
    """State of one camera.

    Attributes:
        counter, ages: its account; ages are stamp → delivered, seconds.
        placing: what is amiss with their positions, in a sentence; empty = nothing.
        shape: (height, width) of its last image.
        rectified: its pictures follow P of camera_info.
    """

    settings: CameraSettings
    judge: CameraPipeline
    gate: InputGate | None
    contradiction: Callable[[Frame], str]
    locate: Callable[[Frame], CameraGeometry | None]
    counter: FrameCounter = field(default_factory=FrameCounter)
    ages: AgeWindow = field(default_factory=AgeWindow)
    placing: str = ""
    shape: tuple[int, int] | None = None
    rectified: bool = False


Admitted = tuple[Arrival, Frame]


class Pipeline:
    """`frame` is the one entry for a frame at a time; `InferenceThread` uses its parts for cameras side by side.

    `receive`, `drop` and what the board and the accounts are asked may come from any thread, all else from one.

    Args:
        runner: images → predictions.
        calibration: of its bundle.
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
        self._runner = runner
        self._settings = settings
        self._speed = speed
        self._report = report
        self._before_alert = before_alert
        self._judged_by: ObstacleSettings = settings().obstacles
        self._failures = 0
        self._waiting: dict[str, Admitted] = {}
        self._refused: set[tuple[int, int, int]] = set()
        self._placing = ""
        self.unplaced: dict[str, str] = dict.fromkeys(settings().names, "no image has been judged yet")
        """Camera → why its obstacles have no position; empty = they have."""
        self.ready: Callable[[int, int, int], bool] = self._compiled_now
        """(height, width, batch) → whether that can run now. False: it will be, and frames wait; raises why not."""
        self.board = AlertBoard(settings().names, lambda: settings().image_timeout, clock)
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
        self._failures = 0
        self._waiting.clear()
        self.board.set_mode(None)

    def stop(self) -> None:
        """Count the frames that wait inside as `inactive`."""
        for arrival, _ in self._waiting.values():
            self.drop(arrival, reasons.INACTIVE)
        self._waiting.clear()

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
        waiting, self._waiting = self._waiting, {}
        for name, (arrival, frame) in waiting.items():
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
            for chunk in self._chunks(group):
                yield from self._answered(chunk, now_ns)

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

    def _compiled_now(self, height: int, width: int, batch: int) -> bool:
        if not self._runner.is_warm(height, width, batch):
            self._runner.warm(height, width, batch)
        return True

    def _admit(self, arrival: Arrival, now_ns: Callable[[], int]) -> Admitted | Step:
        """The frame, if it may be judged."""
        camera, now = self.cameras[arrival.camera], now_ns()
        if self._is_too_old(arrival, now):
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
        if most > 1 and shape is not None and not self._runner.batch_pays(*shape, most):
            most = 1
        return same | {name}, most

    def _chunks(self, group: list[Admitted]) -> list[list[Admitted]]:
        """Whole batches, of as many images as cameras send this size, and single ones."""
        height, width = group[0][1].image.shape[:2]
        _, most = self.batch(group[0][0].camera)
        if len(group) < max(2, most) or not self._may_run(group[0][0].camera, height, width, most):
            return [[one] for one in group]
        whole = len(group) // most * most
        return [group[i : i + most] for i in range(0, whole, most)] + [[one] for one in group[whole:]]

    def _may_run(self, name: str, height: int, width: int, batch: int) -> bool:
        """Whether a batch can run; where not, single images do, and what the engine refused is not asked for again."""
        if (height, width, batch) in self._refused:
            return False
        try:
            if not self.ready(height, width, 1):
                return False
        except Exception:  # said where the single images run
            return False
        try:
            return self.ready(height, width, batch)
        except Exception as error:
            self._refused.add((height, width, batch))
            self._report(name, "batch", f"images of {width}x{height} run one by one, not {batch} together: {error}")
            return False

    def _answered(self, chunk: list[Admitted], now_ns: Callable[[], int]) -> Iterator[Step]:
        height, width = chunk[0][1].image.shape[:2]
        try:
            ready = self.ready(height, width, len(chunk))
        except Exception as error:
            for arrival, _ in chunk:
                self.board.set_warming(arrival.camera, False)
            yield from self._failed(chunk, error, now_ns)
            return
        for arrival, frame in chunk:
            self.board.set_warming(arrival.camera, not ready)
            if not ready:
                self._waiting[arrival.camera] = arrival, frame
        if not ready:
            return
        # Again here: compiling, or the cameras before this one, may have taken longer than the frame may wait.
        fresh = []
        for admitted in chunk:
            if self._is_too_old(admitted[0], now_ns()):
                yield self._late(admitted[0], now_ns())
            else:
                fresh.append(admitted)
        if len(fresh) == len(chunk):
            yield from self._run(fresh, now_ns)
        else:
            for one in fresh:
                yield from self._run([one], now_ns)

    def _run(self, chunk: list[Admitted], now_ns: Callable[[], int]) -> Iterator[Step]:
        start = time.perf_counter()
        try:
            predictions = _checked(chunk, self._runner([frame.image for _, frame in chunk]))
        except Exception as error:
            if len(chunk) > 1:  # one frame must not take the other cameras' frames with it
                for one in chunk:
                    yield from self._run([one], now_ns)
            else:
                yield from self._failed(chunk, error, now_ns)
            return
        self._failures = 0
        seconds = (time.perf_counter() - start) / len(chunk)
        for (arrival, frame), prediction in zip(chunk, predictions, strict=True):
            try:
                yield self._judge(arrival, frame, prediction, now_ns(), seconds)
            except Exception as error:
                yield self._refuse(arrival, reasons.INTERNAL_ERROR, now_ns(), error=error)

    def _failed(self, chunk: list[Admitted], error: Exception, now_ns: Callable[[], int]) -> Iterator[Step]:
        """The engine could not be compiled for, or failed on, these frames."""
        reason = reasons.DECODE_FAILED if isinstance(error, ImageError) else reasons.ENGINE_ERROR
        for arrival, _ in chunk:
            yield self._refuse(arrival, reason, now_ns(), error=error)
        if reason == reasons.ENGINE_ERROR:
            self._failures += 1
            if self._failures > self._settings().engine_retries:
                raise EngineGivenUp(
                    f"the engine failed on {self._failures} frames in a row, the last time with "
                    f"{type(error).__name__}: {error}"
                ) from error

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

    def _is_too_old(self, arrival: Arrival, now_ns: int) -> bool:
        limit = self._settings().max_age
        return limit > 0 and now_ns - arrival.stamp_ns > limit * 1e9


def _checked(chunk: list[Admitted], predictions: list[Prediction]) -> list[Prediction]:
    """One prediction per frame, of its size, or the engine has failed: a smaller mask would be a hole in the view."""
    if len(predictions) != len(chunk):
        raise RuntimeError(f"the engine answered {len(predictions)} of {len(chunk)} images")
    for (_, frame), prediction in zip(chunk, predictions, strict=True):
        sizes = frame.image.shape[:2], prediction.labels.shape, prediction.score.shape
        if len(set(sizes)) > 1:
            raise RuntimeError("image, labels and score have different sizes: {}, {}, {}".format(*sizes))
    return predictions
