"""The checks of one camera's answers, in their order: what the network says is not believed whatever it is.

Not finite: a broken engine, half precision that overflowed, a device that lost its memory. One class everywhere: no
road scene looks like that. Saturated: most of the image is above the threshold that the bundle was calibrated to (the
bundle's, not the one in the parameters: this asks about the network). Drift: see `score_drift`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..model_card import Calibration
from ..parameters.settings import OutputGateSettings
from .reasons import ONE_CLASS, SCORE_DRIFT, SCORE_NOT_FINITE, SCORE_SATURATED, Fault
from .score_drift import SAMPLE, ScoreDrift

MIN_FRAMES = 5
"""Frames before drift is a fault: one scene is never the average of all."""


@dataclass(frozen=True)
class Reading:
    """What the network answered.

    Attributes:
        finite: no score outside the ego mask is NaN or infinite.
        scores: float32 `[n]`, finite ones of judged pixels; about 8000 of them, spread evenly.
        labels: uint8 `[n]`, the classes of the same pixels.
    """

    finite: bool
    scores: np.ndarray
    labels: np.ndarray


def read(score: np.ndarray, labels: np.ndarray, finite: bool) -> Reading:
    """Sample an answer: float32 `[H, W]` (NaN = not judged) and uint8 `[H, W]`."""
    step = max(1, round((score.size / SAMPLE) ** 0.5))
    scores, classes = score[::step, ::step], labels[::step, ::step]
    judged = np.isfinite(scores)
    return Reading(finite, scores[judged], classes[judged])


class NotFinite:
    """Stateless."""

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        pass

    def __call__(self, reading: Reading) -> Fault | None:
        return None if reading.finite else Fault(SCORE_NOT_FINITE)


class OneClass:
    """Stateless."""

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        self._limit = settings.one_class

    def __call__(self, reading: Reading) -> Fault | None:
        if not reading.labels.size:
            return None
        counts = np.bincount(reading.labels, minlength=1)
        share = counts.max() / reading.labels.size
        if share <= self._limit:
            return None
        return Fault(ONE_CLASS, f"class {int(counts.argmax())} on {share:.1%} of the pixels")


class Saturated:
    """Stateless."""

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        self._threshold = np.float32(calibration.threshold)
        self._limit = settings.saturated

    def __call__(self, reading: Reading) -> Fault | None:
        if not reading.scores.size:
            return None
        share = np.count_nonzero(reading.scores > self._threshold) / reading.scores.size
        return (
            Fault(SCORE_SATURATED, f"{share:.0%} of the pixels are above the threshold")
            if share > self._limit
            else None
        )


class Drift:
    """Fault while the divergence of the last `drift_window` frames is above `drift_limit`.

    A bundle without an inlier histogram has no normal: then nothing is measured.

    Attributes:
        value: the divergence after the last frame; nan before the first, and without a histogram.
    """

    def __init__(self, calibration: Calibration, settings: OutputGateSettings) -> None:
        self.value = float("nan")
        self._limit = settings.drift_limit
        reference = calibration.inlier_histogram
        self._drift = None if reference is None else ScoreDrift(reference, settings.drift_window)
        self._least = min(MIN_FRAMES, settings.drift_window)

    def __call__(self, reading: Reading) -> Fault | None:
        if self._drift is None or not reading.scores.size:
            return None
        self.value = self._drift.measure(reading.scores)
        if len(self._drift) < self._least or self.value <= self._limit:
            return None
        return Fault(SCORE_DRIFT, f"{self.value:.2f} bits from the calibration, limit {self._limit:g}")


Check = Callable[[Reading], "Fault | None"]

CHECKS: dict[str, Callable[[Calibration, OutputGateSettings], Check]] = {
    "not_finite": NotFinite,
    "one_class": OneClass,
    "saturated": Saturated,
    "drift": Drift,
}
"""Name in the parameter `health.output` → what makes the check of one camera; the first fault is told."""


class OutputGate:
    """State of one camera; not thread-safe.

    Args:
        calibration: the bundle's: what is normal.
        settings: see there.
    """

    def __init__(self, calibration: Calibration, settings: OutputGateSettings | None = None) -> None:
        self._calibration, self._settings = calibration, settings or OutputGateSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the frames before, as after a jump in time."""
        wanted = [name for name in CHECKS if name in ("not_finite", *self._settings.checks)]
        self._checks = {name: CHECKS[name](self._calibration, self._settings) for name in wanted}

    @property
    def drift(self) -> float:
        """Divergence of the last frames' scores from the calibration, bits in [0, 1]; nan = not measured."""
        check = self._checks.get("drift")
        return check.value if isinstance(check, Drift) else float("nan")

    def check(self, reading: Reading) -> Fault | None:
        """The first fault of an answer, or None. Every check but the first sees every finite answer."""
        fault = self._checks["not_finite"](reading)
        if fault is not None:
            return fault
        faults = [check(reading) for check in self._checks.values()]
        return next((fault for fault in faults if fault is not None), None)
