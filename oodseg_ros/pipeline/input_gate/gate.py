"""What is wrong with a stream of images: its stamps, size, encoding and calibration, a picture that never changes.

Repeated and missing stamps are dropped where messages arrive (`account`), too old ones before the engine.
`InputGate` holds all checks of one camera, in their order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...parameters.judging import InputGateSettings
from ..reasons import CAMERA_INFO, ENCODING_CHANGED, FROZEN, STAMP_IN_FUTURE, STAMP_WENT_BACK, WRONG_SIZE, Fault
from .lens import Blocked, Blurred
from .picture import ImageStatistics, black, low_contrast, over_exposed

MAX_STEP_BACK_NS = 1_000_000_000
"""Nanoseconds; a longer one is time itself that went back, as when a bag loops: then everything begins anew."""
MAX_STEPS_BACK = 3
"""As many in a row are a new time line as well."""
ADOPT_NS = 5_000_000_000
"""A new size or encoding that lasts as long is taken for the camera's own, unless the size is a parameter."""
MIN_FRAMES = 3


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
        if -MAX_STEP_BACK_NS <= step < 0 and self._back + 1 < MAX_STEPS_BACK:
            self._back += 1
            return Fault(STAMP_WENT_BACK, f"by {-step * 1e-9:.3f} s")
        self._last, self._back = statistics.stamp_ns, 0
        return None


class Size:
    """Another size or encoding than before: a driver that was reconfigured, or another camera on the topic.

    The first image tells what is usual; faulty from the first other one on.
    """

    def __init__(self, settings: InputGateSettings) -> None:
        self._expected = settings.size
        self._usual: tuple[tuple[int, int], str] | None = None
        self._other: tuple[tuple[int, int], str] | None = None
        self._since = 0

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        size = (statistics.width, statistics.height)
        seen = (size, statistics.encoding)
        if self._expected is not None and size != self._expected:
            return Fault(WRONG_SIZE, f"{_text(size)}, but the parameter says {_text(self._expected)}")
        if self._usual is None or seen == self._usual:
            self._usual, self._other = seen, None
            return None
        if seen != self._other:
            self._other, self._since = seen, statistics.stamp_ns
        if statistics.stamp_ns - self._since >= ADOPT_NS:
            self._usual, self._other = seen, None
            return None
        if size != self._usual[0]:
            return Fault(WRONG_SIZE, f"{_text(size)}, but it was {_text(self._usual[0])}")
        return Fault(ENCODING_CHANGED, f"{statistics.encoding[:40]!r}, but it was {self._usual[1][:40]!r}")


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def camera_info(statistics: ImageStatistics) -> Fault | None:
    """camera_info that contradicts the image: positions would be wrong without any other sign."""
    return Fault(CAMERA_INFO, statistics.calibration) if statistics.calibration else None


class Frozen:
    """A driver or a grabber that sends its last picture again and again, under new stamps.

    Fault once the sampled pixels have been equal for `frozen_after` seconds of stamps, and in three frames.

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


Check = Callable[[ImageStatistics], "Fault | None"]

CHECKS: dict[str, Callable[[InputGateSettings], Check]] = {
    "stamps": Stamps,
    "size": Size,
    "camera_info": lambda _: camera_info,
    "black": lambda _: black,
    "over_exposed": lambda _: over_exposed,
    "low_contrast": lambda _: low_contrast,
    "frozen": Frozen,
    "blocked": Blocked,
    "blurred": Blurred,
}
"""Name in the parameter `health.input` → what makes the check of one camera; the first fault is told. Those
without state are functions: faulty from the first such frame on."""


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
