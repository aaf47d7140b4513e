"""A dataset's class labels beside its anomaly labels: brought into the network's label set, and open-mIoU from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..datasets.dataset import Dataset
from ..errors import ConfigError
from ..frame import UNLABELED
from ..labels import LabelSet, load_labels
from .metrics.semantics import OpenMetrics
from .score_store import ScoreStore


@dataclass(frozen=True)
class Classes:
    """How truth and prediction are compared.

    Attributes:
        labels: the label set they are compared in: the bundle's where the dataset's labels can be translated to it,
            else the dataset's (a network of 19 classes on a dataset of 11).
        truth: uint8 `[256]`, the dataset's ids to those of `labels`; 255 = unlabeled.
        predicted: uint8 `[256]`, the bundle's ids to those of `labels`; 255 = no class, which counts as an error.
        instead: the dataset's labels are classes; False where it has anomaly labels and classes beside them.
    """

    labels: LabelSet
    truth: np.ndarray
    predicted: np.ndarray
    instead: bool


def class_labels(dataset: Dataset, labels: LabelSet) -> Classes | None:
    """How a dataset and a bundle are compared by class; None where it has no classes, or no translation is known.

    Raises:
        ConfigError: a dataset of class labels has a label set that knows no way to or from the bundle's.
    """
    if dataset.label_set is None or (dataset.kind == "anomaly" and dataset.classes is None):
        return None
    instead = dataset.kind == "semantic"
    try:
        return Classes(labels, labels.map_from(dataset.label_set), labels.map_from(labels.name), instead)
    except ConfigError:
        theirs = load_labels(dataset.label_set)
        if labels.name in theirs.mappings:
            return Classes(theirs, theirs.map_from(theirs.name), theirs.map_from(labels.name), instead)
        if instead:
            raise
        return None


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
