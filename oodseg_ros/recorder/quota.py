"""Whether one more bag may be written: per hour, in all, and with what is free on the disk."""

from __future__ import annotations

import re
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..parameters.settings import RecordSettings
from .bag_file import wrote
from .ring import MEGABYTE

_NAME = re.compile(r"\d{8}T\d{6}Z_\w+(-\d+)?\.mcap")
"""As `bag_name` makes it; a bag that was renamed is one that somebody wants to keep."""
HOUR = 3600.0
STALE_PART = 600.0
"""Seconds after which a temporary file belongs to a process that died."""


class Quota:
    """Asked by the recorder's thread only; looks at the folder anew each time, since people move bags away.

    Args:
        settings: the bounds.
        say: gets a sentence when bags are deleted.
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: RecordSettings, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._say = say
        self._clock = clock
        self._begun: deque[float] = deque()

    def refusal(self) -> tuple[str, str] | None:
        """None if a bag may be written; else a short reason, and a sentence that says what to do.

        Raises:
            OSError: the folder cannot be made or read.
        """
        settings, folder = self._settings, self._settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        now = self._clock()
        while self._begun and self._begun[0] < now - HOUR:
            self._begun.popleft()
        if len(self._begun) >= settings.max_per_hour:
            return "rate", f"{settings.max_per_hour} bags were written within an hour (record.max_per_hour)"
        self._sweep()
        need = settings.max_bag_mb * MEGABYTE
        bags = sorted(folder.glob("*.mcap"), key=lambda file: file.stat().st_mtime)
        total = sum(file.stat().st_size for file in bags)
        own = [file for file in bags if _NAME.fullmatch(file.name) and wrote(file)] if settings.delete_oldest else []
        possible = total - sum(file.stat().st_size for file in own)
        # Where even that would not be enough nothing is deleted: evidence is not given away for nothing.
        while own and possible + need <= settings.max_total_mb * MEGABYTE < total + need:
            oldest = own.pop(0)
            total -= oldest.stat().st_size
            oldest.unlink()
            self._say(f"recorder: deleted the oldest bag {oldest.name} to make room (record.delete_oldest)")
        if total + need > settings.max_total_mb * MEGABYTE:
            return "total", (
                f"{folder} holds {total / MEGABYTE:.0f} MB, and one more bag could exceed record.max_total_mb = "
                f"{settings.max_total_mb}; move bags away, or set record.delete_oldest (it deletes the recorder's own)"
            )
        free = shutil.disk_usage(folder).free
        if free < settings.min_free_mb * MEGABYTE:
            return "disk", f"only {free / MEGABYTE:.0f} MB are free at {folder} (record.min_free_mb)"
        return None

    def begin(self) -> None:
        """A bag is being written now."""
        self._begun.append(self._clock())

    def _sweep(self) -> None:
        for part in self._settings.folder.glob(".*.mcap.part"):
            if time.time() - part.stat().st_mtime > STALE_PART:
                part.unlink(missing_ok=True)


def bag_name(folder: Path, cause: str, camera: str, seconds: float) -> Path:
    """A name that does not exist yet: UTC time, cause, camera."""
    stem = "_".join(filter(None, (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds)), cause, camera)))
    file, number = folder / f"{stem}.mcap", 2
    while file.exists():
        file, number = folder / f"{stem}-{number}.mcap", number + 1
    return file
