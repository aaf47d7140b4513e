"""A frame as a person wants to see it: classes, anomaly heat, obstacles and the alert.

What it shows is what was decided: outlined is what makes the objects, heat grows towards the threshold of the alert and
is red only above it, boxes are the obstacles, with the margin by which each of them is one; gray is what was not
judged. Nothing is smoothed, and there is no class color without a class.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from .drawing import DARK, WHITE, Color, Style, draw_label, fill, place_label, put_text, text_size
from .frame import UNLABELED, Alert, AlertState, Obstacle
from .labels import LabelSet
from .model_card import Calibration
from .pipeline.camera import Judgement
from .pipeline.geometry.ground import MAX_RANGE

STATE_COLORS: dict[AlertState, tuple[Color, Color]] = {
    AlertState.CLEAR: ((30, 132, 73), WHITE),
    AlertState.OBSTACLE: ((255, 176, 0), DARK),
    AlertState.UNKNOWN: ((120, 60, 66), WHITE),
}
"""RGB of the state banner and of its text."""

BOX_COLOR: Color = (255, 214, 0)
_OUTLINE = WHITE
_HEAT_FROM = 0.5
"""Calibrated score at which heat begins, where that is below the threshold; there it covers three quarters."""
_HEAT_SPAN = 0.25
"""Else it begins this part of the score table's width below the threshold."""
_MAX_HEAT = 0.75
_BELOW = 0.8
"""Of the way from yellow to red: as far as anything comes that is not above the threshold."""
_BANNER = 1.3


def draw_overlay(image: np.ndarray, judgement: Judgement, labels: LabelSet, alpha: float = 0.45) -> np.ndarray:
    """Draw a judgement over its image.

    Args:
        image: RGB uint8 `[H, W, 3]`; not changed.
        alpha: weight of the class colors, 0..1.

    Returns:
        RGB uint8 `[H, W, 3]`, C-contiguous.
    """
    style = Style.of(*image.shape[:2])
    canvas = _classes(image, judgement.prediction.labels, labels, alpha)
    score = judgement.score
    unjudged = _not_a_number(score)
    if judgement.calibration is not None:
        _heat(canvas, score, unjudged, judgement.calibration, judgement.threshold)
    if unjudged is not None:
        _gray_out(canvas, image, unjudged)
    contours, _ = cv2.findContours(judgement.mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, _OUTLINE, max(1, style.line // 2))
    bar = text_size("X", style.text * _BANNER, style.stroke)[1] + 2 * style.pad
    _boxes(canvas, judgement.obstacles, bar, style)
    _banner(canvas, judgement, bar, style)
    return canvas


def caption(obstacle: Obstacle) -> str:
    """`#3 +1.7 12-15 m`: track id (if tracked), margin above what it needs (where known, else the calibrated score),
    range interval (where known; `>12 m` if open).
    """
    parts = [f"#{obstacle.track_id}"] if obstacle.track_id else []
    known = math.isfinite(obstacle.margin)
    parts.append(f"{obstacle.margin:+.1f}" if known else f"{100 * obstacle.score:.0f}%")
    if obstacle.ground is not None:
        parts.append(range_text(obstacle.ground.range_min, obstacle.ground.range_max))
    return " ".join(parts)


def range_text(low: float, high: float) -> str:
    """`12-15 m`, `<5 m` from zero on, `>12 m` without an end that means anything."""
    if high > MAX_RANGE:
        return f">{low:.0f} m"
    if low < 0.5:
        return f"<{math.ceil(high)} m"
    digits = 1 if high < 10 else 0
    ends = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return f"{ends[0]} m" if ends[0] == ends[1] else f"{ends[0]}-{ends[1]} m"


def headline(alert: Alert, unlisted: int = 0) -> str:
    """The banner's second part: how many obstacles and the nearest one, or the reason."""
    if alert.state is not AlertState.OBSTACLE or not alert.obstacles:
        return alert.reason.replace("_", " ")
    count = len(alert.obstacles) + unlisted
    text = f"{count} object" + ("s" if count > 1 else "")
    grounds = [obstacle.ground for obstacle in alert.obstacles if obstacle.ground is not None]
    if grounds:
        nearest = min(grounds, key=lambda ground: (ground.range_min, ground.range_max))
        text += f", nearest {range_text(nearest.range_min, nearest.range_max)}"
    return text


def _classes(image: np.ndarray, ids: np.ndarray, labels: LabelSet, alpha: float) -> np.ndarray:
    colors = cv2.applyColorMap(ids, np.ascontiguousarray(labels.palette()[:, None]))
    canvas = cv2.addWeighted(colors, alpha, image, 1.0 - alpha, 0.0)
    unlabeled = cv2.inRange(ids, UNLABELED, UNLABELED)
    return cv2.copyTo(image, unlabeled, canvas) if cv2.hasNonZero(unlabeled) else canvas


def _not_a_number(score: np.ndarray) -> np.ndarray | None:
    """uint8 mask of the pixels that were not judged, None if there are none."""
    # One sum finds any NaN or infinity in a fifth of the time of looking at every pixel.
    if math.isfinite(cv2.sumElems(score)[0]):
        return None
    return np.isnan(score).view(np.uint8) * np.uint8(255)


def _heat(
    canvas: np.ndarray, score: np.ndarray, unjudged: np.ndarray | None, calibration: Calibration, threshold: float
) -> None:
    """Blend yellow to red as the score comes near the threshold; the last color means above it, and nothing else."""
    threshold = calibration.threshold if math.isnan(threshold) else threshold
    raw, calibrated = np.asarray(calibration.table).T
    low = float(np.interp(_HEAT_FROM, calibrated, raw))
    if low >= threshold:
        low = threshold - _HEAT_SPAN * max(float(raw[-1] - raw[0]), 1e-6)
    span = max(threshold - low, 1e-6)
    # Levels 0 (no heat) to 255 in equal steps of the raw score; colors and weights are looked up per level.
    level = cv2.convertScaleAbs(cv2.max(score, low), alpha=255.0 / span, beta=-low * 255.0 / span)
    if unjudged is not None:
        level[unjudged != 0] = 0
    x, y, width, height = cv2.boundingRect(level)
    if not width:
        return
    region = (slice(y, y + height), slice(x, x + width))
    level = np.ascontiguousarray(level[region])
    # Rounding must not make red of what is just below.
    cv2.min(level, 254, dst=level)
    above = (score[region] > np.float32(threshold)).view(np.uint8)
    level[above != 0] = 255
    share = np.append(np.arange(255) / 255.0 * _BELOW, 1.0)
    # Squared: the eye shall go to what is near the threshold, not to what is merely a little unusual.
    weight = _MAX_HEAT * share[:, None] ** 2
    # In bytes: OpenCV's blendLinear takes 50 ms for 1080p, this takes 6.
    kept = cv2.applyColorMap(level, _as_table(np.repeat(255 * (1 - weight), 3, axis=1)))
    added = cv2.applyColorMap(level, _as_table(weight * _heat_colors(share)))
    canvas[region] = cv2.add(cv2.multiply(canvas[region], kept, scale=1 / 255), added)


def _heat_colors(share: np.ndarray) -> np.ndarray:
    """RGB `[256, 3]`: yellow, orange, red with growing share; no hue of the usual class palettes."""
    stops = np.array([[255, 225, 80], [255, 150, 0], [255, 48, 0]], np.float64)
    return np.stack([np.interp(share, np.linspace(0, 1, len(stops)), stops[:, i]) for i in range(3)], axis=-1)


def _as_table(values: np.ndarray) -> np.ndarray:
    return np.round(values).astype(np.uint8)[:, None]


def _gray_out(canvas: np.ndarray, image: np.ndarray, unjudged: np.ndarray) -> None:
    gray = cv2.cvtColor(cv2.convertScaleAbs(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), alpha=0.5), cv2.COLOR_GRAY2RGB)
    cv2.copyTo(gray, unjudged, canvas)


def _banner(canvas: np.ndarray, judgement: Judgement, bar: int, style: Style) -> None:
    """State in words on its color, `bar` pixels high, and a frame of that color around the image."""
    height, width = canvas.shape[:2]
    color, ink = STATE_COLORS[judgement.alert.state]
    scale, stroke = style.text * _BANNER, style.stroke
    state = judgement.alert.state.value
    state_width, _ = text_size(state, scale, stroke)
    cv2.rectangle(canvas, (0, 0), (width - 1, height - 1), color, 2 * style.line)
    fill(canvas, (0, 0, width, bar), color)
    put_text(canvas, state, (2 * style.pad, style.pad), scale, stroke, ink)
    text = headline(judgement.alert, judgement.unlisted)
    put_text(canvas, text, (state_width + 6 * style.pad, style.pad), scale, stroke, ink)


def _boxes(canvas: np.ndarray, obstacles: tuple[Obstacle, ...], top: int, style: Style) -> None:
    area = (0, top, canvas.shape[1], canvas.shape[0])
    for obstacle in obstacles:
        x0, y0, x1, y1 = obstacle.box
        # A dark line outside of the bright one keeps the box visible on any ground.
        cv2.rectangle(canvas, (x0 - style.line, y0 - style.line), (x1 + style.line - 1, y1 + style.line - 1), DARK, 1)
        cv2.rectangle(canvas, (x0, y0), (x1 - 1, y1 - 1), BOX_COLOR, style.line)
    taken: list[tuple[int, int, int, int]] = []
    # Largest first; where a caption would cover another obstacle or caption, the obstacle keeps its box only.
    for obstacle in obstacles:
        text = caption(obstacle)
        others = [other.box for other in obstacles if other is not obstacle]
        box = place_label(text, obstacle.box, taken + others, area, style)
        if box is not None:
            draw_label(canvas, text, box, style)
            taken.append(box)
