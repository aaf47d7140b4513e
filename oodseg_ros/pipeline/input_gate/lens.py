"""What lies on the lens, compared with what is usual for the camera: blocked and blurred.

Blocked: dirt, tape, snow or a leaf on a part of the lens, or a cover that lets light through.

A blocked tile has no contrast at all. So has a clear sky, and fog takes contrast from everything: only the lower half
of the image counts, where a road is, and only while the rest of the image keeps its contrast. On real driving images
at most 41 % of the lower tiles are without contrast (smooth asphalt), in synthetic fog 81 %.

Blurred: out of focus, fogged from inside, a drop or grease on the whole lens.

Sharpness is the energy of the Laplacian over that of the contrast, in the quarter of the tiles with most contrast. Fog
and night lower both alike and do not change it; blur takes the Laplacian away. On real driving images it is 0.05 to 4.6
(1 % below 0.09); Gaussian blur of 4 pixels at 960 pixels of width leaves 0.001 to 0.013, with sensor noise up to 0.08.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...parameters.judging import InputGateSettings
from ..reasons import BLOCKED, BLURRED, Fault
from .picture import TILES, ImageStatistics

MIN_FRAMES = 10
"""Frames before a level means anything."""
_WEIGHT = 0.03
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
FLOOR = 0.012
"""Below it every picture is blurred."""
CEILING = 0.06
"""Below it a picture is blurred if it has less than `PART` of the camera's usual sharpness."""
PART = 0.15
_STRONG = TILES * TILES // 4
_QUIET = 16.0


class Level:
    """Mean of the first frames, then an exponential average over about thirty."""

    def __init__(self) -> None:
        self._count = 0
        self._value: Any = 0.0

    def learn(self, value: np.ndarray | float, where: np.ndarray | None = None) -> None:
        """Take a good frame into account; `where` limits an array to some of its elements."""
        self._count += 1
        weight = max(_WEIGHT, 1.0 / self._count)
        step = weight * (value - self._value)
        self._value = self._value + (step if where is None or self._count == 1 else np.where(where, step, 0.0))

    @property
    def value(self) -> Any:
        """None before `MIN_FRAMES` frames."""
        return self._value if self._count >= MIN_FRAMES else None


class Lasting:
    """True once something has been so for a number of nanoseconds of stamps, and in three frames."""

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns
        self._since: int | None = None
        self._count = 0

    def __call__(self, so: bool, stamp_ns: int) -> bool:
        if not so:
            self._since, self._count = None, 0
            return False
        if self._since is None:
            self._since = stamp_ns
        self._count += 1
        return self._count >= 3 and stamp_ns - self._since >= self._after_ns


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


class Blurred:
    """Fault after `covered_after` seconds: a single frame may be blurred by motion."""

    def __init__(self, settings: InputGateSettings) -> None:
        self._level = Level()
        self._lasting = Lasting(round(settings.covered_after * 1e9))

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        value, level = sharpness(statistics), self._level.value
        blurred = value < FLOOR or (level is not None and value < min(CEILING, PART * float(level)))
        if not blurred:
            self._level.learn(value)
        if not self._lasting(blurred, statistics.stamp_ns):
            return None
        usual = "" if level is None else f", usually {level:.2g}"
        return Fault(BLURRED, f"sharpness {value:.2g}{usual}")


def sharpness(statistics: ImageStatistics) -> float:
    """Energy of the Laplacian over that of the contrast (see the module); 0 or more, without unit."""
    contrast, detail = statistics.contrast.reshape(-1), statistics.detail.reshape(-1)
    strong = np.argpartition(contrast, -_STRONG)[-_STRONG:]
    return float(detail[strong].sum() / (np.square(contrast[strong]).sum() + _QUIET))
