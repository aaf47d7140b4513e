"""Blurred: out of focus, fogged from inside, a drop or grease on the whole lens.

Sharpness is the energy of the Laplacian over that of the contrast, in the quarter of the tiles with most contrast. Fog
and night lower both alike and do not change it; blur takes the Laplacian away. On real driving images it is 0.05 to 4.6
(1 % below 0.09); Gaussian blur of 4 pixels at 960 pixels of width leaves 0.001 to 0.013, with sensor noise up to 0.08.
"""

from __future__ import annotations

import numpy as np

from ..fault import Fault
from ..reasons import BLURRED
from .image_statistics import TILES, ImageStatistics
from .level import Lasting, Level
from .settings import InputGateSettings

FLOOR = 0.012
"""Below it every picture is blurred."""
CEILING = 0.06
"""Below it a picture is blurred if it has less than `PART` of the camera's usual sharpness."""
PART = 0.15
_STRONG = TILES * TILES // 4
_QUIET = 16.0


class Blurred:
    """Fault after `covered_after` seconds: a single frame may be blurred by motion."""

    def __init__(self, settings: InputGateSettings) -> None:
        self._level = Level()
        self._lasting = Lasting(round(settings.covered_after * 1e9))

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        value, level = sharpness(statistics), self._level.value
        blurred = value < FLOOR or (level is not None and value < min(CEILING, PART * level))
        if not blurred:
            self._level.learn(value)
        if not self._lasting(blurred, statistics.stamp_ns):
            return None
        usual = "" if level is None else f", usually {level:.2g}"
        return Fault(BLURRED, f"sharpness {value:.2g}{usual}")


def sharpness(statistics: ImageStatistics) -> float:
    """See above; 0 or more, without unit."""
    contrast, detail = statistics.contrast.reshape(-1), statistics.detail.reshape(-1)
    strong = np.argpartition(contrast, -_STRONG)[-_STRONG:]
    return float(detail[strong].sum() / (np.square(contrast[strong]).sum() + _QUIET))
