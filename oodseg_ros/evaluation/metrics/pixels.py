"""Pixel metrics of an anomaly score, pooled over a dataset: AP, AUROC, FPR95, best F1.

Raw scores of any range, no sigmoid, no normalisation. Streaming, below 1 GB for any number of frames, mergeable over
processes and machines with bit-equal figures. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DatasetError
from ...paths import completed
from .curves import CurveFigures, of_chunks
from .paired_histogram import PairedHistogram

VOID = 255


class PixelMetrics:
    """Feed frames with `update`, read pooled figures with `compute`.

    Up to 4 million judged pixels, and beyond that while the scores occupy few enough floating-point intervals, the
    figures are exact; otherwise scores share bins of at most 2^-16 relative width and `compute` states how far that can
    move AP and AUROC (`AP_error`, `AUROC_error`: rigorous bounds; around 1e-6 for continuous scores).

    Attributes:
        seen: int64 `[3]`, frames, void pixels, pixels without a score.
    """

    rule = "exact"

    def __init__(self) -> None:
        self.seen = np.zeros(3, np.int64)
        self.histogram = PairedHistogram()

    def update(self, score: np.ndarray, label: np.ndarray) -> None:
        """Add one frame.

        Args:
            score: float `[H, W]`, higher = more anomalous, float32 (float64 is rounded to it beyond 4 million
                pixels); ±inf are scores; NaN = not judged: left out, and counted as `unjudged` where the label is 0
                or 1.
            label: integer or bool `[H, W]`: 0 normal, 1 anomaly, 255 void.

        Raises:
            DatasetError: shapes differ, or other label values occur.
        """
        negative, positive, void, unjudged = split(score, label)
        self.histogram.add(as_scores(negative), as_scores(positive))
        self.seen += (1, void, unjudged)

    def merge(self, other: PixelMetrics) -> PixelMetrics:
        """Add what another process saw; returns self. Order and grouping do not change any figure."""
        self.histogram.merge(other.histogram)
        self.seen += other.seen
        return self

    @property
    def frames(self) -> int:
        return int(self.seen[0])

    def figures(self, points: int = 1024) -> CurveFigures:
        """All figures with the curve, for reports."""
        negatives, positives = self.histogram.totals
        return of_chunks(self.histogram.descending(), negatives, positives, points=points)

    def compute(self) -> dict[str, Any]:
        """Pooled figures as fractions; nan where undefined (no positives: all; no negatives: AUROC, FPR95).

        `best_F1_threshold` and `FPR95_threshold`: predicted anomalous are scores strictly above.
        """
        return summarize(self, self.figures())

    @property
    def totals(self) -> tuple[int, int]:
        """Judged (negative, positive) pixels."""
        return tuple(self.histogram.totals)

    @property
    def exact(self) -> bool:
        """Whether no two different scores share a bin."""
        return self.histogram.shift == 0 and not self.histogram.rounded

    def state(self) -> dict[str, np.ndarray]:
        return {"counters": self.seen, **self.histogram.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> PixelMetrics:
        metrics = cls()
        metrics.seen += state["counters"][-3:]  # states of earlier versions have the void label before them
        metrics.histogram = PairedHistogram.from_state(state)
        return metrics

    def save(self, path: str | Path) -> None:
        """Write the state as npz, complete or not at all."""
        with completed(Path(path)) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **self.state())

    @classmethod
    def load(cls, path: str | Path) -> PixelMetrics:
        with np.load(path, allow_pickle=False) as data:
            return cls.from_state({key: data[key] for key in data.files})


def summarize(metrics: Any, figures: CurveFigures) -> dict[str, Any]:
    """The dictionary of `PixelMetrics.compute` from figures that are already there."""
    negatives, positives = metrics.totals
    fpr, fpr_threshold = figures.fpr.get("first", (np.nan, np.nan))
    f1, precision, recall, threshold = figures.best_f1
    exact = metrics.exact
    low, high = figures.ap_bounds
    return {
        "AP": figures.ap,
        "AUROC": figures.auroc,
        "FPR95": fpr,
        "best_F1": f1,
        "best_F1_threshold": just_below(threshold),
        "best_F1_precision": precision,
        "best_F1_recall": recall,
        "FPR95_threshold": just_below(fpr_threshold),
        "AP_error": 0.0 if exact else max(high - figures.ap, figures.ap - low),
        "AUROC_error": 0.0 if exact else figures.auroc_error,
        "rule": metrics.rule,
        "positives": positives,
        "negatives": negatives,
        **dict(zip(("frames", "void", "unjudged"), map(int, metrics.seen), strict=True)),
    }


def just_below(threshold: float) -> float:
    """The largest float32 below (float64 where it is none): a strict comparison takes the scores from it up."""
    with np.errstate(over="ignore"):
        single = np.float32(threshold)
    exact = single if single == threshold else np.float64(threshold)
    return float(np.nextafter(exact, exact.dtype.type(-np.inf)))


def as_scores(values: np.ndarray) -> np.ndarray:
    """Float32 and float64 as they are, float16 as float32, the rest as float64: integers to 2^53 stay distinct."""
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype == np.float16 else np.float64)


def split(score: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Scores of negatives and of positives (flat, no NaN), number of void pixels, number of 0/1 pixels without a score.

    Raises:
        DatasetError: shapes differ, or the label holds other values than 0, 1 and 255.
    """
    score, label = np.asarray(score), np.asarray(label)
    if score.shape != label.shape:
        raise DatasetError(
            f"score {list(score.shape)} and label {list(label.shape)} differ in size; "
            "resize the score to the label's size"
        )
    positive = label == 1
    negative = label == 0
    counts = [int(np.count_nonzero(negative)), int(np.count_nonzero(positive))]
    void = int(np.count_nonzero(label == VOID))
    if sum(counts) + void != label.size:
        wrong = sorted({int(value) for value in np.unique(label)} - {0, 1, VOID})
        raise DatasetError(
            f"label values {wrong[:10]} are neither 0 (normal), 1 (anomaly) nor 255 (void); "
            "map them to these first, or name their label set"
        )
    planes = []
    for mask in (negative, positive):
        values = score[mask]
        missing = np.isnan(values)
        planes.append(values[~missing] if missing.any() else values)
    return planes[0], planes[1], void, sum(counts) - planes[0].size - planes[1].size
