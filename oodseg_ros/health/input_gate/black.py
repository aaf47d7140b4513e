"""Black: a lens cap, a dead sensor, no light at all. A night with any lamp in view is not black."""

from __future__ import annotations

import numpy as np

from ..fault import Fault
from ..reasons import BLACK
from .settings import InputGateSettings
from .sight import Sight

BRIGHTEST = 12
"""Of 255: 99 % of the pixels of a black picture are darker."""
NOISY_BRIGHTEST, NOISY_CONTRAST = 32, 3.0
"""Sensors with a black level and noise: also black is what is this dark and has this standard deviation at most."""


class Black:
    """Stateless; at once."""

    def __init__(self, settings: InputGateSettings) -> None:
        pass

    def __call__(self, sight: Sight) -> Fault | None:
        gray = sight.gray.reshape(-1)
        rank = int(0.99 * (gray.size - 1))
        brightest = int(np.searchsorted(np.cumsum(np.bincount(gray, minlength=256)), rank + 1))
        if brightest < BRIGHTEST or (brightest < NOISY_BRIGHTEST and float(gray.std()) < NOISY_CONTRAST):
            return Fault(BLACK, f"99 % of the pixels are darker than {brightest + 1} of 255")
        return None
