"""Semantic segmentation metrics from one pooled confusion matrix: mIoU, mAcc, pixel accuracy, open-mIoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import DatasetError
from ...frame import UNLABELED


class SemanticMetrics:
    """Feed label maps with `update`; matrices of shards add up with `merge`.

    Args:
        classes: number K of known classes, ids 0..K-1.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.matrix = np.zeros((classes, classes + 1), np.int64)
        """Rows: truth; columns: predicted class, the last one "no class" (any other id, as 255)."""

    def update(self, predicted: np.ndarray, label: np.ndarray) -> None:
        """Add one frame of class ids, both uint8 `[H, W]`.

        Raises:
            DatasetError: shapes differ, or the label holds other values than 0..K-1 and 255 (void).
        """
        predicted, label = np.asarray(predicted), np.asarray(label)
        if predicted.shape != label.shape:
            raise DatasetError(f"prediction {list(predicted.shape)} and label {list(label.shape)} differ in size")
        valid = label != UNLABELED
        truth = label[valid].astype(np.int64)
        if truth.size and truth.max() >= self.classes:
            wrong = np.unique(truth[truth >= self.classes])[:10].tolist()
            raise DatasetError(f"label values {wrong} are outside 0..{self.classes - 1} and not {UNLABELED} (void)")
        column = np.minimum(predicted[valid].astype(np.int64), self.classes)
        size = self.matrix.size
        self.matrix += np.bincount(truth * (self.classes + 1) + column, minlength=size).reshape(self.matrix.shape)

    def merge(self, other: SemanticMetrics) -> SemanticMetrics:
        self.matrix += other.matrix
        return self

    def compute(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Fractions; classes that neither truth nor prediction hold are left out of the means.

        Returns:
            `mIoU`; `mAcc` (mean of the classes' recalls, over classes in the truth); `pixel_accuracy` (correct over
            labelled pixels - some papers print this one under the name mAcc); `IoU` by class; `pixels`.
        """
        iou, recall = _ratios(self.matrix)
        names = names or [str(index) for index in range(self.classes)]
        total = int(self.matrix.sum())
        return {
            "mIoU": _mean(iou),
            "mAcc": _mean(recall),
            "pixel_accuracy": float(np.trace(self.matrix) / total) if total else float("nan"),
            "IoU": dict(zip(names, map(float, iou), strict=True)),
            "pixels": total,
        }


class OpenMetrics:
    """open-mIoU (DenseHybrid, arXiv 2207.02606): IoU of the K known classes where pixels may be rejected as unknown.

    A pixel whose score is above the threshold is predicted as class K, "unknown". Anomalous pixels that are given to a
    known class are its false positives, known pixels that are rejected are its false negatives; "unknown" itself is no
    class of the mean. The threshold is meant to be the one of 95 % recall of anomalies on other data (StreetHazards:
    that of one test town for the other).
    """

    def __init__(self, classes: int, threshold: float) -> None:
        self.classes = classes
        self.threshold = threshold
        self._inner = SemanticMetrics(classes + 1)

    def update(self, predicted: np.ndarray, score: np.ndarray, label: np.ndarray) -> None:
        """Add one frame: class ids, raw score, and labels 0..K-1, K = anomaly, 255 = void; all `[H, W]`."""
        rejected = np.where(np.asarray(score) > self.threshold, self.classes, predicted)
        # An id that is no class and was not rejected must not fall on K: it goes to the "no class" column.
        stray = (np.asarray(predicted) >= self.classes) & ~(np.asarray(score) > self.threshold)
        self._inner.update(np.where(stray, UNLABELED, rejected), label)

    def merge(self, other: OpenMetrics) -> OpenMetrics:
        self._inner.merge(other._inner)
        return self

    def compute(self) -> dict[str, float]:
        """`open_mIoU` as fraction, and the threshold it was made with."""
        iou, _ = _ratios(self._inner.matrix)
        return {"open_mIoU": _mean(iou[: self.classes]), "threshold": self.threshold}


def _ratios(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    square = matrix[:, : matrix.shape[0]]
    hit, truth, said = np.diag(square), matrix.sum(axis=1), square.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return hit / (truth + said - hit), hit / truth


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
