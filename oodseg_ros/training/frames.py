"""Training frames in memory: every dataset of a recipe, mapped to its label set."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np

from ..datasets.registry import open_dataset
from ..datasets.scenes import scene
from ..datasets.sources import open_source
from ..errors import ConfigError
from ..frame import UNLABELED
from ..labels import LabelSet
from ..outliers.targets import KNOWN, OUTLIER
from .recipe import DataSpec, expand


@dataclass(frozen=True)
class TrainingFrame:
    """RGB uint8 `[H, W, 3]`; target uint8 `[H, W]`: class id, 253 = some inlier, 254 = outlier, 255 = not counted."""

    image: np.ndarray
    target: np.ndarray
    weight: float


def load_frames(specs: list[DataSpec], labels: LabelSet) -> list[TrainingFrame]:
    """Read all frames of `specs`.

    Raises:
        ConfigError, DatasetError: a dataset is not where the recipe says, or has no mapping to `labels`.
    """
    frames = []
    for spec in specs:
        frames += _READERS.get(spec.dataset, _stored)(spec, labels)
    return frames


def _scenes(spec: DataSpec, labels: LabelSet) -> list[TrainingFrame]:
    table = labels.map_from("driving11")
    frames = []
    for index in range(spec.count):
        made = scene(spec.seed + index)
        target = np.where(made.anomaly == 0, table[made.labels], UNLABELED)
        target[made.anomaly == 1] = OUTLIER
        frames.append(TrainingFrame(made.image, target, spec.weight))
    return frames


def _unlabelled(spec: DataSpec, labels: LabelSet) -> list[TrainingFrame]:
    source = open_source(expand(spec.root))
    return [
        TrainingFrame(frame.image, np.full(frame.image.shape[:2], KNOWN, np.uint8), spec.weight) for frame in source
    ]


def _stored(spec: DataSpec, labels: LabelSet) -> list[TrainingFrame]:
    dataset = open_dataset(spec.dataset, expand(spec.root), spec.split, spec.labels)
    if dataset.label_set is None:
        raise ConfigError(f"dataset {spec.dataset} at {spec.root}: say which label set its ids are of (`labels:`)")
    table = labels.map_from(dataset.label_set)
    frames = []
    for item in dataset.items:
        if item.label_path is not None and fnmatch(item.id, spec.match):
            image, label = dataset.load(item)
            frames.append(TrainingFrame(image, table[label], spec.weight))
    return frames


_READERS = {"scenes": _scenes, "frames": _unlabelled}
