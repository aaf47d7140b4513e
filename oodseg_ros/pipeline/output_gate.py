"""The checks of one camera's answers, in their order: what the network says is not believed whatever it is.

Not finite: a broken engine, half precision that overflowed, a device that lost its memory. One class everywhere: no
road scene looks like that. Saturated: most of the image is above the threshold that the bundle was calibrated to (the
bundle's, not the one in the parameters: this asks about the network). Drift: how far the scores of the last frames are
from what is normal to the bundle.

Drift of road_lite@cbeaebff5c1c on real drives, over windows of 5 to 20 frames: at most 0.05 bits on CamVid's test
drive, 0.01 on BDD100K, 0.04 on Lost&Found, 0.08 on Cityscapes, 0.10 on a hand-held video; single frames reach 0.17.
Synthetic fog that leaves a tenth of the contrast: 0.04 to 0.08 (see the input gate's `low_contrast`); a tenth of the
light: 0.10; noise of 60 gray levels: 0.27. So it finds input unlike any other, not input that hides everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..model_card import Calibration, Histogram
from ..parameters.judging import OutputGateSettings
from .reasons import ONE_CLASS, SCORE_DRIFT, SCORE_NOT_FINITE, SCORE_SATURATED, Fault

SAMPLE = 8192
"""Scores of a frame that are looked at, spread evenly."""


class ScoreDrift:
    """Jensen-Shannon divergence, bits in [0, 1], between the scores of the last frames and a reference histogram.

    The reference is the bundle's inlier histogram, or where it has none the first frame that is given: then the drift
    is that since the start of the drive. Every frame of the window weighs the same.
    """

    def __init__(self, reference: Histogram | None, window: int = 1) -> None:
        self._frames: deque[np.ndarray] = deque(maxlen=window)
        self._low = self._high = 0.0
        self._reference: np.ndarray | None = None
        if reference is not None:
            self._low, self._high = reference.low, reference.high
            self._reference = np.asarray(reference.counts, float)

    def __len__(self) -> int:
        return len(self._frames)

    def measure(self, score: np.ndarray) -> float:
        """Divergence after a frame with these scores, of any shape; nan where none of them is finite."""
        step = max(1, round((score.size / SAMPLE) ** 0.5)) if score.ndim == 2 else 1
        values = score[::step, ::step] if score.ndim == 2 else score
        values = values[np.isfinite(values)]
        if not values.size:
            return float("nan")
        if self._reference is None:
            low, high = (float(value) for value in np.quantile(values, [0.001, 0.999]))
            self._low, self._high = low, high if high > low else low + 1
            self._reference = self._counts(values, 64)
        counts = self._counts(values, len(self._reference))
        self._frames.append(counts / counts.sum())
        return jensen_shannon(np.sum(self._frames, axis=0), self._reference)

    def _counts(self, values: np.ndarray, bins: int) -> np.ndarray:
        # What lies outside belongs to the outermost bins. A multiplication is ten times faster than np.histogram.
        places = (np.clip(values, self._low, self._high) - self._low) * (bins / (self._high - self._low))
        return np.bincount(np.minimum(places.astype(np.int32), bins - 1), minlength=bins).astype(float)


def jensen_shannon(a: np.ndarray, b: np.ndarray) -> float:
    """Divergence in bits of two histograms with equal bins, each with at least one count; 0 = equal, 1 = disjoint."""
    a, b = np.asarray(a, float) / np.sum(a), np.asarray(b, float) / np.sum(b)
    middle = (a + b) / 2
    parts = [p[p > 0] * np.log2(p[p > 0] / middle[p > 0]) for p in (a, b)]
    return float(np.clip(sum(part.sum() for part in parts) / 2, 0, 1))


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


def _not_finite(reading: Reading) -> Fault | None:
    return None if reading.finite else Fault(SCORE_NOT_FINITE)


def _one_class(limit: float, reading: Reading) -> Fault | None:
    if not reading.labels.size:
        return None
    counts = np.bincount(reading.labels, minlength=1)
    share = counts.max() / reading.labels.size
    if share <= limit:
        return None
    return Fault(ONE_CLASS, f"class {int(counts.argmax())} on {share:.1%} of the pixels")


def _saturated(threshold: np.float32, limit: float, reading: Reading) -> Fault | None:
    if not reading.scores.size:
        return None
    share = np.count_nonzero(reading.scores > threshold) / reading.scores.size
    return Fault(SCORE_SATURATED, f"{share:.0%} of the pixels are above the threshold") if share > limit else None


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
    "not_finite": lambda *_: _not_finite,
    "one_class": lambda _, settings: partial(_one_class, settings.one_class),
    "saturated": lambda bundle, settings: partial(_saturated, np.float32(bundle.threshold), settings.saturated),
    "drift": Drift,
}
"""Name in the parameter `health.output` → what makes the check of one camera; the first fault is told. Those
without state are functions: faulty from the first such answer on."""


class OutputGate:
    """State of one camera; not thread-safe."""

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
