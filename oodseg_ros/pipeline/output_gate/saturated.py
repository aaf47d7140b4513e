"""Saturated: most of the image is above the threshold that the bundle was calibrated to.

The bundle's threshold counts, not the one in the parameters: this asks about the network, not about the user's taste.
"""

from __future__ import annotations

import numpy as np

from ...model_card import Calibration
from ..fault import Fault
from ..reasons import SCORE_SATURATED
from .reading import Reading
from .settings import OutputGateSettings


class Saturated:
    """Stateless."""

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        self._threshold = np.float32(calibration.threshold)
        self._limit = settings.saturated

    def __call__(self, reading: Reading) -> Fault | None:
        if not reading.scores.size:
            return None
        share = np.count_nonzero(reading.scores > self._threshold) / reading.scores.size
        return (
            Fault(SCORE_SATURATED, f"{share:.0%} of the pixels are above the threshold")
            if share > self._limit
            else None
        )
