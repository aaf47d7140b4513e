"""Drift: how far the scores of the last frames are from what is normal to the bundle.

Measured with road_lite@cbeaebff5c1c on real drives, over windows of 5 to 20 frames: at most 0.05 bits on CamVid's test
drive, 0.01 on BDD100K, 0.04 on Lost&Found, 0.08 on Cityscapes, 0.10 on a hand-held video; single frames reach 0.17.
Synthetic fog that leaves a tenth of the contrast: 0.04 to 0.08 (see the input gate's `low_contrast`); a tenth of the
light: 0.10; noise of 60 gray levels: 0.27. So it finds input unlike any other, not input that hides everything.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ..model_card import Histogram

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
