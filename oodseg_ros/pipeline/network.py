"""Running frames through the network: batches of one size, frames that wait for a compile, an engine that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import EngineError, ImageError
from ..frame import Frame, Prediction
from ..parameters.settings import Settings
from .step import Arrival

Admitted = tuple[Arrival, Frame]


class BatchRunner(Protocol):
    """What is needed of `inference.Runner`."""

    def __call__(self, images: Sequence[Any]) -> list[Prediction]: ...

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool: ...

    def warm(self, height: int, width: int, batch: int = 1) -> None: ...

    def batch_pays(self, height: int, width: int, batch: int) -> bool: ...


class EngineGivenUp(EngineError):
    """The engine failed on too many frames in a row."""


@dataclass(frozen=True)
class Outcome:
    """What became of a frame: a prediction, an error, or neither, because it grew too old while it waited.

    Attributes:
        seconds: that the network took for it.
    """

    arrival: Arrival
    frame: Frame
    prediction: Prediction | None = None
    error: Exception | None = None
    seconds: float = 0.0


class Network:
    """Runs frames through the engine and keeps those that wait for a compile. Called from one thread.

    Args:
        runner: images → predictions.
        ready: (height, width, batch) → whether that can run now. False: it will be, and frames wait; raises why not.
        settings: read anew for each frame.
        warming: called with a camera and whether its size is being compiled.
        report: called with camera, kind and sentence for what a person should know.
    """

    def __init__(
        self,
        runner: BatchRunner,
        ready: Callable[[int, int, int], bool],
        settings: Callable[[], Settings],
        warming: Callable[[str, bool], None],
        report: Callable[[str, str, str], None],
    ) -> None:
        self._runner = runner
        self._ready = ready
        self._settings = settings
        self._warming = warming
        self._report = report
        self._failures = 0
        self._waiting: dict[str, Admitted] = {}
        self._refused: set[tuple[int, int, int]] = set()

    def start(self) -> None:
        """Forget failures and waiting frames from before."""
        self._failures = 0
        self._waiting.clear()

    def take_waiting(self) -> dict[str, Admitted]:
        """The frames that wait for a compile, by camera; they wait no longer."""
        waiting, self._waiting = self._waiting, {}
        return waiting

    def together(self, shape: tuple[int, int] | None, most: int) -> int:
        """How many images of a size run as one batch, of the most that could: all or each alone."""
        return most if most == 1 or shape is None or self._runner.batch_pays(*shape, most) else 1

    def run(self, group: list[Admitted], most: int, now_ns: Callable[[], int]) -> Iterator[Outcome]:
        """Run frames of one size, `most` at a time. Of those whose size is not compiled nothing comes out: they wait.

        Raises:
            EngineGivenUp: the engine failed on more than `engine_retries` frames in a row; after the last outcome.
        """
        for chunk in self._chunks(group, most):
            yield from self._answered(chunk, now_ns)

    def _chunks(self, group: list[Admitted], most: int) -> list[list[Admitted]]:
        """Whole batches, of as many images as cameras send this size, and single ones."""
        height, width = group[0][1].image.shape[:2]
        if len(group) < max(2, most) or not self._may_run(group[0][0].camera, height, width, most):
            return [[one] for one in group]
        whole = len(group) // most * most
        return [group[i : i + most] for i in range(0, whole, most)] + [[one] for one in group[whole:]]

    def _may_run(self, name: str, height: int, width: int, batch: int) -> bool:
        """Whether a batch can run; where not, single images do, and what the engine refused is not asked for again."""
        if (height, width, batch) in self._refused:
            return False
        try:
            if not self._ready(height, width, 1):
                return False
        except Exception:  # said where the single images run
            return False
        try:
            return self._ready(height, width, batch)
        except Exception as error:
            self._refused.add((height, width, batch))
            self._report(name, "batch", f"images of {width}x{height} run one by one, not {batch} together: {error}")
            return False

    def _answered(self, chunk: list[Admitted], now_ns: Callable[[], int]) -> Iterator[Outcome]:
        height, width = chunk[0][1].image.shape[:2]
        try:
            ready = self._ready(height, width, len(chunk))
        except Exception as error:
            for arrival, _ in chunk:
                self._warming(arrival.camera, False)
            yield from self._failed(chunk, error)
            return
        for arrival, frame in chunk:
            self._warming(arrival.camera, not ready)
            if not ready:
                self._waiting[arrival.camera] = arrival, frame
        if not ready:
            return
        # Again here: compiling, or the cameras before this one, may have taken longer than the frame may wait.
        fresh = []
        for arrival, frame in chunk:
            if arrival.is_older(self._settings().max_age, now_ns()):
                yield Outcome(arrival, frame)
            else:
                fresh.append((arrival, frame))
        if len(fresh) == len(chunk):
            yield from self._run(fresh)
        else:
            for one in fresh:
                yield from self._run([one])

    def _run(self, chunk: list[Admitted]) -> Iterator[Outcome]:
        start = time.perf_counter()
        try:
            predictions = _checked(chunk, self._runner([frame.image for _, frame in chunk]))
        except Exception as error:
            if len(chunk) > 1:  # one frame must not take the other cameras' frames with it
                for one in chunk:
                    yield from self._run([one])
            else:
                yield from self._failed(chunk, error)
            return
        self._failures = 0
        seconds = (time.perf_counter() - start) / len(chunk)
        for (arrival, frame), prediction in zip(chunk, predictions, strict=True):
            yield Outcome(arrival, frame, prediction, seconds=seconds)

    def _failed(self, chunk: list[Admitted], error: Exception) -> Iterator[Outcome]:
        """The engine could not be compiled for, or failed on, these frames."""
        for arrival, frame in chunk:
            yield Outcome(arrival, frame, error=error)
        if not isinstance(error, ImageError):
            self._failures += 1
            if self._failures > self._settings().engine_retries:
                raise EngineGivenUp(
                    f"the engine failed on {self._failures} frames in a row, the last time with "
                    f"{type(error).__name__}: {error}"
                ) from error


def _checked(chunk: list[Admitted], predictions: list[Prediction]) -> list[Prediction]:
    """One prediction per frame, of its size, or the engine has failed: a smaller mask would be a hole in the view."""
    if len(predictions) != len(chunk):
        raise RuntimeError(f"the engine answered {len(predictions)} of {len(chunk)} images")
    for (_, frame), prediction in zip(chunk, predictions, strict=True):
        sizes = frame.image.shape[:2], prediction.labels.shape, prediction.score.shape
        if len(set(sizes)) > 1:
            raise RuntimeError("image, labels and score have different sizes: {}, {}, {}".format(*sizes))
    return predictions


def compiled_now(runner: BatchRunner, height: int, width: int, batch: int) -> bool:
    """Compile a shape here and now, where no other thread does it; True."""
    if not runner.is_warm(height, width, batch):
        runner.warm(height, width, batch)
    return True
