"""One camera's way from prediction to alert: ego mask, components, tracks, ground positions, state machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..frame import Alert, AlertState, Frame, Obstacle, Prediction
from ..model_card import Calibration
from .alert import AlertMachine
from .components import Component, anomaly_mask, find_components
from .ego_mask import check_ego_mask, fit_ego_mask
from .ground import CameraGeometry, ground_position
from .settings import ObstacleSettings
from .tracks import Tracker

_TRACK_MARGIN = 0.01
"""Of the image width: how far a small box may jump between two frames."""


@dataclass(frozen=True)
class Judgement:
    """All that is known about one frame.

    Attributes:
        prediction: as the bundle made it, score NaN under the ego mask.
        mask: uint8 `[H, W]`, 255 = anomalous, else 0.
        obstacles: largest first.
        alert: the camera's alert after this frame.
        unlisted: number of obstacles beyond `max_obstacles`.
        calibration: what makes raw scores comparable, for whoever shows them.
    """

    prediction: Prediction
    mask: np.ndarray
    obstacles: tuple[Obstacle, ...]
    alert: Alert
    unlisted: int = 0
    calibration: Calibration | None = None


class CameraPipeline:
    """State of one camera; not thread-safe.

    Args:
        calibration: the bundle's threshold and score table.
        settings: of this camera.
        ego_mask: uint8 `[H, W]` of any size, non-zero = own vehicle; None = everything is judged.

    Raises:
        ConfigError: the ego mask is no gray image or masks everything.
    """

    def __init__(
        self, calibration: Calibration, settings: ObstacleSettings, ego_mask: np.ndarray | None = None
    ) -> None:
        self._calibration = calibration
        self._settings = settings
        self._threshold = calibration.threshold if settings.threshold is None else settings.threshold
        self._ego_mask = None if ego_mask is None else check_ego_mask(ego_mask)
        self._ego_nan: np.ndarray | None = None
        self._tracker = Tracker()
        self._machine = AlertMachine(settings)
        self._last_stamp: int | None = None
        self._evidence_stamp: int | None = None

    def reset(self) -> None:
        """Forget tracks and evidence, as after a jump in time."""
        self._tracker.reset()
        self._machine.reset()
        self._last_stamp = self._evidence_stamp = None

    def judge(
        self, frame: Frame, prediction: Prediction, now_ns: int, geometry: CameraGeometry | None = None
    ) -> Judgement:
        """Judge one frame. A score that is not finite outside the ego mask makes the answer UNKNOWN.

        Args:
            frame: the image; a stamp before the last one resets tracks and evidence.
            prediction: for this frame, at its size.
            now_ns: the clock that the stamps belong to.
            geometry: of this camera; without it, or when it is for another image size, obstacles have no ground
                position: an obstacle without a distance is better than none.
        """
        if self._last_stamp is not None and frame.stamp_ns < self._last_stamp:
            self.reset()
        self._last_stamp = frame.stamp_ns
        score, finite = self._masked(prediction.score)
        prediction = replace(prediction, score=score)
        mask = anomaly_mask(score, self._threshold)
        if not finite:
            alert = self._alert(*self._machine.unknown("score_not_finite"), now_ns)
            return Judgement(prediction, mask, (), alert, calibration=self._calibration)
        components, unlisted = find_components(score, mask, self._settings.min_area, self._settings.max_obstacles)
        if geometry is not None and (geometry.height, geometry.width) != score.shape:
            geometry = None
        obstacles = self._obstacles(score, components, geometry)
        self._evidence_stamp = frame.stamp_ns
        state, reason = self._machine.judged(bool(obstacles))
        alert = self._alert(state, reason, now_ns, obstacles)
        return Judgement(prediction, mask, obstacles, alert, unlisted, self._calibration)

    def unknown(self, reason: str, now_ns: int) -> Alert:
        """No frame, or one that could not be judged: UNKNOWN with the reason and the age of the last evidence."""
        return self._alert(*self._machine.unknown(reason), now_ns)

    def _obstacles(
        self, score: np.ndarray, components: tuple[Component, ...], geometry: CameraGeometry | None
    ) -> tuple[Obstacle, ...]:
        tracks = self._tracker.update([component.box for component in components], _TRACK_MARGIN * score.shape[1])
        scores = self._calibration.calibrate(np.array([component.strength for component in components]))
        obstacles = []
        for component, calibrated, (track_id, age) in zip(components, scores, tracks, strict=True):
            ground = None if geometry is None else ground_position(geometry, component.foot)
            if ground is not None and _foot_is_hidden(score, component):
                ground = replace(ground, range_min=0.0)
            obstacle = Obstacle(component.box, component.area, float(calibrated), component.foot, track_id, age, ground)
            obstacles.append(obstacle)
        return tuple(obstacles)

    def _alert(self, state: AlertState, reason: str, now_ns: int, obstacles: tuple[Obstacle, ...] = ()) -> Alert:
        if self._evidence_stamp is None:
            return Alert(state, reason, obstacles=obstacles)
        return Alert(state, reason, self._evidence_stamp, (now_ns - self._evidence_stamp) / 1e9, obstacles)

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


def _foot_is_hidden(score: np.ndarray, component: Component) -> bool:
    """Whether it ends at the image's lower edge or at pixels that are not judged: it may reach nearer than is seen."""
    below = component.box[3]
    return below >= score.shape[0] or bool(np.isnan(score[below, round(component.foot[0])]))
