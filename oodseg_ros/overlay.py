"""A frame as a person wants to see it: classes, anomaly heat, obstacles and the alert."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .frame import AlertState, Obstacle
from .labels import LabelSet
from .obstacles.camera_pipeline import Judgement

STATE_COLORS = {AlertState.CLEAR: (38, 128, 60), AlertState.OBSTACLE: (214, 120, 0), AlertState.UNKNOWN: (128, 44, 60)}
"""RGB of the state banner."""


def draw_overlay(image: np.ndarray, judgement: Judgement, labels: LabelSet, alpha: float = 0.45) -> np.ndarray:
    """Draw a judgement over its image.

    Args:
        image: RGB uint8 `[H, W, 3]`; not changed.
        judgement: of this image.
        labels: the bundle's label set.
        alpha: weight of the class colors, 0..1.

    Returns:
        RGB uint8 `[H, W, 3]`, C-contiguous.
    """
    classes = cv2.LUT(cv2.merge([judgement.prediction.labels] * 3), labels.palette()[None])
    canvas = cv2.addWeighted(classes, alpha, image, 1.0 - alpha, 0.0)
    canvas[judgement.mask != 0] = (255, 80, 0)
    thickness = max(1, image.shape[0] // 360)
    for obstacle in judgement.obstacles:
        x0, y0, x1, y1 = obstacle.box
        cv2.rectangle(canvas, (x0, y0), (x1 - 1, y1 - 1), (255, 255, 0), thickness)
        cv2.putText(
            canvas, caption(obstacle), (x0, max(12, y0 - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1
        )
    bar = max(18, image.shape[0] // 20)
    alert = judgement.alert
    cv2.rectangle(canvas, (0, 0), (image.shape[1], bar), STATE_COLORS[alert.state], -1)
    text = f"{alert.state.value} {alert.reason}"
    cv2.putText(canvas, text, (6, bar - 5), cv2.FONT_HERSHEY_SIMPLEX, bar / 36, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas


def caption(obstacle: Obstacle) -> str:
    """`#3 0.97 12-15 m`: track id, calibrated score, and the range interval where it is known."""
    text = f"#{obstacle.track_id} {obstacle.score:.2f}"
    if obstacle.ground is not None:
        far = "inf" if math.isinf(obstacle.ground.range_max) else f"{obstacle.ground.range_max:.0f}"
        text += f" {obstacle.ground.range_min:.0f}-{far} m"
    return text
