"""Text and labels on images with OpenCV's fonts, sized for the image they stand on. Colors are RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Color = tuple[int, int, int]
Box = tuple[int, int, int, int]

WHITE: Color = (255, 255, 255)
DARK: Color = (24, 26, 30)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MIN_SCALE = 0.36
"""Font scale below which OpenCV's strokes run together."""


@dataclass(frozen=True)
class Style:
    """Sizes in pixels for one image size, so that 480x360 and 1920x1080 look alike.

    Attributes:
        stroke: thickness of caption strokes.
        pad: space around text.
    """

    line: int
    text: float
    stroke: int
    pad: int

    @classmethod
    def of(cls, height: int, width: int) -> Style:
        unit = min(height, width * 3 // 4)
        return cls(
            max(1, round(unit / 400)), max(_MIN_SCALE, unit / 1500), max(1, round(unit / 700)), max(2, unit // 180)
        )


def text_size(text: str, scale: float, stroke: int) -> tuple[int, int]:
    """(width, height) in pixels; the height includes what hangs below the line."""
    (width, height), below = cv2.getTextSize(text, _FONT, scale, stroke)
    return width, height + below


def put_text(image: np.ndarray, text: str, corner: tuple[int, int], scale: float, stroke: int, color: Color) -> None:
    """Write `text` with its upper left corner at (x, y)."""
    (_, height), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    cv2.putText(image, text, (corner[0], corner[1] + height), _FONT, scale, color, stroke, cv2.LINE_AA)


def fill(image: np.ndarray, box: Box, color: Color, opacity: float = 1.0) -> None:
    """Fill a half-open box with a color; parts outside of the image are ignored."""
    x0, y0, x1, y1 = (max(0, value) for value in box)
    region = image[y0:y1, x0:x1]
    if region.size:
        region[:] = cv2.addWeighted(np.full_like(region, color), opacity, region, 1.0 - opacity, 0.0)


def place_label(text: str, anchor: Box, taken: list[Box], area: Box, style: Style) -> Box | None:
    """A box for a caption of `anchor` inside `area` that covers no other one: above, below, else inside; or None."""
    width, height = text_size(text, style.text, style.stroke)
    width, height = width + 2 * style.pad, height + 2 * style.pad
    x0, y0, x1, y1 = anchor
    left = min(max(x0, area[0]), area[2] - width)
    for x, y in ((left, y0 - height), (left, y1), (left, y0), (x1, y0), (x0 - width, y0)):
        box = (x, y, x + width, y + height)
        inside = area[0] <= x and area[1] <= y and box[2] <= area[2] and box[3] <= area[3]
        if inside and not any(_meet(box, other) for other in taken):
            return box
    return None


def draw_label(image: np.ndarray, text: str, box: Box, style: Style, color: Color = WHITE) -> None:
    """A caption on dark ground in a box that `place_label` gave."""
    fill(image, box, DARK, 0.75)
    put_text(image, text, (box[0] + style.pad, box[1] + style.pad), style.text, style.stroke, color)


def _meet(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
