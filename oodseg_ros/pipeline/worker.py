"""The inference thread: takes the newest frame of every camera, batches equal sizes, and answers or accounts for each.

Knows nothing of ROS. Whatever one frame raises is counted and reported, and the next frame is processed; only an engine
that fails again and again ends the thread, through `Handlers.fatal`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import ImageError
from ..frame import Frame, Prediction
from . import account as timing
from .mailbox import Item, Mailbox
from .reasons import FrameRefused

TAKE_TIMEOUT = 0.5
"""Seconds after which an idle thread looks whether it should stop."""


class BatchRunner(Protocol):
    """What the thread needs of `inference.Runner`."""

    def __call__(self, images: Sequence[Any]) -> list[Prediction]: ...

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool: ...

    def warm(self, height: int, width: int, batch: int = 1) -> None: ...


@dataclass(frozen=True)
class Handlers:
    """What the thread calls; all in its own thread.

    Attributes:
        decode: item → frame; raises ImageError for what is no image, FrameRefused for what must not be judged.
        answer: judge and publish one answered frame; returns the reason for which the answer was refused, or None.
        answered: counts a frame after `answer` returned.
        dropped: counts a frame that gets no answer, with its reason and the error if there was one.
        warming: True before an engine is compiled for a new image size, False after.
        fatal: the engine failed too often; the thread ends after this call.
    """

    decode: Callable[[Item], Frame]
    answer: Callable[[Item, Frame, Prediction], str | None]
    answered: Callable[[Item], None]
    dropped: Callable[[Item, str, Exception | None], None]
    warming: Callable[[bool], None]
    fatal: Callable[[Exception], None]


class InferenceWorker:
    """Owns the runner from `start` to `stop`.

    Args:
        runner: images → predictions.
        mailbox: where the frames wait.
        handlers: see `Handlers`.
        now_ns: clock of the header stamps, nanoseconds.
        max_age: seconds after its stamp at which a frame is not worth answering; 0 = never. Read each time.
        batch: images of equal size that run as one batch; 1 = none. Only the batch sizes 1 and `batch` are compiled,
            so a camera that dies or comes back never makes the others wait for a compiler.
        retries: failing frames in a row after which the engine is given up.
    """

    def __init__(
        self,
        runner: BatchRunner,
        mailbox: Mailbox,
        handlers: Handlers,
        now_ns: Callable[[], int],
        max_age: Callable[[], float],
        batch: int = 1,
        retries: int = 3,
    ) -> None:
        self._runner = runner
        self._mailbox = mailbox
        self._handlers = handlers
        self._now_ns = now_ns
        self._max_age = max_age
        self._batch = batch
        self._retries = retries
        self._failures = 0
        self._answered: dict[str, float] = {}
        self._busy_since: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="inference", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def busy_for(self) -> float:
        """Seconds that the thread has been at one step of its work; 0 while it waits for frames or compiles."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self, timeout: float = 60.0) -> bool:
        """Close the mailbox, count what waits as `inactive`, and join. False: the thread is still inside the engine."""
        self._stop.set()
        for item in self._mailbox.close():
            self._handlers.dropped(item, timing.INACTIVE, None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._stop.is_set():
            items = self._mailbox.take(TAKE_TIMEOUT)
            if items and not self._process(items):
                break
            self._busy_since = None
        self._busy_since = None

    def _process(self, items: list[Item]) -> bool:
        """Answer or drop every item; False when the engine was given up."""
        # Who waited longest comes first; else, where a round takes longer than max_age, the last ones would starve.
        items = sorted(items, key=lambda item: self._answered.get(item.camera, 0.0))
        groups: dict[tuple[int, ...], list[tuple[Item, Frame]]] = {}
        for item in items:
            self._busy_since = time.monotonic()
            frame = self._decoded(item)
            if frame is not None:
                groups.setdefault(frame.image.shape, []).append((item, frame))
        for chunk in (chunk for group in groups.values() for chunk in self._chunks(group)):
            if self._failures > self._retries or self._stop.is_set():
                reason = timing.INACTIVE if self._stop.is_set() else timing.ENGINE_ERROR
                self._drop_all(chunk, reason, None)
            else:
                self._infer(chunk)
        return self._failures <= self._retries

    def _decoded(self, item: Item) -> Frame | None:
        if self._too_old(item):
            self._handlers.dropped(item, timing.TOO_OLD, None)
            return None
        try:
            return self._handlers.decode(item)
        except FrameRefused as refusal:
            self._handlers.dropped(item, refusal.fault.reason, refusal)
            return None
        except Exception as error:  # adversarial messages raise anything; none may end the thread
            self._handlers.dropped(item, timing.DECODE_FAILED, error)
            return None

    def _too_old(self, item: Item) -> bool:
        limit = self._max_age()
        return limit > 0 and self._now_ns() - item.stamp_ns > limit * 1e9

    def _chunks(self, group: list[tuple[Item, Frame]]) -> list[list[tuple[Item, Frame]]]:
        whole = len(group) // self._batch * self._batch
        return [group[i : i + self._batch] for i in range(0, whole, self._batch)] + [[one] for one in group[whole:]]

    def _infer(self, chunk: list[tuple[Item, Frame]]) -> None:
        try:
            self._warm(chunk[0][1].image.shape)
        except ImageError as error:
            return self._drop_all(chunk, timing.DECODE_FAILED, error)
        except Exception as error:
            return self._engine_failed(chunk, error)
        # Again here: compiling, or the cameras before this one, may have taken longer than the frame may wait.
        fresh = []
        for item, frame in chunk:
            if self._too_old(item):
                self._handlers.dropped(item, timing.TOO_OLD, None)
            else:
                fresh.append((item, frame))
        if len(fresh) not in (0, 1, self._batch):
            for one in fresh:
                self._run([one])
        elif fresh:
            self._run(fresh)

    def _warm(self, shape: tuple[int, ...]) -> None:
        missing = [batch for batch in sorted({1, self._batch}) if not self._runner.is_warm(*shape[:2], batch)]
        if not missing:
            return
        self._busy_since = None
        self._handlers.warming(True)
        try:
            for batch in missing:
                self._runner.warm(*shape[:2], batch)
        finally:
            self._handlers.warming(False)

    def _run(self, chunk: list[tuple[Item, Frame]]) -> None:
        self._busy_since = time.monotonic()
        try:
            predictions = _checked(chunk, self._runner([frame.image for _, frame in chunk]))
        except ImageError as error:
            return self._drop_all(chunk, timing.DECODE_FAILED, error)
        except Exception as error:
            if len(chunk) > 1:  # one frame must not take the other cameras' frames with it
                for one in chunk:
                    self._run([one])
                return None
            return self._engine_failed(chunk, error)
        self._failures = 0
        for (item, frame), prediction in zip(chunk, predictions, strict=True):
            try:
                refused = self._handlers.answer(item, frame, prediction)
            except Exception as error:
                self._handlers.dropped(item, timing.INTERNAL_ERROR, error)
                continue
            self._answered[item.camera] = time.monotonic()
            if refused is None:
                self._handlers.answered(item)
            else:
                self._handlers.dropped(item, refused, None)
        return None

    def _engine_failed(self, chunk: list[tuple[Item, Frame]], error: Exception) -> None:
        self._drop_all(chunk, timing.ENGINE_ERROR, error)
        self._failures += 1
        if self._failures == self._retries + 1:
            self._handlers.fatal(error)

    def _drop_all(self, chunk: list[tuple[Item, Frame]], reason: str, error: Exception | None) -> None:
        for item, _ in chunk:
            self._handlers.dropped(item, reason, error)


def _checked(chunk: list[tuple[Item, Frame]], predictions: list[Prediction]) -> list[Prediction]:
    """One prediction per frame, of its size, or the engine has failed: a smaller mask would be a hole in the view."""
    if len(predictions) != len(chunk):
        raise RuntimeError(f"the engine answered {len(predictions)} of {len(chunk)} images")
    for (_, frame), prediction in zip(chunk, predictions, strict=True):
        sizes = frame.image.shape[:2], prediction.labels.shape, prediction.score.shape
        if len(set(sizes)) > 1:
            raise RuntimeError("image, labels and score have different sizes: {}, {}, {}".format(*sizes))
    return predictions
