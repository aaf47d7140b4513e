"""One class everywhere: no road scene looks like that, so the network does not see one."""

from __future__ import annotations

import numpy as np

from ...model_card import Calibration
from ..fault import Fault
from ..reasons import ONE_CLASS
from .reading import Reading
from .settings import OutputGateSettings


class OneClass:
    """Stateless."""

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        self._limit = settings.one_class

    def __call__(self, reading: Reading) -> Fault | None:
        if not reading.labels.size:
            return None
        counts = np.bincount(reading.labels, minlength=1)
        share = counts.max() / reading.labels.size
        if share <= self._limit:
            return None
        return Fault(ONE_CLASS, f"class {int(counts.argmax())} on {share:.1%} of the pixels")
