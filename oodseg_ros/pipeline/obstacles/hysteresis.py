"""The lower threshold that holds an alert: what raised it may get weaker before it is gone."""

from __future__ import annotations

import numpy as np

from ...model_card import Calibration

FACTOR = 2.0
"""Twice as many inlier pixels as are above the trigger threshold may be above the release threshold."""


def release_threshold(calibration: Calibration, threshold: float, given: float | None = None) -> float:
    """Raw score, at most `threshold`.

    Args:
        calibration: its inlier histogram tells how many inlier pixels are above a score; without one, or where none is
            above the threshold, there is no second threshold.
        threshold: the one that triggers.
        given: the parameter; None = as above. Above `threshold` it has no meaning and `threshold` is taken.
    """
    if given is not None:
        return min(given, threshold)
    histogram = calibration.inlier_histogram
    if histogram is None:
        return threshold
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    above = np.concatenate([np.cumsum(histogram.counts[::-1])[::-1], [0]]).astype(float)
    tail = float(np.interp(threshold, edges, above))
    if tail <= 0:
        return threshold
    # `above` falls from left to right; np.interp needs it to rise.
    return min(threshold, float(np.interp(FACTOR * tail, above[::-1], edges[::-1])))
