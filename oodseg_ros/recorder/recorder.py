"""The event recorder: a ring in memory, a thread of its own that writes a piece of it when something happens, and the
quota of bags (per hour, in all, and with what is free on the disk).

Nothing here makes the pipeline wait: keeping a moment is an append under a lock that no disk access holds, a trigger
sets a flag, and what comes while a bag is being written is merged into the next one or counted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..parameters.settings import RecordSettings
from .bag_file import Describe, prepare, write_bag, wrote
from .ring import MEGABYTE, Moment, Ring

_NAME = re.compile(r"\d{8}T\d{6}Z_\w+(-\d+)?\.mcap")
"""As `bag_name` makes it; a bag that was renamed is one that somebody wants to keep."""
HOUR = 3600.0
STALE_PART = 600.0
"""Seconds after which a temporary file belongs to a process that died."""


class Quota:
    """Whether one more bag may be written. For the recorder's thread only; looks at the folder anew each time, since
    people move bags away.

    Args:
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


NICENESS = 5
"""Of the writing thread: encoding must not take the processor from the road."""


@dataclass
class _Event:
    cause: str
    camera: str
    at: float
    also: list[str] = field(default_factory=list)


class Recorder:
    """Starts its thread on construction; `close` ends it.

    Args:
        versions: what made the scores (package, bundle, engine, parameters): written into every bag.
        describe: camera and alert → key-values.
        say: gets sentences worth a log line: the first of each kind of trouble, and its end.
        clock: monotonic seconds.

    Attributes:
        ring: gets the moments.
    """

    def __init__(
        self,
        settings: RecordSettings,
        versions: Mapping[str, str],
        describe: Describe,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._versions = dict(versions)
        self._describe = describe
        self._say = say
        self._clock = clock
        self.ring = Ring(settings)
        self._quota = Quota(settings, say, clock)
        self._condition = threading.Condition()
        self._event: _Event | None = None
        self._closing = False
        self._counts: Counter[str] = Counter()
        self._trouble: str | None = None
        self._last = ""
        # Here, while nothing drives yet, and not with the thread's low priority.
        prepare()
        self._thread = threading.Thread(target=self._loop, name="recorder", daemon=True)
        self._thread.start()

    def add(self, moment: Moment) -> None:
        """Keep a moment; returns at once."""
        self.ring.add(moment)

    def trigger(self, cause: str, camera: str = "") -> None:
        """Something happened now: write the seconds around it. One that comes while another waits joins its bag."""
        with self._condition:
            self._counts["triggers"] += 1
            if self._event is not None:
                # Bounded: the first few tell enough.
                if len(self._event.also) < 20:
                    self._event.also.append(f"{cause} {camera}".strip())
                self._counts["merged"] += 1
                return
            self._event = _Event(cause, camera, self._clock())
            self._condition.notify()

    def counts(self) -> dict[str, str]:
        """For diagnostics: triggers, merged, written, failed, refused_<why>, pushed_out, memory, trouble, last bag."""
        with self._condition:
            counts = {key: str(count) for key, count in sorted(self._counts.items())}
        more = {"pushed_out": self.ring.pushed_out, "ring_mb": round(self.ring.bytes / MEGABYTE, 1)}
        return counts | {key: str(value) for key, value in more.items()} | {"last": self._last}

    @property
    def trouble(self) -> str | None:
        """Why bags are not written at the moment, or None."""
        return self._trouble

    def close(self, timeout: float = 5.0) -> bool:
        """End the thread; a waiting event is written at once. False: it still writes after `timeout` seconds."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (event := self._next()) is not None:
            try:
                self._write(event)
            except Exception as error:  # whatever a disk or an encoder does, the next event deserves its bag
                self._count("failed")
                self._stuck(f"recorder: the bag was not written: {type(error).__name__}: {error}")

    def _next(self) -> _Event | None:
        """The event whose seconds have passed; None at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._event is not None or self._closing)
            if self._event is None:
                return None
            due = self._event.at + self._settings.after
            while not self._closing and (rest := due - self._clock()) > 0:
                self._condition.wait(rest)
            event, self._event = self._event, None
            return event

    def _write(self, event: _Event) -> None:
        settings = self._settings
        refusal = self._quota.refusal()
        if refusal is not None:
            reason, sentence = refusal
            self._count(f"refused_{reason}")
            self._stuck(f"recorder: no bag for {event.cause} {event.camera}: {sentence}", reason)
            return
        moments = self.ring.window(event.at - settings.before, event.at + settings.after)
        file = bag_name(settings.folder, event.cause, event.camera, time.time())
        notes = {"cause": event.cause, "camera": event.camera, "also": ", ".join(event.also), **self._versions}
        self._quota.begin()
        count = len(moments)
        written = write_bag(file, moments, event.at, notes, self._describe, settings.max_bag_mb * MEGABYTE)
        self._count("written")
        self._count("moments_cut", count - written)
        self._last = str(file)
        if self._trouble is not None:
            self._trouble = None
            self._say(f"recorder: writing again: {file}")

    def _stuck(self, sentence: str, kind: str | None = None) -> None:
        # Said when it begins and when it becomes another one, not for each event.
        kind = kind or sentence
        if self._trouble != kind:
            self._trouble = kind
            self._say(sentence + " (said once; counted in /diagnostics)")

    def _count(self, key: str, by: int = 1) -> None:
        with self._condition:
            self._counts[key] += by
