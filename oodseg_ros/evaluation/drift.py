"""How far the scores of a drive are from what is normal to a bundle."""

from __future__ import annotations

import numpy as np

from ..model_card import Histogram


class ScoreDrift:
    """Jensen-Shannon divergence, in bits within [0, 1], between each frame's scores and a reference histogram.

    The reference is the bundle's inlier histogram, or where it has none the first frame that is given: then the drift
    is that since the start of the drive.
    """

    def __init__(self, reference: Histogram | None) -> None:
        self._edges: np.ndarray | None = None
        self._reference: np.ndarray | None = None
        if reference is not None:
            self._edges = np.linspace(reference.low, reference.high, len(reference.counts) + 1)
            self._reference = np.asarray(reference.counts, float)

    def measure(self, score: np.ndarray) -> float:
        """Divergence of one frame; nan without a finite score."""
        values = score[np.isfinite(score)]
        if not values.size:
            return float("nan")
        if self._edges is None:
            low, high = np.quantile(values, [0.001, 0.999])
            self._edges = np.linspace(low, high if high > low else low + 1, 65)
        clipped = np.clip(values, self._edges[0], self._edges[-1])
        counts, _ = np.histogram(clipped, bins=len(self._edges) - 1, range=(self._edges[0], self._edges[-1]))
        if self._reference is None:
            self._reference = counts.astype(float)
        return jensen_shannon(counts, self._reference)


def jensen_shannon(a: np.ndarray, b: np.ndarray) -> float:
    """Divergence in bits of two histograms with equal bins, each with at least one count; 0 = equal, 1 = disjoint."""
    a, b = np.asarray(a, float) / np.sum(a), np.asarray(b, float) / np.sum(b)
    middle = (a + b) / 2
    parts = [p[p > 0] * np.log2(p[p > 0] / middle[p > 0]) for p in (a, b)]
    return float(np.clip(sum(part.sum() for part in parts) / 2, 0, 1))
