"""An answer as images: in color for people, in bytes for costmaps."""

from __future__ import annotations

import cv2
import numpy as np

from .frame import UNLABELED, Prediction
from .labels import LabelSet
from .model_card import Calibration

UNKNOWN_ID = 254
"""Class id of anomalous pixels among class ids; no label set has so many classes."""

ANOMALOUS_RGB = (255, 72, 0)
UNJUDGED_RGB = (40, 60, 150)
_MAX_GRAY = 215
"""Gray of a pixel just below the threshold, so that anomalous ones stand out by hue and not by brightness alone."""
_STEPS = 65536


def score_picture(score: np.ndarray, mask: np.ndarray, calibration: Calibration) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`: gray by the calibrated score, orange where anomalous, blue where not judged.

    Args:
        score: raw, float32 `[H, W]`, NaN = not judged.
        mask: uint8 `[H, W]`, non-zero = anomalous, as the alert sees it.
    """
    gray = _bytes(score, calibration, 0, _MAX_GRAY)
    picture = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    picture[np.isnan(score)] = UNJUDGED_RGB
    picture[mask != 0] = ANOMALOUS_RGB
    return picture


def class_picture(prediction: Prediction, labels: LabelSet) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`: every class in its color, black = no class."""
    return cv2.applyColorMap(prediction.labels, np.ascontiguousarray(labels.palette()[:, None]))


def confidence(score: np.ndarray, calibration: Calibration) -> np.ndarray:
    """uint8 `[H, W]`: 255 x (1 - calibrated score), how sure it is that the class is a known one; 0 = not judged.

    Args:
        score: raw, float32 `[H, W]`, NaN = not judged.
    """
    sure = _bytes(score, calibration, 255, 0)
    sure[np.isnan(score)] = 0
    return sure


def open_set(prediction: Prediction, mask: np.ndarray) -> np.ndarray:
    """uint8 `[H, W]` class ids with `UNKNOWN_ID` where anomalous, and `UNLABELED` where not judged."""
    ids = prediction.labels.copy()
    ids[np.isnan(prediction.score)] = UNLABELED
    ids[mask != 0] = UNKNOWN_ID
    return ids


def _bytes(score: np.ndarray, calibration: Calibration, at_zero: int, at_one: int) -> np.ndarray:
    """uint8 `[H, W]`, linear in the calibrated score; anything where the score is NaN."""
    raw = np.asarray(calibration.table)[:, 0]
    low, span = float(raw[0]), max(float(raw[-1] - raw[0]), 1e-6)
    # Looked up in fine steps: a tenth of the time of np.interp on every pixel.
    steps = np.nan_to_num(np.clip((score - np.float32(low)) * np.float32((_STEPS - 1) / span), 0, _STEPS - 1))
    calibrated = calibration.calibrate(low + np.arange(_STEPS) / (_STEPS - 1) * span)
    return np.round(at_zero + (at_one - at_zero) * calibrated).astype(np.uint8)[steps.astype(np.uint16)]
