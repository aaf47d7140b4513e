"""Another size or encoding than before: a driver that was reconfigured, or another camera on the topic."""

from __future__ import annotations

from ..fault import Fault
from ..reasons import ENCODING_CHANGED, WRONG_SIZE
from .image_statistics import ImageStatistics
from .settings import InputGateSettings

ADOPT_NS = 5_000_000_000
"""A new size or encoding that lasts as long is taken for the camera's own, unless the size is a parameter."""


class Size:
    """The first image tells what is usual; at once."""

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
