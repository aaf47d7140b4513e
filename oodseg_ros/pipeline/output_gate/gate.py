"""The checks of one camera's answers, in their order."""

from __future__ import annotations

from collections.abc import Callable

from ...model_card import Calibration
from ..fault import Fault
from .drift import Drift
from .not_finite import NotFinite
from .one_class import OneClass
from .reading import Reading
from .saturated import Saturated
from .settings import NAMES, OutputGateSettings

Check = Callable[[Reading], "Fault | None"]

CHECKS: dict[str, Callable[[Calibration, OutputGateSettings], Check]] = {
    "not_finite": NotFinite,
    "one_class": OneClass,
    "saturated": Saturated,
    "drift": Drift,
}
"""Name in `OutputGateSettings.checks` → what makes the check of one camera."""


class OutputGate:
    """State of one camera; not thread-safe.

    Args:
        calibration: the bundle's: what is normal.
        settings: see there.
    """

    def __init__(self, calibration: Calibration, settings: OutputGateSettings | None = None) -> None:
        self._calibration, self._settings = calibration, settings or OutputGateSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the frames before, as after a jump in time."""
        wanted = [name for name in NAMES if name in ("not_finite", *self._settings.checks)]
        self._checks = {name: CHECKS[name](self._calibration, self._settings) for name in wanted}

    @property
    def drift(self) -> float:
        """Divergence of the last frames' scores from the calibration, bits in [0, 1]; nan = not measured."""
        check = self._checks.get("drift")
        return check.value if isinstance(check, Drift) else float("nan")

    def check(self, reading: Reading) -> Fault | None:
        """The first fault of an answer, or None. Every check but the first sees every finite answer."""
        fault = self._checks["not_finite"](reading)
        if fault is not None:
            return fault
        faults = [check(reading) for check in self._checks.values()]
        return next((fault for fault in faults if fault is not None), None)
