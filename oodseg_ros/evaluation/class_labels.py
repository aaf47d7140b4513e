"""A dataset's class labels and a network's classes, brought into one label set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..datasets.dataset import Dataset
from ..errors import ConfigError
from ..labels import LabelSet, load_labels


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
