"""Blocked: dirt, tape, snow or a leaf on a part of the lens, or a cover that lets light through.

A blocked tile has no contrast at all. So has a clear sky, and fog takes contrast from everything: only the lower half
of the image counts, where a road is, and only while the rest of the image keeps its contrast. On real driving images
at most 41 % of the lower tiles are without contrast (smooth asphalt), in synthetic fog 81 %.
"""

from __future__ import annotations

import numpy as np

from ..fault import Fault
from ..reasons import BLOCKED
from .image_statistics import TILES, ImageStatistics
from .level import Lasting, Level
from .settings import InputGateSettings

DEAD = 1.2
"""Gray levels of standard deviation below which a tile shows nothing."""
ALIVE = 4.0
"""A tile whose usual contrast is above this has shown something."""
LEFT = 0.15
"""Part of its usual contrast below which a tile is dead too: noise lies on what covers a lens."""
LOST = 0.35
"""Share of the lower tiles that were alive and are dead."""
ALL_LOWER = 0.98
"""Share of dead tiles in the lower half that needs no comparison with what was usual."""
ALL, FLAT = 0.9, 2.0
"""So does this share of all tiles with a contrast below `FLAT`."""
_KEPT = 0.5


class Blocked:
    """Fault after `covered_after` seconds."""

    def __init__(self, settings: InputGateSettings) -> None:
        self._level = Level()
        self._lasting = Lasting(round(settings.covered_after * 1e9))

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        dead = statistics.contrast < DEAD
        lower = dead[TILES // 2 :]
        covered = lower.mean() >= ALL_LOWER or (statistics.contrast < FLAT).mean() >= ALL
        usual = self._level.value
        lost, gone = 0.0, dead
        if usual is not None:
            gone = (statistics.contrast < np.maximum(DEAD, LEFT * usual)) & (usual >= ALIVE)
            lost = float(gone[TILES // 2 :].mean())
            # Fog and dusk weaken all tiles; what covers a part of the lens leaves the others as they were.
            others = ~gone & (usual >= ALIVE)
            kept = others.any() and float(np.median(statistics.contrast[others] / usual[others])) >= _KEPT
            lost = lost if kept else 0.0
        # Dead tiles keep their level: what is covered must not become usual.
        self._level.learn(statistics.contrast, ~gone)
        if not self._lasting(bool(covered) or lost >= LOST, statistics.stamp_ns):
            return None
        return Fault(BLOCKED, f"{float(lower.mean()):.0%} of the lower half shows nothing")
