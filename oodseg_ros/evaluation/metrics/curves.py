"""AP, AUROC, FPR at a recall and best F1 from bins in descending score order, in one pass and constant memory.

Conventions (each differs between published evaluators):

- equal scores are one step: a threshold takes all of them or none;
- AP is the step sum Σ (recall_i - recall_{i-1}) · precision_i, no interpolation, as in scikit-learn;
- AUROC is the trapezoid, ties count one half;
- FPR95 is the false-positive rate at the highest threshold with recall ≥ 0.95 (`first`), or at the threshold whose
  recall is nearest to 0.95, the lowest such threshold if several share that recall (`nearest_recall`);
- F1 is the best over all thresholds; of several equal ones the highest threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]
Nearest = tuple[float, int, float, float]


@dataclass
class CurveFigures:
    """Fed with chunks by `of_chunks`; every figure is a fraction.

    Attributes:
        ap, auroc: nan without positives (`auroc` also without negatives).
        ap_bounds: rigorous interval of AP over all orders that scores in one bin may have.
        auroc_error: how far AUROC may move likewise.
        fpr: rule → (false-positive rate, threshold: the lowest score that is taken).
        best_f1: (F1, precision, recall, threshold: the lowest score that is taken).
        curve: at most a few thousand points, rows (score, recall, precision, false-positive rate), falling score.
    """

    ap: float = math.nan
    auroc: float = math.nan
    ap_bounds: tuple[float, float] = (math.nan, math.nan)
    auroc_error: float = math.nan
    fpr: dict[str, tuple[float, float]] = field(default_factory=dict)
    best_f1: tuple[float, float, float, float] = (math.nan,) * 4
    curve: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))


def of_chunks(
    chunks: Iterable[Chunk], negatives: int, positives: int, recall: float = 0.95, points: int = 1024
) -> CurveFigures:
    """Figures of a ranking.

    Args:
        chunks: (lowest score, negatives, positives) of the bins, highest first; see `PairedHistogram.descending`.
        negatives, positives: the totals.
        recall: where FPR is read.
        points: about how many points of the curve to keep.
    """
    figures = CurveFigures()
    if not positives:
        return figures
    tp0 = fp0 = 0
    area = ap = ap_low = ap_high = pairs = 0.0
    best = (-1.0, 0.0, 0.0, math.nan)
    first: tuple[float, float] | None = None
    nearest = (math.inf, 0, 0.0, math.nan)
    samples: list[np.ndarray] = [np.asarray([[math.inf, 0.0, 1.0, 0.0]])]
    for scores, n, p in chunks:
        tp, fp = tp0 + np.cumsum(p), fp0 + np.cumsum(n)
        precision, tpr = tp / (tp + fp), tp / positives
        fpr = fp / negatives if negatives else np.full(tp.size, math.nan)
        ap += float(precision @ p)
        area += float(((tp - p / 2) * n).sum())
        pairs += float((p.astype(np.float64) * n).sum())
        low, high = _bounds(p, tp - p, fp - n, fp)
        ap_low, ap_high = ap_low + low, ap_high + high

        f1 = 2 * tp / (tp + fp + positives)
        i = int(f1.argmax())
        if f1[i] > best[0]:
            best = (float(f1[i]), float(precision[i]), float(tpr[i]), float(scores[i]))
        if first is None and tpr[-1] >= recall:
            i = int(np.argmax(tpr >= recall))
            first = (float(fpr[i]), float(scores[i]))
        nearest = _nearest(nearest, tp, fp, scores, positives, recall)
        samples.append(_thin(scores, tpr, precision, fpr, points))
        tp0, fp0 = int(tp[-1]), int(fp[-1])
    figures.ap = ap / positives
    figures.ap_bounds = (ap_low / positives, ap_high / positives)
    figures.best_f1 = best
    figures.curve = np.concatenate(samples)
    if negatives:
        figures.auroc = area / positives / negatives
        figures.auroc_error = pairs / 2 / positives / negatives
        figures.fpr = {"first": first, "nearest_recall": (nearest[2] / negatives, nearest[3])}
    return figures


def _bounds(p: np.ndarray, tp_before: np.ndarray, fp_before: np.ndarray, fp_after: np.ndarray) -> tuple[float, float]:
    # Sum over j = 1..p of (t + j) / (t + j + f) = p - f (H(a + p) - H(a)) with a = t + f and H the harmonic numbers,
    # whose difference lies between log((a + p + 1) / (a + 1)) and log((a + p + 1/2) / (a + 1/2)).
    # Highest with the bin's positives first, lowest with them last.
    some = np.flatnonzero(p)
    p, t = p[some].astype(np.float64), tp_before[some]
    high = p - fp_before[some] * np.log1p(p / (t + fp_before[some] + 1))
    low = p - fp_after[some] * np.log1p(p / (t + fp_after[some] + 0.5))
    return float(low.sum()), float(high.sum())


def _nearest(
    best: Nearest, tp: np.ndarray, fp: np.ndarray, scores: np.ndarray, positives: int, recall: float
) -> Nearest:
    distance = np.abs(tp / positives - recall)
    least = float(distance.min())
    if least > best[0]:
        return best
    # Of equal distances the higher recall; of one recall the lowest threshold, except recall 1, which ends the curve.
    candidates = np.flatnonzero(distance == least)
    top = int(tp[candidates[-1]])
    if top == positives:
        if best[1] == positives and least == best[0]:
            return best
        i = int(candidates[np.argmax(tp[candidates] == top)])
    else:
        i = int(candidates[-1])
    return (least, top, float(fp[i]), float(scores[i]))


def _thin(scores: np.ndarray, tpr: np.ndarray, precision: np.ndarray, fpr: np.ndarray, points: int) -> np.ndarray:
    # A point each time recall or false-positive rate crosses into a new 1/points cell, and the chunk's last.
    cells = np.floor(tpr * points) + np.floor(np.nan_to_num(fpr) * points)
    keep = np.append(np.flatnonzero(np.diff(cells)), cells.size - 1)
    return np.stack([scores[keep], tpr[keep], precision[keep], fpr[keep]], axis=1)
