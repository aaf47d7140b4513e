"""The checks of one camera, in their order."""

from __future__ import annotations

from collections.abc import Callable

from ...parameters.settings import InputGateSettings
from ..reasons import Fault
from .brightness import Black, LowContrast, OverExposed
from .image_statistics import ImageStatistics
from .lens import Blocked, Blurred
from .stream import CameraInfoCheck, Frozen, Size, Stamps

Check = Callable[[ImageStatistics], "Fault | None"]

CHECKS: dict[str, Callable[[InputGateSettings], Check]] = {
    "stamps": Stamps,
    "size": Size,
    "camera_info": CameraInfoCheck,
    "black": Black,
    "over_exposed": OverExposed,
    "low_contrast": LowContrast,
    "frozen": Frozen,
    "blocked": Blocked,
    "blurred": Blurred,
}
"""Name in the parameter `health.input` → what makes the check of one camera; the first fault is told."""


class InputGate:
    """State of one camera; not thread-safe. Time going back begins everything anew."""

    def __init__(self, settings: InputGateSettings | None = None) -> None:
        self._settings = settings or InputGateSettings()
        self.reset()

    def reset(self) -> None:
        """Forget what was usual."""
        wanted = [name for name in CHECKS if name in self._settings.checks]
        self._checks = {name: CHECKS[name](self._settings) for name in wanted}
        self._last: int | None = None

    def check(self, statistics: ImageStatistics) -> Fault | None:
        """The first fault of a frame, or None: it may be judged."""
        if self._last is not None and statistics.stamp_ns < self._last:
            fault = self._checks["stamps"](statistics) if "stamps" in self._checks else None
            if fault is not None:
                return fault
            self.reset()
        self._last = statistics.stamp_ns
        return next((fault for check in self._checks.values() if (fault := check(statistics))), None)
