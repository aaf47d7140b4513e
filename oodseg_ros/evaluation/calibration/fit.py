"""Fit a calibration on frames with known truth: losses over thresholds, threshold, score table, inlier histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.optimize import isotonic_regression

from ...errors import DatasetError
from ...frame import OUTLIER
from ...model_card import Calibration, Histogram
from ...object_rule import Objects
from ...pipeline.obstacles.components import anomaly_mask, find_components
from ...pipeline.obstacles.groups import last_threshold
from ..metrics.components import connected
from ..metrics.paired_histogram import PairedHistogram

TARGETS = {
    "pixels": "share of a frame's normal pixels above the threshold",
    "frames": "a frame without cause has an obstacle, a group of at least min_area normal pixels above the threshold",
    "objects": "share of a frame's objects of which less than `cover` of the pixels are above the threshold",
}
FORMS = {
    "pixels=0.001": TARGETS["pixels"],
    "frames=0.05": TARGETS["frames"],
    "alerts-per-hour=6": "frames=6/(3600 RATE): no more alerts can begin than frames are wrong; needs --rate",
    "objects=0.1": TARGETS["objects"],
}
"""How a target is written, and what it bounds."""
POINTS = 4096


def threshold_grid(histogram: PairedHistogram, points: int = POINTS) -> np.ndarray:
    """Rising thresholds, float64: scores at ranks that are dense at the top, and one above all scores.

    Args:
        histogram: of all calibration pixels.
        points: about how many.
    """
    parts, counts = [], []
    for chunk in histogram.descending():
        parts.append(chunk[0])
        counts.append(np.stack(chunk[1:]))
    scores = np.concatenate(parts)
    grid = [[np.nextafter(np.float32(scores[0]), np.float32(np.inf))]]
    for plane in np.concatenate(counts, axis=1):
        if plane.any():
            rank = np.cumsum(plane)
            half = points // 4
            wanted = np.concatenate([np.geomspace(1, rank[-1], half), np.linspace(1, rank[-1], half)])
            grid.append(scores[np.searchsorted(rank, wanted.astype(np.int64))])
    found = np.unique(np.concatenate(grid))
    return found[np.isfinite(found)]


def pixel_loss(score: np.ndarray, label: np.ndarray, grid: np.ndarray) -> np.ndarray | None:
    """`pixels` of one frame, float64 `[m]`; None without judged normal pixels."""
    normal = score[(label == 0) & ~np.isnan(score)]
    if not normal.size:
        return None
    return 1.0 - np.searchsorted(np.sort(normal), grid.astype(np.float32), side="right") / normal.size


def frame_loss(
    score: np.ndarray,
    label: np.ndarray,
    grid: np.ndarray,
    min_area: int,
    objects: Objects | None = None,
    labels: np.ndarray | None = None,
) -> np.ndarray | None:
    """`frames` of one frame, 0 or 1, float64 `[m]`; None without normal pixels.

    With `objects`, a bundle's rule, an obstacle is what that rule makes of score and predicted `labels`; thresholds
    below its `grow` are then taken to be wrong always.
    """
    normal = label == 0
    if not normal.any():
        return None
    masked = np.where(normal, score, -np.inf).astype(np.float32)
    if objects is not None:
        critical = last_threshold(masked, labels, objects, min_area)
        return ((grid < critical) | (grid < objects.grow)).astype(np.float64)
    # A larger threshold shrinks every group, so the answer flips once: bisection finds where.
    low, high = -1, grid.size - 1  # at `high` and above there is no obstacle, at `low` and below there is
    if _has_obstacle(masked, grid[high], min_area):
        return np.ones(grid.size)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _has_obstacle(masked, grid[middle], min_area) else (low, middle)
    return (np.arange(grid.size) <= low).astype(np.float64)


def object_loss(
    score: np.ndarray, label: np.ndarray, grid: np.ndarray, min_area: int, cover: float
) -> np.ndarray | None:
    """`objects` of one frame, float64 `[m]`; None without objects of at least `min_area` pixels."""
    ids, _ = connected(label == 1)
    areas = np.bincount(ids.ravel())
    critical = []
    for number in np.flatnonzero(areas >= min_area):
        if number:
            pixels = np.sort(np.nan_to_num(score[ids == number], nan=-np.inf, posinf=np.inf, neginf=-np.inf))[::-1]
            critical.append(pixels[int(np.ceil(cover * pixels.size)) - 1])
    if not critical:
        return None
    return np.mean([grid >= value for value in critical], axis=0)


def stack(losses: Iterable[np.ndarray | None], points: int) -> np.ndarray:
    """The frames that count, `[n, m]`."""
    kept = [loss for loss in losses if loss is not None]
    return np.stack(kept) if kept else np.zeros((0, points))


def _has_obstacle(score: np.ndarray, threshold: float, min_area: int) -> bool:
    found, _ = find_components(score, anomaly_mask(score, threshold), min_area, 1)
    return bool(found)


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

    Raises:
        DatasetError: no pixel of the frames is known.
    """
    rng = np.random.default_rng(seed)
    known, unknown = [], []
    for image, target in frames:
        values = score(image)
        for mask, into in ((target < OUTLIER, known), (target == OUTLIER, unknown)):
            picked = values[mask]
            into.append(rng.choice(picked, min(PER_FRAME, picked.size), replace=False) if picked.size else picked)
    inlier, outlier = np.concatenate(known).astype(np.float64), np.concatenate(unknown).astype(np.float64)
    if not inlier.size:
        raise DatasetError(f"no threshold can be chosen: not one pixel is known, of: {source}")
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
