"""A source of frames: a bag, a video, images or a procedural drive, read the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatasetError, UserError, counted
from ..frame import Frame

STILL_PERIOD_NS = 100_000_000
"""Images in a folder carry no time; they are stamped 0.1 s apart."""


@dataclass(frozen=True)
class Unreadable:
    """In place of a frame: there was one, and it cannot be decoded.

    Attributes:
        stamp_ns, camera, file: as of a `Frame`.
        error: why; its text says where.
    """

    error: UserError
    stamp_ns: int
    camera: str
    file: str = ""


@dataclass
class Source:
    """Frames in time order; every iteration starts anew.

    Attributes:
        name: file or folder name, for titles and reports.
        kind: `bag`, `video`, `folder`, `image` or `scenes`.
        cameras: names that its frames carry.
        count: number of frames, also of those that cannot be decoded; None where it is not known before reading.
        open_frames: called with this source for each iteration.
        files: names of the image files it is made of; empty = its frames lie in one file.
        damage: a sentence on the part of the file that could not be read, None = all is read so far; final after an
            iteration.
        missing: frames that the file promises and that did not come; final after an iteration.
        skipped: frames of the last iteration that could not be decoded, counted by reason.
    """

    name: str
    kind: str
    cameras: tuple[str, ...]
    count: int | None
    open_frames: Callable[[Source], Iterator[Frame | Unreadable]]
    files: tuple[str, ...] = ()
    damage: str | None = None
    missing: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Frame]:
        """The frames; those that cannot be decoded are left out, and counted in `skipped`.

        Raises:
            DatasetError: as of `everything`.
        """
        return (item for item in self.everything() if isinstance(item, Frame))

    def everything(self) -> Iterator[Frame | Unreadable]:
        """The frames, and in their places those that cannot be decoded: whoever judges must say that it cannot tell.

        Raises:
            DatasetError: there was none to the end that can be decoded: an empty read is never a result.
        """
        self.skipped.clear()
        self.missing, empty = 0, True
        for item in self.open_frames(self):
            if isinstance(item, Unreadable):
                self.skipped[str(item.error)] += 1
            else:
                empty = False
            yield item
        if empty:
            raise DatasetError(f"{self.name} holds no frame that can be read: {self.troubles() or 'it is empty'}")

    def troubles(self) -> str:
        """What was lost and why, in one line; "" = nothing."""
        parts = counted(self.skipped, 3)
        parts += [f"{self.missing} missing"] if self.missing else []
        return "; ".join([*parts, *([self.damage] if self.damage else [])])

    @property
    def sequential(self) -> bool:
        """Whether consecutive frames belong together: not so for single images and folders of unrelated ones."""
        return self.kind not in ("image", "folder")


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts `frame_2` before `frame_10`, and numbers before letters; folders count as their names do."""
    parts = [part for part in re.split(r"(\d+)", path.as_posix()) if part]
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)
