"""Over-exposed: a low sun, a tunnel's end, a broken exposure control. White where the world should be."""

from __future__ import annotations

import cv2

from ..fault import Fault
from ..reasons import OVER_EXPOSED
from .image_statistics import ImageStatistics
from .settings import InputGateSettings

WHITE = 249
SHARE = 0.7
"""Of the pixels above `WHITE`. The whitest of 700 real driving images, half of it overcast sky, has 0.41."""


class OverExposed:
    """Stateless; at once."""

    def __init__(self, settings: InputGateSettings) -> None:
        pass

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        _, white = cv2.threshold(statistics.gray, WHITE, 1, cv2.THRESH_BINARY)
        share = cv2.countNonZero(white) / white.size
        return Fault(OVER_EXPOSED, f"{share:.0%} of the pixels are white") if share > SHARE else None
