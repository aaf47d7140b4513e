"""Low contrast: dense fog, a lens fogged over, too little light. The network answers, and misses what is there.

The range is that from the darkest to the brightest percent of the picture, sensor noise averaged out. In 921 real
driving images it is 75 to 251 gray levels. road_lite on twenty frames of Fishyscapes Static: AP 81 % as they are, 76 %
in fog that leaves a quarter of the contrast, 58 % with a tenth (a range of 10 to 25), 27 % with a twentieth; 48 % at a
tenth of the light (`benchmarks/visibility.py`). Scores fall with the contrast, so their drift does not tell.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..fault import Fault
from ..reasons import LOW_CONTRAST
from .image_statistics import ImageStatistics
from .settings import InputGateSettings

RANGE = 30.0
"""Of 255 gray levels; less is a fault."""
_SMALL = (32, 18)


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
