"""One camera's way from prediction to alert: ego mask, components, tracks, ground positions, state machine."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from ..frame import Alert, AlertState, Frame, GroundPosition, Obstacle, Prediction
from ..model_card import Calibration
from ..object_rule import Objects
from ..parameters.judging import ALERT, EVIDENCE, IGNORE, ObstacleSettings, OutputGateSettings
from .alert import AlertMachine
from .geometry.ground import CameraGeometry, ground_area, ground_position
from .obstacles.coherent import coherent_score
from .obstacles.components import Component, anomaly_mask
from .obstacles.evidence import FORGET_S, MAX_CANDIDATES, Evidences
from .obstacles.objects import find_objects
from .obstacles.release import least_area, release_rule, release_threshold
from .obstacles.tracks import Closing, Tracker, time_to_reach
from .obstacles.zones import check_ego_mask, fit_ego_mask, place
from .output_gate import OutputGate, read
from .reasons import Fault

_TRACK_MARGIN = 0.01
"""Of the image width: how far a small box may jump between two frames."""


@dataclass(frozen=True)
class Judgement:
    """All that is known about one frame.

    Attributes:
        prediction: as the bundle made it, score NaN under the ego mask; what all is decided on.
        mask: uint8 `[H, W]`, 255 = anomalous, else 0.
        obstacles: those that count for the alert first, then the largest first; empty where the answer was refused.
        alert: the camera's alert after this frame.
        unlisted: number of obstacles beyond `max_obstacles`.
        calibration: what makes raw scores comparable, for whoever shows them.
        threshold: raw score that was asked for; NaN = not known.
        min_area: least number of pixels of a group that could be an obstacle.
        refused: what the output gate has against the prediction; nothing of it may be acted upon. None = nothing.
    """

    prediction: Prediction
    mask: np.ndarray
    obstacles: tuple[Obstacle, ...]
    alert: Alert
    unlisted: int = 0
    calibration: Calibration | None = None
    refused: Fault | None = None
    threshold: float = math.nan
    min_area: int = 1

    @property
    def objects(self) -> Objects | None:
        """The bundle's rule of objects, where it is known."""
        return None if self.calibration is None else self.calibration.objects

    @cached_property
    def score(self) -> np.ndarray:
        """float32 `[H, W]`, NaN = not judged: the coherent score, for all that is shown or published.

        Made when it is first asked for: it takes milliseconds.
        """
        return coherent_score(self.prediction.published, self.objects, self.min_area)


@dataclass(frozen=True)
class _Found:
    """An obstacle before it has an identity: its pixels, where it stands, its zone, and whether it counts there."""

    component: Component
    ground: GroundPosition | None
    zone: str
    counts: bool


_Tracked = tuple[_Found, tuple[int, int]]
"""With its track id and age."""


class CameraPipeline:
    """State of one camera; not thread-safe.

    Args:
        calibration: the bundle's threshold and score table.
        ego_mask: uint8 `[H, W]` of any size, non-zero = own vehicle; None = everything is judged.
        gate: which answers are refused; None = only what is not finite.

    Raises:
        ConfigError: the ego mask is no gray image or masks everything.
    """

    def __init__(
        self,
        calibration: Calibration,
        settings: ObstacleSettings,
        ego_mask: np.ndarray | None = None,
        gate: OutputGateSettings | None = None,
    ) -> None:
        self._calibration = calibration
        self._gate = OutputGate(calibration, gate or OutputGateSettings(checks=()))
        self._closing = Closing()
        self._ego_mask = None if ego_mask is None else check_ego_mask(ego_mask)
        self._ego_nan: np.ndarray | None = None
        self._tracker = Tracker()
        self._last_stamp: int | None = None
        self._evidence_stamp: int | None = None
        self.change(settings)

    def change(self, settings: ObstacleSettings) -> None:
        """Judge by other settings from now on. Evidence begins anew; track ids go on."""
        self._settings = settings
        self._threshold = self._calibration.threshold if settings.threshold is None else settings.threshold
        self._release = release_threshold(self._calibration, self._threshold, settings.release_threshold)
        self._held = release_rule(self._calibration.objects, self._threshold, self._release)
        self._machine = AlertMachine(settings)
        table, objects = self._calibration.evidence, self._calibration.objects
        self.lacks_evidence = settings.alert_rule == EVIDENCE and (table is None or objects is None)
        self._evidences = None
        if settings.alert_rule == EVIDENCE and table is not None and objects is not None:
            self._evidences = Evidences(table, settings.false_alerts)
            self._grow = min(objects.grow, self._threshold)
            self._whole = objects.model_copy(update={"core": None, "smaller": []})  # the table is of whole candidates
        self.reset()

    def reset(self) -> None:
        """Forget tracks and evidence, as after a jump in time."""
        self._tracker.reset()
        self._machine.reset()
        self._gate.reset()
        self._closing.reset()
        if self._evidences is not None:
            self._evidences.reset()
        self._raised: set[int] = set()  # tracks that a weaker obstacle must be one of to hold the alert
        self._last_stamp = self._evidence_stamp = None

    def judge(
        self,
        frame: Frame,
        prediction: Prediction,
        now_ns: int,
        geometry: CameraGeometry | None = None,
        speed: float | None = None,
    ) -> Judgement:
        """Judge one frame. An answer that the output gate refuses is UNKNOWN.

        Args:
            frame: the image; a stamp before the last one resets tracks and evidence.
            prediction: for this frame, at its size.
            now_ns: the clock that the stamps belong to.
            geometry: of this camera; without it, or when it is for another image size, obstacles have no ground
                position: an obstacle without a distance is better than none.
            speed: of the vehicle in m/s; None = not known.
        """
        if self._last_stamp is not None and frame.stamp_ns < self._last_stamp:
            self.reset()
        self._last_stamp = frame.stamp_ns
        score, finite = self._masked(prediction.score)
        greater = None if prediction.greater is None else self._masked(prediction.greater)[0]
        prediction = replace(prediction, score=score, greater=greater)
        fault = self._gate.check(read(score, prediction.labels, finite))
        if fault is not None:
            alert = self._alert(*self._machine.unknown(fault.reason), now_ns, detail=fault.detail)
            mask = anomaly_mask(score, self._threshold)
            return self._judgement(prediction, mask, (), alert, refused=fault)
        if geometry is not None and (geometry.height, geometry.width) != score.shape:
            geometry = None
        most, alarmed = self._settings.max_obstacles, self._machine.alarmed
        found, unlisted, mask = self._find(prediction, self._threshold, self._calibration.objects, geometry, most)
        present = any(one.counts for one in found)
        evident: list[_Found] = []
        if self._evidences is not None:
            evident, mask = self._evident(frame, prediction, geometry, mask)
            found, beyond = self._joined(found, evident)
            unlisted += beyond
        tracked = self._identify(frame, found)
        raised = {track_id for one, (track_id, _) in tracked if one.counts}
        weaker = self._weaker(frame, prediction, geometry, tracked) if alarmed else []
        self._raised |= raised.union(track_id for _, (track_id, _) in weaker)
        self._raised &= self._tracker.ids
        if not present:
            tracked = sorted([*tracked, *weaker], key=lambda pair: not pair[0].counts)
            unlisted += max(0, len(tracked) - most)
        obstacles = self._described(frame, tracked[:most], speed)
        self._evidence_stamp = frame.stamp_ns
        state, reason = self._machine.judged(present, bool(weaker) and not present, bool(evident))
        if alarmed and not self._machine.alarmed:
            self._raised.clear()
        alert = self._alert(state, reason, now_ns, obstacles)
        return self._judgement(prediction, mask, obstacles, alert, unlisted)

    def unknown(self, reason: str, now_ns: int, detail: str = "") -> Alert:
        """No frame, or one that could not be judged: UNKNOWN with the reason and the age of the last evidence."""
        return self._alert(*self._machine.unknown(reason), now_ns, detail=detail)

    def _judgement(
        self,
        prediction: Prediction,
        mask: np.ndarray,
        obstacles: tuple[Obstacle, ...],
        alert: Alert,
        unlisted: int = 0,
        refused: Fault | None = None,
    ) -> Judgement:
        return Judgement(
            prediction,
            mask,
            obstacles,
            alert,
            unlisted,
            calibration=self._calibration,
            refused=refused,
            threshold=self._threshold,
            min_area=self._settings.smallest_area,
        )

    def _find(
        self, prediction: Prediction, threshold: float, rule: Objects | None, geometry: CameraGeometry | None, most: int
    ) -> tuple[list[_Found], int, np.ndarray]:
        """What is large enough and matters where it stands, how much more there is than `most`, and the mask.

        What counts is ranked first: however much is reported only, it takes no place from what the alert rests on.
        """
        settings, score = self._settings, prediction.score
        components, _, mask = find_objects(
            score, prediction.labels, threshold, rule, settings.smallest_area, sys.maxsize
        )
        counting: list[_Found] = []
        reported: list[_Found] = []
        unseen = 0
        for component in components:
            if len(counting) == most:
                unseen += 1  # nothing that follows can change the state or the list
                continue
            found = self._placed(component, score, geometry)
            if found is not None:
                (counting if found.counts else reported).append(found)
        listed = [*counting, *reported][:most]
        return listed, len(counting) + len(reported) + unseen - len(listed), mask

    def _placed(self, component: Component, score: np.ndarray, geometry: CameraGeometry | None) -> _Found | None:
        """Where a component stands, if it is large enough and matters there."""
        settings = self._settings
        ground, area = _place(component, score, geometry)
        zone, action = place(settings.zones, area)
        if action == IGNORE or component.area < least_area(settings.min_area_by_distance, settings.min_area, ground):
            return None
        return _Found(component, ground, zone, action == ALERT)

    def _evident(
        self, frame: Frame, prediction: Prediction, geometry: CameraGeometry | None, mask: np.ndarray
    ) -> tuple[list[_Found], np.ndarray]:
        """What is an obstacle by the evidence of several frames and counts where it stands; the mask with it."""
        assert self._evidences is not None
        score, area = prediction.score, self._settings.smallest_area
        candidates, _, weak = find_objects(score, prediction.labels, self._grow, self._whole, area, sys.maxsize)
        strongest = sorted(candidates, key=lambda component: -component.margin)[: 4 * MAX_CANDIDATES]
        placed = [found for component in strongest if (found := self._placed(component, score, geometry))]
        placed = placed[:MAX_CANDIDATES]
        decided = self._evidences.update(
            frame.stamp_ns,
            [one.component.box for one in placed],
            # The margin of what does not stand on the ground begins higher: such evidence counts for less than it is.
            [one.component.margin + self._grow for one in placed],
            _TRACK_MARGIN * frame.image.shape[1],
        )
        evident = []
        for one, is_decided in zip(placed, decided, strict=True):
            if is_decided and one.counts:
                x0, y0, x1, y1 = one.component.box
                mask[y0:y1, x0:x1] |= weak[y0:y1, x0:x1]
                below = one.component.margin + self._grow - self._threshold
                evident.append(replace(one, component=replace(one.component, margin=below)))
        return evident, mask

    def _joined(self, found: list[_Found], evident: list[_Found]) -> tuple[list[_Found], int]:
        """Both, what counts first, each object once; and how many of the evident ones may not be listed."""
        known = {one.component.box for one in found}
        cores = [one.component.box for one in found if one.counts and one.component.core]
        more = [
            one
            for one in evident
            if (box := one.component.box) not in known and not any(_inside(core, box) for core in cores)
        ]
        joined = sorted([*found, *more], key=lambda one: not one.counts)
        return joined[: self._settings.max_obstacles], max(0, len(joined) - self._settings.max_obstacles)

    def _identify(self, frame: Frame, found: list[_Found]) -> list[_Tracked]:
        """Each with its track."""
        boxes = [one.component.box for one in found]
        return list(zip(found, self._tracker.update(boxes, _TRACK_MARGIN * frame.image.shape[1]), strict=True))

    def _weaker(
        self, frame: Frame, prediction: Prediction, geometry: CameraGeometry | None, tracked: list[_Tracked]
    ) -> list[_Tracked]:
        """What raised the alert and is still there, but weaker: above the release threshold.

        After seconds without a judged frame nothing tells what that is, and whatever is weak may be it.
        """
        assert self._evidence_stamp is not None
        blind = frame.stamp_ns - self._evidence_stamp > FORGET_S * 1e9
        missing = self._raised.difference(track_id for _, (track_id, _) in tracked)
        # Only now, because it costs as much again.
        if self._release >= self._threshold or not (missing or blind):
            return []
        known = {one.component.box for one, _ in tracked}
        found, _, _ = self._find(prediction, self._release, self._held, geometry, MAX_CANDIDATES)
        found = [one for one in found if one.counts and one.component.box not in known]
        boxes = [one.component.box for one in found]
        tracks = self._tracker.again(boxes, _TRACK_MARGIN * frame.image.shape[1], missing, begin=blind)
        return [(one, track) for one, track in zip(found, tracks, strict=True) if track is not None]

    def _described(self, frame: Frame, tracked: list[_Tracked], speed: float | None) -> tuple[Obstacle, ...]:
        """Obstacles with their tracks, calibrated scores and times to reach."""
        scores = self._calibration.calibrate(np.array([one.component.strength for one, _ in tracked]))
        obstacles = []
        for (one, (track_id, age)), calibrated in zip(tracked, scores, strict=True):
            component, ground, reach = one.component, one.ground, None
            if ground is not None:
                closing = self._closing.update(track_id, frame.stamp_ns, math.hypot(*ground.position[:2]))
                reach = time_to_reach(ground.range_min, closing if speed is None else speed)
            known = (component.box, component.area, float(calibrated), component.foot, track_id, age, ground)
            obstacles.append(Obstacle(*known, one.zone, one.counts, reach, component.margin))
        return tuple(obstacles)

    def _alert(
        self, state: AlertState, reason: str, now_ns: int, obstacles: tuple[Obstacle, ...] = (), detail: str = ""
    ) -> Alert:
        drift = None if math.isnan(self._gate.drift) else self._gate.drift
        if self._evidence_stamp is None:
            return Alert(state, reason, obstacles=obstacles, detail=detail, drift=drift)
        age = max(0.0, (now_ns - self._evidence_stamp) / 1e9)
        return Alert(state, reason, self._evidence_stamp, age, obstacles, detail, drift)

    def _masked(self, score: np.ndarray) -> tuple[np.ndarray, bool]:
        """The score with NaN under the ego mask, and whether all the rest is finite."""
        # A float64 sum of float32 values cannot overflow, so it is finite exactly if all of them are.
        finite = math.isfinite(cv2.sumElems(score)[0])
        if self._ego_mask is None:
            return score, finite
        if self._ego_nan is None or self._ego_nan.shape != score.shape:
            ego = fit_ego_mask(self._ego_mask, *score.shape)
            self._ego_nan = np.where(ego != 0, np.float32(np.nan), np.float32(0))
        if not finite:
            finite = bool(np.isfinite(score[self._ego_nan == 0]).all())
        return cv2.add(score, self._ego_nan), finite


def _place(
    component: Component, score: np.ndarray, geometry: CameraGeometry | None
) -> tuple[GroundPosition | None, np.ndarray | None]:
    """Where a component stands and the ground it may cover; neither without geometry or above the horizon."""
    ground = None if geometry is None else ground_position(geometry, component.foot)
    if geometry is None or ground is None:
        return None, None
    hidden = _foot_is_hidden(score, component)
    area = ground_area(geometry, component.box, component.foot, hidden)
    return replace(ground, range_min=0.0) if hidden else ground, area


def _foot_is_hidden(score: np.ndarray, component: Component) -> bool:
    """Whether it ends at the image's lower edge or at pixels that are not judged: it may reach nearer than is seen."""
    below = component.box[3]
    return below >= score.shape[0] or bool(np.isnan(score[below, round(component.foot[0])]))


def _inside(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return other[0] <= box[0] and other[1] <= box[1] and box[2] <= other[2] and box[3] <= other[3]
