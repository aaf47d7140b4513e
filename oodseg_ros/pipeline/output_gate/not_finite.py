"""NaN or infinity: a broken engine, half precision that overflowed, a device that lost its memory."""

from __future__ import annotations

from ...model_card import Calibration
from ..fault import Fault
from ..reasons import SCORE_NOT_FINITE
from .reading import Reading
from .settings import OutputGateSettings


class NotFinite:
    """Stateless."""

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        pass

    def __call__(self, reading: Reading) -> Fault | None:
        return None if reading.finite else Fault(SCORE_NOT_FINITE)
