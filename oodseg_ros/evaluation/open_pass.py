"""open-mIoU of an evaluated dataset that has classes beside its anomaly labels (StreetHazards, ACDC-POC, MUAD)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..frame import UNLABELED
from .class_labels import Classes
from .metrics.semantics import OpenMetrics
from .score_store import ScoreStore


def open_figures(
    names: Sequence[str], store: ScoreStore, classes: Classes, thresholds: dict[str, float]
) -> dict[str, dict[str, float]]:
    """`open_mIoU` at each threshold, by the threshold's name; scores strictly above it are rejected as unknown.

    Args:
        names: frames in the store; those without classes are left out.
        store: score, label (0, 1, 255), and by name `labels` (predicted) and `classes` (true, the dataset's ids).
        classes: how true and predicted classes are compared.
        thresholds: name → raw score; those that are not finite are left out.
    """
    count = len(classes.labels)
    metrics = {name: OpenMetrics(count, value) for name, value in thresholds.items() if np.isfinite(value)}
    for name in names:
        score, label, extra = store.get(name)
        if "classes" not in extra:
            continue
        truth = np.where(label == 1, np.uint8(count), classes.truth[extra["classes"]])
        # What is void to the anomaly metrics is void here, and so is a score that was not judged.
        truth[(label == UNLABELED) | np.isnan(score)] = UNLABELED
        for metric in metrics.values():
            metric.update(classes.predicted[extra["labels"]], score, truth)
    return {name: metric.compute() for name, metric in metrics.items()}
