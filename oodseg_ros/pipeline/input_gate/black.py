"""Black: a lens cap, a dead sensor, no light at all. A night with any lamp in view is not black."""

from __future__ import annotations

import cv2
import numpy as np

from ..fault import Fault
from ..reasons import BLACK
from .image_statistics import ImageStatistics
from .settings import InputGateSettings

BRIGHTEST = 12
"""Of 255: 99 % of the pixels of a black picture are darker."""
NOISY_BRIGHTEST, NOISY_CONTRAST = 32, 3.0
"""Sensors with a black level and noise: also black is what is this dark and has this standard deviation at most."""


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
