"""Originals with the pictures that were generated from them (`outliers.coherent_generation`)."""

from __future__ import annotations

import logging
from fnmatch import fnmatch
from functools import partial

import numpy as np

from ..datasets.encoding import read_values
from ..datasets.generated import Generated, find_generated
from ..datasets.registry import open_dataset
from ..errors import ConfigError, DatasetError
from ..labels import LabelSet
from ..outliers.targets import OUTLIER
from .data_recipe import DataSpec, expand
from .frames import Arrays, TrainingFrame, stored_reader

_log = logging.getLogger(__name__)


def pair_frames(spec: DataSpec, labels: LabelSet, seed: int) -> list[TrainingFrame]:
    """One frame per original that has a counterpart; of several counterparts one is chosen, once.

    Raises:
        ConfigError, DatasetError: the originals or the generated pictures are not there, or no two belong together.
    """
    if not spec.originals:
        raise ConfigError("`generated_pairs` needs `originals`: the folder of the dataset that was varied")
    dataset = open_dataset(spec.originals_dataset, expand(spec.originals), spec.split, spec.labels)
    if dataset.label_set is None:
        raise ConfigError(f"originals at {spec.originals}: say which label set their ids are of (`labels:`)")
    items = [item for item in dataset.items if item.label_path is not None and fnmatch(item.id, spec.match)]
    found = find_generated(expand(spec.root), dataset.split, [item.id for item in items])
    read, table = stored_reader(dataset, labels, spec.outlier_values), labels.map_from(dataset.label_set).copy()
    table[OUTLIER] = OUTLIER
    frames = []
    for index, item in enumerate(items):
        choices = found.get(item.id, [])
        if choices:
            chosen = choices[int(np.random.default_rng([seed, index]).integers(len(choices)))]
            counterpart = partial(_read_generated, chosen, table)
            frames.append(TrainingFrame(item.id, spec.weight, partial(read, item), counterpart))
    if not frames:
        raise DatasetError(f"{spec.root} holds no generated picture of any of {len(items)} originals")
    if len(frames) < len(items):
        _log.warning(
            "%d of %d originals have no generated picture and are left out", len(items) - len(frames), len(items)
        )
    return frames


def _read_generated(generated: Generated, table: np.ndarray) -> Arrays:
    image, values = generated.read(), read_values(generated.label)
    if values.shape != image.shape[:2]:
        raise DatasetError(f"{generated.image} and {generated.label} have different sizes")
    return image, table[values]
