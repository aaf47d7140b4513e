"""The thread that judges what is due in the mailbox, and a second one that compiles, so that nobody waits for it.

Knows nothing of ROS. Only an engine that fails again and again ends the thread, through `fatal`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from . import reasons
from .mailbox import Mailbox, Turns
from .network import BatchRunner, EngineGivenUp
from .pipeline import Pipeline
from .step import Arrival, Step

TAKE_TIMEOUT = 0.5
"""Seconds after which an idle thread looks whether it should stop."""

Shape = tuple[int, int, int]


class InferenceThread:
    """Owns the pipeline from `start` to `stop`.

    Args:
        pipeline: judges; its engine is compiled in a thread beside this one from now on.
        priorities: camera → priority, see `mailbox.Turns`.
        now_ns: clock of the header stamps, nanoseconds.
        deliver: called in this thread with every step; what it raises costs that frame.
        fatal: the engine was given up; called once, after which the thread ends.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        runner: BatchRunner,
        priorities: dict[str, int],
        now_ns: Callable[[], int],
        deliver: Callable[[Step], None],
        fatal: Callable[[Exception], None],
    ) -> None:
        self._pipeline = pipeline
        self._now_ns = now_ns
        self._deliver = deliver
        self._fatal = fatal
        self._turns = Turns(priorities)
        self._mailbox = Mailbox(list(priorities), lambda arrival: pipeline.drop(arrival, reasons.OVERWRITTEN))
        self._compiler = Compiler(runner, self._mailbox.wake)
        pipeline.ready = self._compiler.ready
        self._busy_since: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="inference", daemon=True)

    def start(self) -> None:
        self._pipeline.start()
        self._thread.start()

    def receive(self, camera: str, stamp_ns: int, against: str | None = None) -> bool:
        """Count a frame as it arrives, from any thread; whether it may be `put`, now or when it is decoded.

        Args:
            stamp_ns: header stamp; 0 = it has none.
            against: a reason for which it must not be looked at.
        """
        return self._pipeline.receive(camera, stamp_ns, against) is None

    def put(self, arrival: Arrival) -> None:
        """A received frame, from any thread; an older one of its camera that waits is dropped."""
        if not self._mailbox.put(arrival):
            self._pipeline.drop(arrival, reasons.INACTIVE)

    def busy_for(self) -> float:
        """Seconds that the thread has been at one step of its work; 0 while it waits for frames."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self, timeout: float = 60.0) -> bool:
        """Close the mailbox, count what waits as `inactive`, and join. False: a thread is still inside the engine."""
        self._stop.set()
        for arrival in self._mailbox.close():
            self._pipeline.drop(arrival, reasons.INACTIVE)
        self._compiler.stop()
        end = time.monotonic() + timeout
        if self._thread.ident is not None:
            self._thread.join(timeout)
        stopped = not self._thread.is_alive() and self._compiler.join(end - time.monotonic())
        if stopped:
            self._pipeline.stop()
        return stopped

    def _loop(self) -> None:
        while not self._stop.is_set():
            arrivals = self._mailbox.take(TAKE_TIMEOUT, self._choose)
            self._busy_since = time.monotonic()
            left = {arrival.camera: arrival for arrival in arrivals}
            try:
                for step in self._pipeline.step(arrivals, self._now_ns):
                    left.pop(step.arrival.camera, None)
                    self._tell(step)
                    self._busy_since = time.monotonic()
            except EngineGivenUp as error:
                self._busy_since = None
                self._fatal(error)
                return
            except Exception as error:  # a fault of ours costs these frames, not the thread
                for arrival in left.values():
                    self._tell(self._pipeline.lost(arrival, error, self._now_ns()))
            self._busy_since = None

    def _choose(self, waiting: list[str]) -> list[str]:
        return self._turns.choose(waiting, self._pipeline.batch)

    def _tell(self, step: Step) -> None:
        try:
            self._deliver(step)
        except Exception as error:
            lost = self._pipeline.undelivered(step, error, self._now_ns())
            try:
                self._deliver(lost)
            except Exception:
                return  # it is counted, and the heartbeat says it
        else:
            self._pipeline.delivered(step, self._now_ns())


class Compiler:
    """Makes shapes ready in a thread of its own: while one camera's size is compiled the others are answered.

    Args:
        runner: compiles; it may run other shapes meanwhile.
        done: called after every shape, in this thread.
    """

    def __init__(self, runner: BatchRunner, done: Callable[[], None]) -> None:
        self._runner = runner
        self._done = done
        self._condition = threading.Condition()
        self._wanted: dict[Shape, None] = {}
        self._errors: dict[Shape, Exception] = {}
        self._thread: threading.Thread | None = None
        self._stopped = False

    def ready(self, height: int, width: int, batch: int) -> bool:
        """Whether this shape can run now; if not, it will be compiled.

        Raises:
            Exception: what the compiler raised of this shape, once; the next call tries again.
        """
        if self._runner.is_warm(height, width, batch):
            return True
        shape = (height, width, batch)
        with self._condition:
            if error := self._errors.pop(shape, None):
                raise error
            self._wanted[shape] = None
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._loop, name="compiler", daemon=True)
                self._thread.start()
            self._condition.notify()
        return False

    def stop(self) -> None:
        """Compile nothing more; what is under way ends by itself."""
        with self._condition:
            self._stopped = True
            self._wanted.clear()
            self._condition.notify()

    def join(self, timeout: float) -> bool:
        """Wait for the thread; False: it still compiles."""
        if self._thread is not None:
            self._thread.join(max(0.0, timeout))
        return self._thread is None or not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopped or self._wanted)
                if self._stopped:
                    return
                shape = next(iter(self._wanted))
            try:
                self._runner.warm(*shape)
            except Exception as error:
                with self._condition:
                    self._errors[shape] = error
            with self._condition:
                self._wanted.pop(shape, None)
            self._done()
