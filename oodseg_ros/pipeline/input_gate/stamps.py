"""Stamps in the future, and stamps that go back.

Repeated and missing stamps are dropped where messages arrive (`health.timing`), too old ones before the engine.
"""

from __future__ import annotations

from ..fault import Fault
from ..reasons import STAMP_IN_FUTURE, STAMP_WENT_BACK
from .image_statistics import ImageStatistics
from .settings import InputGateSettings

LONGEST_STEP_BACK = 1_000_000_000
"""Nanoseconds; a longer one is time itself that went back, as when a bag loops: then everything begins anew."""
MAX_STEPS_BACK = 3
"""As many in a row are a new time line as well."""


class Stamps:
    """A frame from before the last one is a straggler: the newer one has been judged already."""

    def __init__(self, settings: InputGateSettings) -> None:
        self._future_ns = round(settings.future * 1e9)
        self._last: int | None = None
        self._back = 0

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        ahead = statistics.stamp_ns - statistics.now_ns
        if statistics.now_ns > 0 and ahead > self._future_ns:
            return Fault(STAMP_IN_FUTURE, f"{ahead * 1e-9:.2f} s ahead of the clock")
        step = 0 if self._last is None else statistics.stamp_ns - self._last
        if -LONGEST_STEP_BACK <= step < 0 and self._back + 1 < MAX_STEPS_BACK:
            self._back += 1
            return Fault(STAMP_WENT_BACK, f"by {-step * 1e-9:.3f} s")
        self._last, self._back = statistics.stamp_ns, 0
        return None
