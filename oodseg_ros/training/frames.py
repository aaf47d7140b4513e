"""Training frames: every dataset of a recipe, mapped to its label set. Files are listed here and read when needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path

import numpy as np

from ..datasets.dataset import Dataset, Item
from ..datasets.encoding import read_values
from ..datasets.generated import Generated, find_generated
from ..datasets.registry import open_dataset
from ..errors import ConfigError, DatasetError
from ..frame import KNOWN, OUTLIER, UNLABELED
from ..labels import LabelSet
from ..outliers.reviewed import open_reviewed, told
from ..scenes import scene
from ..sources.image_files import read_image
from ..sources.open_source import drive_files
from .data_recipe import DataSpec, expand

_log = logging.getLogger(__name__)

Arrays = tuple[np.ndarray, np.ndarray]
"""Image RGB uint8 `[H, W, 3]`; target uint8 `[H, W]`: class id, 253 = some inlier, 254 = outlier, 255 = not counted."""


@dataclass(frozen=True)
class TrainingFrame:
    """One frame of a dataset.

    Attributes:
        weight: how often it is drawn, relative to others.
        read: reads or renders it anew at every call.
        read_counterpart: the same for the picture that was generated from it, if there is one.
    """

    id: str
    weight: float
    read: Callable[[], Arrays]
    read_counterpart: Callable[[], Arrays] | None = None


def load_frames(specs: list[DataSpec], labels: LabelSet, seed: int = 0) -> list[TrainingFrame]:
    """List all frames of `specs`.

    Args:
        seed: chooses among several generated counterparts of one original.

    Raises:
        ConfigError, DatasetError: a dataset is not where the recipe says, has no mapping to `labels`, or no frame.
    """
    frames = []
    for spec in specs:
        if spec.teacher and spec.dataset != "frames":
            raise ConfigError(f"dataset {spec.dataset}: a `teacher` labels frames without labels (`dataset: frames`)")
        found = _LISTERS.get(spec.dataset, _stored)(spec, labels, seed)
        first, last = (round(share * len(found)) for share in spec.part)
        found = found[first:last]
        if not found:
            where = f"dataset {spec.dataset} at {spec.root}"
            raise DatasetError(f"{where}: no labelled frame matches {spec.match!r} in part {list(spec.part)}")
        frames += found
    return frames


def _scenes(spec: DataSpec, labels: LabelSet, seed: int) -> list[TrainingFrame]:
    table = labels.map_from("driving11")
    return [
        TrainingFrame(f"scenes:{number}", spec.weight, partial(_render, number, table))
        for number in range(spec.seed, spec.seed + spec.count)
    ]


def _render(seed: int, table: np.ndarray) -> Arrays:
    made = scene(seed)
    target = np.where(made.anomaly == 0, table[made.labels], UNLABELED)
    target[made.anomaly == 1] = OUTLIER
    return made.image, target


def _unlabelled(spec: DataSpec, labels: LabelSet, seed: int) -> list[TrainingFrame]:
    files = [file for file in drive_files(expand(spec.root)) if fnmatch(file.stem, spec.match)]
    if not spec.teacher:
        return [TrainingFrame(file.stem, spec.weight, partial(_read_known, file)) for file in files]
    from .teacher import read_taught, teach

    targets = teach(files, spec.teacher, spec.teacher_confidence, labels)
    return [
        TrainingFrame(file.stem, spec.weight, partial(read_taught, file, target))
        for file, target in zip(files, targets, strict=True)
    ]


def _reviewed(spec: DataSpec, labels: LabelSet, seed: int) -> list[TrainingFrame]:
    rest = KNOWN if spec.rest == "known" else UNLABELED
    return [
        TrainingFrame(picture.id, spec.weight, picture.read)
        for picture in open_reviewed(expand(spec.root), labels, spec.categories, rest)
        if fnmatch(picture.id, spec.match)
    ]


def reviewed_notes(specs: list[DataSpec], labels: LabelSet) -> list[str]:
    """What the corrected collections among `specs` came to, one sentence each: a wrong file is seen before training."""
    found = []
    for spec in specs:
        if spec.dataset == "reviewed":
            root = expand(spec.root)
            found.append(told(root, open_reviewed(root, labels, spec.categories), labels))
    return found


def _read_known(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Image RGB uint8 `[H, W, 3]`, and a target that says known, of unknown class, everywhere.

    Raises:
        ImageError: it cannot be read.
    """
    image = read_image(file)
    return image, np.full(image.shape[:2], KNOWN, np.uint8)


def _stored(spec: DataSpec, labels: LabelSet, seed: int) -> list[TrainingFrame]:
    dataset = open_dataset(spec.dataset, expand(spec.root), spec.split, spec.labels)
    for note in dataset.notes:
        _say_once(f"{spec.dataset} at {spec.root}: {note}")
    read = stored_reader(dataset, labels, spec.outlier_values)
    return [
        TrainingFrame(item.id, spec.weight, partial(read, item))
        for item in dataset.items
        if item.label_path is not None and fnmatch(item.id, spec.match)
    ]


@cache
def _say_once(text: str) -> None:
    """Frames are opened for the plan, the training and the calibration; what is not used of them is told once."""
    _log.warning(text)


def stored_reader(
    dataset: Dataset, labels: LabelSet, outlier_values: list[int] | tuple[int, ...] = ()
) -> Callable[[Item], Arrays]:
    """What reads a frame of `dataset` as (image, target).

    Unknowns that somebody annotated stay unknowns: those of an anomaly dataset, and `outlier_values` of label files.

    Raises:
        ConfigError: the dataset's classes cannot be mapped to `labels`.
    """
    has_classes = dataset.label_set is not None and (dataset.kind == "semantic" or dataset.classes is not None)
    # An anomaly dataset without classes still says what is known (253) and what is not.
    table = labels.map_from(dataset.label_set).copy() if has_classes else np.full(256, KNOWN, np.uint8)
    table[UNLABELED] = UNLABELED
    if outlier_values and dataset.kind == "semantic":
        table[OUTLIER] = OUTLIER
        meaning = {**dataset.encoding.meaning, **dict.fromkeys(outlier_values, OUTLIER)}
        what = f"{dataset.encoding.what}, {outlier_values} unknown"
        dataset = replace(dataset, encoding=replace(dataset.encoding, what=what, meaning=meaning))
    return partial(_read_stored, dataset, table)


def _read_stored(dataset: Dataset, table: np.ndarray, item: Item) -> Arrays:
    image, label = dataset.load(item)
    if dataset.kind == "semantic":
        return image, table[label]
    classes = dataset.load_classes(item)
    target = table[label if classes is None else classes]
    target[label == 1] = OUTLIER
    return image, target


def _pairs(spec: DataSpec, labels: LabelSet, seed: int) -> list[TrainingFrame]:
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


_LISTERS = {"scenes": _scenes, "frames": _unlabelled, "reviewed": _reviewed, "generated_pairs": _pairs}
