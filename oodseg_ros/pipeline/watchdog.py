"""A thread that checks that the others still make progress, on its own monotonic clock.

The executor's thread sends the heartbeat and the inference thread answers; both may stand still, in a driver that hangs
or in a transition that waits. Then this one names the reason, sends the heartbeat, and at last gives up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Watched:
    """What the watchdog looks at and what it does; all are called in its thread.

    Attributes:
        busy_for: seconds that the inference thread has been at one step.
        silent_for: seconds since the last heartbeat.
        blocked: told True (with the seconds) when the inference thread stands still, False when it moves again.
        beat: sends a heartbeat in the place of the thread that should.
        give_up: the inference thread has stood still for too long; called once.
        failed: told what one of the others raised: what watches must outlive what it watches.
    """

    busy_for: Callable[[], float]
    silent_for: Callable[[], float]
    blocked: Callable[[bool, float], None]
    beat: Callable[[], None]
    give_up: Callable[[float], None]
    failed: Callable[[Exception], None] = lambda error: None


class Watchdog:
    """`check` looks once; `start` does so every `period` seconds in a thread of its own until `stop`.

    Args:
        stall_after: seconds at one step after which a thread stands still; read each time.
        stall_exit: seconds after which it is given up; 0 = never; read each time.
        silence: seconds without a heartbeat after which one is sent from here.
        period: seconds from one check to the next.
    """

    def __init__(
        self,
        watched: Watched,
        stall_after: Callable[[], float],
        stall_exit: Callable[[], float],
        silence: float,
        period: float = 0.1,
    ) -> None:
        self._watched = watched
        self._stall_after, self._stall_exit = stall_after, stall_exit
        self._silence = silence
        self._period = period
        self._blocked = self._given_up = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; it may take one look more."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(1.0)

    def check(self) -> None:
        """One look. What one part of it raises is told, and takes nothing from the other parts."""
        for part in (self._check_stall, self._check_exit, self._check_silence):
            try:
                part()
            except Exception as error:
                self._tell(error)

    def _check_stall(self) -> None:
        busy = self._watched.busy_for()
        blocked = busy > self._stall_after()
        if blocked != self._blocked:
            self._watched.blocked(blocked, busy)
            self._blocked = blocked

    def _check_exit(self) -> None:
        busy, limit = self._watched.busy_for(), self._stall_exit()
        if limit > 0 and busy > limit and not self._given_up:
            self._watched.give_up(busy)
            self._given_up = True

    def _check_silence(self) -> None:
        if self._watched.silent_for() > self._silence:
            self._watched.beat()

    def _tell(self, error: Exception) -> None:
        try:
            self._watched.failed(error)
        except Exception:  # the log itself is broken: nothing is left but to go on
            return

    def _loop(self) -> None:
        while not self._stop.wait(self._period):
            self.check()
