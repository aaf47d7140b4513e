"""Sources as arrivals on their own clock: the log time of a bag's messages, else the frames' own stamps, the same in
every run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import UserError
from ..frame import Frame
from ..pipeline.geometry.ground import CameraGeometry
from ..pipeline.step import Arrival, Surroundings
from ..sources.bag_messages import ReplayBag, is_bag
from ..sources.open_source import is_scenes, open_source
from ..sources.source import Source, Unreadable
from .recorded_bag import RecordedBag


class Recorded(Protocol):
    """Frames with the time at which they came.

    Attributes:
        count: frames, None where it is not known before reading.
        surroundings: by camera.
        sequential: consecutive frames of a camera belong together.
        notes: what a person should know of the source.
        skipped: what could not be read beside the frames, counted by reason.
        metres: way driven so far, nan where the source does not tell.
    """

    name: str
    cameras: Sequence[str]
    count: int | None
    surroundings: Mapping[str, Surroundings]
    sequential: bool
    notes: list[str]
    skipped: Counter[str]
    metres: float

    def first(self) -> Frame | None:
        """The first one that can be decoded, asked before `arrivals` begins; None = only `arrivals` tells."""

    @property
    def damage(self) -> str | None:
        """What of the source could not be read, None = nothing; final after `arrivals`."""

    @property
    def missing(self) -> int:
        """Frames that the source promises and that did not come; final after `arrivals`."""

    def arrivals(self) -> Iterator[tuple[Arrival, int]]:
        """Every frame, with the clock's nanoseconds."""

    def speed(self) -> float | None:
        """Of the vehicle at the present frame, m/s; None = not known."""


def open_recorded(
    path: str | Path,
    topics: list[str] | None,
    given: Mapping[str, Any],
    geometry: Callable[[Frame], CameraGeometry | None] | None = None,
) -> Recorded:
    """A bag, or whatever else `open_source` reads.

    Args:
        topics, given, geometry: as of `RecordedBag`.

    Raises:
        UserError: it cannot be read, or topics are asked of something that is no bag.
    """
    if not is_scenes(path) and is_bag(Path(path)):
        return RecordedBag(ReplayBag(Path(path)), topics, given, geometry)
    return RecordedSource(open_source(path, topics), geometry)


class RecordedSource:
    """Images, a video or procedural scenes; their clock is that of their stamps.

    Args:
        geometry: of all its cameras; None = they have none.
    """

    metres = math.nan

    def __init__(self, source: Source, geometry: Callable[[Frame], CameraGeometry | None] | None = None) -> None:
        self._source = source
        self.name, self.cameras, self.count = source.name, source.cameras, source.count
        self.sequential, self.skipped = source.sequential, Counter[str]()
        self.surroundings = {name: Surroundings(geometry=geometry) for name in source.cameras} if geometry else {}
        self.notes: list[str] = []

    def first(self) -> Frame | None:
        with suppress(UserError):  # `arrivals` says it, after all that cannot be judged
            return next(iter(self._source))
        return None

    @property
    def damage(self) -> str | None:
        return self._source.damage

    @property
    def missing(self) -> int:
        return self._source.missing

    def speed(self) -> float | None:
        return None

    def arrivals(self) -> Iterator[tuple[Arrival, int]]:
        for item in self._source.everything():
            # 0 would mean that it has no stamp.
            stamped = item if item.stamp_ns else replace(item, stamp_ns=1)
            arrival = Arrival(item.camera, stamped.stamp_ns, lambda stamped=stamped: _decoded(stamped), source=stamped)
            yield arrival, stamped.stamp_ns


def _decoded(item: Frame | Unreadable) -> Frame:
    if isinstance(item, Unreadable):
        raise item.error
    return item
