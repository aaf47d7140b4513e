"""Frozen: a driver or a grabber that sends its last picture again and again, under new stamps."""

from __future__ import annotations

import numpy as np

from ..fault import Fault
from ..reasons import FROZEN
from .image_statistics import ImageStatistics
from .settings import InputGateSettings

MIN_FRAMES = 3


class Frozen:
    """Fault once the sampled pixels have been equal for `frozen_after` seconds of stamps, and in three frames.

    The noise of a sensor changes some of 8000 pixels in every picture, even before a wall and after JPEG coding.
    """

    def __init__(self, settings: InputGateSettings) -> None:
        self._after_ns = round(settings.frozen_after * 1e9)
        self._sample: np.ndarray | None = None
        self._since = 0
        self._count = 0

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        if self._sample is None or not np.array_equal(statistics.sample, self._sample):
            self._sample, self._since, self._count = statistics.sample, statistics.stamp_ns, 1
            return None
        self._count += 1
        elapsed = statistics.stamp_ns - self._since
        if self._count < MIN_FRAMES or elapsed < self._after_ns:
            return None
        return Fault(FROZEN, f"no pixel changed in {self._count} images of {elapsed * 1e-9:.1f} s")
