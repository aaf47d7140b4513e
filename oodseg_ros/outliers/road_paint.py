"""Paint on the ground what belongs there and is no obstacle: letters, arrows, stripes, patches, cracks, covers.

Flat markings are what a detector of pasted things mistakes most often: they have edges and a shape, and training frames
show few of them. They stay what the ground is.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

SIDE = 160
HORIZON = 0.5
"""Percentile of the rows of ground that is taken for the horizon."""
NEAREST = 0.03
"""Least distance from the horizon, in heights of the image: what lies farther away would be a line of a pixel."""
FOCAL = (0.9, 2.0)
"""Focal lengths of cameras on vehicles, in heights of the image."""
WIDTHS, LENGTHS = (0.3, 2.0), (0.4, 4.0)
"""Of paint on the road: widths in heights of the camera above it, and lengths along the road in widths."""
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
_SIGNS = "0123456789ABCDEFHKLMNOPRSTUX"


def paint_ground(rng: np.random.Generator, image: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Paint one thing on the ground of `image` RGB uint8 `[H, W, 3]`, in place, lying flat and as large as its distance
    asks.

    Args:
        ground: bool `[H, W]`; nothing else is touched.

    Returns:
        Opacity of the paint, float32 `[H, W]`; zeros where there is no ground.
    """
    height, width = ground.shape
    opacity = np.zeros((height, width), np.float32)
    rows, columns = np.nonzero(ground)
    if not len(rows):
        return opacity
    pick = rng.integers(len(rows))
    # A few pixels of ground that a label has far above the road do not move the horizon.
    y, x, top = int(rows[pick]), int(columns[pick]), np.percentile(rows, HORIZON)
    below = max(0.0, y - top) + NEAREST * height
    # On a flat road what is `below` pixels under the horizon lies at a distance of focal / below camera heights.
    focal = rng.uniform(*FOCAL) * height
    wide = min(below * rng.uniform(*WIDTHS), float(height))
    length = wide / below * np.exp(rng.uniform(*np.log(LENGTHS)))
    shape, dark = _SHAPES[int(rng.integers(len(_SHAPES)))]
    narrow, skew = 1 / (1 + length * below / focal), rng.uniform(-0.7, 0.7)
    high = below * (1 - narrow)
    far = x + skew * high, y - high
    corners = [
        (far[0] - wide * narrow / 2, far[1]),
        (far[0] + wide * narrow / 2, far[1]),
        (x + wide / 2, y),
        (x - wide / 2, y),
    ]
    square = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)], np.float32)
    warp = cv2.getPerspectiveTransform(square, np.array(corners, np.float32))
    drawn = shape(rng).astype(np.float32) / 255.0
    opacity = cv2.warpPerspective(drawn, warp, (width, height), flags=cv2.INTER_AREA)
    if rng.random() < 0.6:  # worn
        grain = cv2.resize(rng.random((height // 3, width // 3), np.float32), (width, height))
        opacity *= np.clip(grain * rng.uniform(1.2, 3.0), 0, 1)
    opacity = cv2.GaussianBlur(opacity, (0, 0), rng.uniform(0.4, 1.2)) * ground * np.float32(rng.uniform(0.35, 0.95))
    seen = opacity > 0.02
    if not seen.any():
        return opacity
    around = image[seen].astype(np.float32).mean(axis=0)
    color = around * rng.uniform(0.3, 0.8) if dark else _paint(rng) * np.clip(around.mean() / 110.0, 0.5, 1.2)
    blend = opacity[..., None]
    image[:] = np.clip(image * (1 - blend) + color.astype(np.float32) * blend, 0, 255).astype(np.uint8)
    return opacity


def _paint(rng: np.random.Generator) -> np.ndarray:
    color = ((235, 235, 230), (235, 235, 230), (225, 180, 50), (150, 60, 50), (70, 110, 160))[int(rng.integers(5))]
    return np.array(color, np.float32) * rng.uniform(0.75, 1.05)


def _empty() -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.uint8)


def _letters(rng: np.random.Generator) -> np.ndarray:
    text = "".join(_SIGNS[int(rng.integers(len(_SIGNS)))] for _ in range(int(rng.integers(1, 5))))
    font, thick = _FONTS[int(rng.integers(len(_FONTS)))], int(rng.integers(6, 18))
    (wide, high), _ = cv2.getTextSize(text, font, 3.0, thick)
    drawn = np.zeros((high + 2 * thick, wide + 2 * thick), np.uint8)
    cv2.putText(drawn, text, (thick, high + thick), font, 3.0, 255, thick)
    return cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _arrow(rng: np.random.Generator) -> np.ndarray:
    drawn = _empty()
    ends = rng.uniform(0.15, 0.85, 2) * SIDE
    thick, tip = int(rng.integers(8, 24)), float(rng.uniform(0.2, 0.5))
    cv2.arrowedLine(drawn, (int(ends[0]), SIDE - 8), (int(ends[1]), 8), 255, thick, tipLength=tip)
    return drawn


def _bicycle(rng: np.random.Generator) -> np.ndarray:
    drawn = _empty()
    thick, radius = int(rng.integers(5, 12)), int(rng.integers(26, 36))
    wheels = np.array([(40, 110), (120, 110)]) + rng.integers(-6, 7, (2, 2))
    for wheel in wheels.tolist():
        cv2.circle(drawn, wheel, radius, 255, thick)
    joints = np.array([(70, 50), (80, 110), (110, 50)]) + rng.integers(-8, 9, (3, 2))
    saddle, pedal, bar = joints.tolist()
    for one, two in ((wheels[0], saddle), (wheels[0], pedal), (saddle, pedal), (pedal, bar), (saddle, bar)):
        cv2.line(drawn, tuple(map(int, one)), tuple(map(int, two)), 255, thick)
    cv2.line(drawn, tuple(bar), tuple(map(int, wheels[1])), 255, thick)
    return drawn


def _stripes(rng: np.random.Generator) -> np.ndarray:
    drawn = _empty()
    count, share = int(rng.integers(1, 7)), rng.uniform(0.35, 0.7)
    step = SIDE / count
    for index in range(count):
        drawn[int(index * step) : int((index + share) * step)] = 255
    return drawn.T.copy() if rng.random() < 0.5 else drawn


def _patch(rng: np.random.Generator) -> np.ndarray:
    drawn = _empty()
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 9))))
    radius = rng.uniform(0.6, 1.0, len(angles)) * SIDE / 2
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None] + SIDE / 2
    cv2.fillPoly(drawn, [points.astype(np.int32)], 255)
    return drawn


def _crack(rng: np.random.Generator) -> np.ndarray:
    drawn = _empty()
    for _ in range(int(rng.integers(1, 4))):
        steps = rng.normal(0, 14, (int(rng.integers(4, 12)), 2)) + rng.normal(0, 8, 2)
        points = (rng.uniform(0.2, 0.8, 2) * SIDE + np.cumsum(steps, axis=0)).astype(np.int32)
        cv2.polylines(drawn, [points], False, 255, int(rng.integers(2, 6)))
    return drawn


def _cover(rng: np.random.Generator) -> np.ndarray:
    drawn = _empty()
    center, radius = (SIDE // 2, SIDE // 2), SIDE // 2 - 6
    if rng.random() < 0.5:
        cv2.circle(drawn, center, radius, int(rng.integers(120, 256)), -1)
        cv2.circle(drawn, center, radius, 255, 6)
    else:
        for offset in range(8, SIDE - 8, int(rng.integers(12, 24))):
            cv2.rectangle(drawn, (offset, 10), (offset + 7, SIDE - 10), 255, -1)
    return drawn


_SHAPES: tuple[tuple[Callable[[np.random.Generator], np.ndarray], bool], ...] = (
    (_letters, False),
    (_arrow, False),
    (_bicycle, False),
    (_stripes, False),
    (_patch, False),
    (_patch, True),
    (_crack, True),
    (_cover, True),
)
"""How it is drawn, uint8 `[SIDE, SIDE]`, and whether it darkens the ground instead of covering it with paint."""
