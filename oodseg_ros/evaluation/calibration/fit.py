"""Fit a calibration on frames with known truth: threshold, score → [0, 1] table, inlier histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.optimize import isotonic_regression

from ...model_card import Calibration, Histogram
from ...outliers.targets import OUTLIER

PER_FRAME = 20000
TABLE_POINTS = 64
HISTOGRAM_BINS = 64
STEP_OF_A_CONSTANT = 1.0
"""Raw score that is wholly anomalous, above the only one that a network knows which gives the same everywhere."""


def fit_calibration(
    score: Callable[[np.ndarray], np.ndarray],
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    false_positive_rate: float,
    source: str,
    seed: int = 0,
) -> Calibration:
    """Calibrate on frames with pasted unknowns.

    Args:
        score: RGB uint8 `[H, W, 3]` → score float32 `[H, W]`.
        frames: pairs (image, target uint8 `[H, W]`: 254 unknown, 255 not counted, anything else known).
        false_positive_rate: share of known pixels above the threshold.
        source: what is written into the calibration as its origin.
    """
    rng = np.random.default_rng(seed)
    known, unknown = [], []
    for image, target in frames:
        values = score(image)
        for mask, into in ((target < OUTLIER, known), (target == OUTLIER, unknown)):
            picked = values[mask]
            into.append(rng.choice(picked, min(PER_FRAME, picked.size), replace=False) if picked.size else picked)
    inlier, outlier = np.concatenate(known).astype(np.float64), np.concatenate(unknown).astype(np.float64)
    threshold = float(np.quantile(inlier, 1.0 - false_positive_rate))
    low, high = float(np.quantile(inlier, 1e-4)), float(np.quantile(np.concatenate([inlier, outlier]), 1 - 1e-4))
    if not low < high:
        low, high = low - STEP_OF_A_CONSTANT, low + STEP_OF_A_CONSTANT
    counts, _ = np.histogram(np.clip(inlier, low, high), bins=HISTOGRAM_BINS, range=(low, high))
    return Calibration(
        threshold=threshold,
        table=_table(inlier, outlier),
        inlier_histogram=Histogram(low=low, high=high, counts=counts.tolist()),
        source=source,
    )


def _table(inlier: np.ndarray, outlier: np.ndarray) -> list[tuple[float, float]]:
    """P(unknown | score) at equal priors, by isotonic regression, at quantiles of both score distributions.

    Without any unknown it rises from 0 at the median to 1 at the highest inlier score.
    """
    if outlier.size == 0:
        return [(float(np.median(inlier)), 0.0), (float(inlier.max()), 1.0)]
    scores = np.concatenate([inlier, outlier])
    truth = np.concatenate([np.zeros(inlier.size), np.ones(outlier.size)])
    weights = np.concatenate([np.full(inlier.size, 0.5 / inlier.size), np.full(outlier.size, 0.5 / outlier.size)])
    order = np.argsort(scores, kind="stable")
    fitted = isotonic_regression(truth[order], weights=weights[order]).x
    quantiles = np.linspace(0, 1, TABLE_POINTS // 2)
    points = np.unique(np.concatenate([np.quantile(inlier, quantiles), np.quantile(outlier, quantiles)]))
    values = np.clip(np.interp(points, scores[order], fitted), 0.0, 1.0)
    values = np.maximum.accumulate(values)
    if len(points) == 1:  # an untrained network: everything is as ordinary as can be
        return [(float(points[0]), 0.0), (float(points[0]) + STEP_OF_A_CONSTANT, 1.0)]
    return [(round(float(p), 6), round(float(v), 6)) for p, v in zip(points, values, strict=True)]
