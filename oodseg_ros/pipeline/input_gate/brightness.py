"""What one picture shows by its brightness: black, over-exposed, too little contrast. Stateless; at once.

Black: a lens cap, a dead sensor, no light at all. A night with any lamp in view is not black.

Over-exposed: a low sun, a tunnel's end, a broken exposure control. White where the world should be.

Low contrast: dense fog, a lens fogged over, too little light. The network answers, and misses what is there.

The range is that from the darkest to the brightest percent of the picture, sensor noise averaged out. In 921 real
driving images it is 75 to 251 gray levels. road_lite on twenty frames of Fishyscapes Static: AP 81 % as they are, 76 %
in fog that leaves a quarter of the contrast, 58 % with a tenth (a range of 10 to 25), 27 % with a twentieth; 48 % at a
tenth of the light (`benchmarks/visibility.py`). Scores fall with the contrast, so their drift does not tell.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...parameters.settings import InputGateSettings
from ..reasons import BLACK, LOW_CONTRAST, OVER_EXPOSED, Fault
from .image_statistics import ImageStatistics

BRIGHTEST = 12
"""Of 255: 99 % of the pixels of a black picture are darker."""
NOISY_BRIGHTEST, NOISY_CONTRAST = 32, 3.0
"""Sensors with a black level and noise: also black is what is this dark and has this standard deviation at most."""
WHITE = 249
SHARE = 0.7
"""Of the pixels above `WHITE`. The whitest of 700 real driving images, half of it overcast sky, has 0.41."""
RANGE = 30.0
"""Of 255 gray levels; less is a fault."""
_SMALL = (32, 18)


class Black:
    """Stateless; at once."""

    def __init__(self, settings: InputGateSettings) -> None:
        pass

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        counts = cv2.calcHist([statistics.gray], [0], None, [256], [0, 256])[:, 0]
        brightest = int(np.searchsorted(np.cumsum(counts), 0.99 * statistics.gray.size))
        if brightest < BRIGHTEST or (brightest < NOISY_BRIGHTEST and float(statistics.gray.std()) < NOISY_CONTRAST):
            return Fault(BLACK, f"99 % of the pixels are darker than {brightest + 1} of 255")
        return None


class OverExposed:
    """Stateless; at once."""

    def __init__(self, settings: InputGateSettings) -> None:
        pass

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        _, white = cv2.threshold(statistics.gray, WHITE, 1, cv2.THRESH_BINARY)
        share = cv2.countNonZero(white) / white.size
        return Fault(OVER_EXPOSED, f"{share:.0%} of the pixels are white") if share > SHARE else None


class LowContrast:
    """Stateless; at once."""

    def __init__(self, settings: InputGateSettings) -> None:
        pass

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        found = brightness_range(statistics.gray)
        if found >= RANGE:
            return None
        return Fault(LOW_CONTRAST, f"the brightness of the whole picture spans {found:.0f} of 255 levels")


def brightness_range(gray: np.ndarray) -> float:
    """Gray levels between the 1 % and the 99 % quantile of the averaged picture `[h, w]` uint8."""
    low, high = np.percentile(cv2.resize(gray, _SMALL, interpolation=cv2.INTER_AREA), (1, 99))
    return float(high - low)
