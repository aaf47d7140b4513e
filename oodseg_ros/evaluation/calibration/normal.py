"""Frames that count as normal driving: what somebody vouches for instead of labelling it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...datasets.dataset import Dataset, Item
from ...datasets.encoding import ANOMALY
from ...datasets.registry import open_dataset
from ...errors import ConfigError, DatasetError
from ...frame import UNLABELED
from ...sources.open_source import drive_files

FRAMES = "frames"
"""Instead of a dataset's name: a folder, video, bag or image without labels, as in recipes."""


class _AllNormal(Dataset):
    """Frames without label files: every pixel is normal."""

    def load(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Image RGB uint8 `[H, W, 3]` and zeros `[H, W]`."""
        image, _ = super().load(item)
        return image, np.zeros(image.shape[:2], np.uint8)


def open_normal(name: str, root: Path, split: str | None = None, labels: str | None = None) -> Dataset:
    """Open frames for calibration on normal driving.

    Args:
        name: `frames`: every pixel of `root` (a folder, video, bag or image) is normal. A dataset of class labels:
            its labelled pixels are. An anomaly dataset: as it is labelled.
        root, split, labels: as in `open_dataset`.

    Raises:
        ConfigError: a split or labels of frames that have none.
        BagError, DatasetError: nothing is there.
    """
    if name == FRAMES:
        if split or labels:
            raise ConfigError("`frames` have no labels and no splits; leave out --split and --labels")
        files = drive_files(root)
        names = [file.stem for file in files]
        if len(set(names)) < len(names):  # the same name with two suffixes
            names = [file.name for file in files]
        items = tuple(Item(name, file) for name, file in zip(names, files, strict=True))
        note = "every pixel counts as normal, because --normal said so"
        return _AllNormal(root.name, "anomaly", None, items, root, "", "images", ANOMALY, notes=(note,))
    dataset = open_dataset(name, root, split, labels)
    if dataset.kind == "anomaly":
        return dataset
    meaning = {value: UNLABELED if label == UNLABELED else 0 for value, label in dataset.encoding.meaning.items()}
    if not dataset.scored:
        raise DatasetError(f"{name} at {root} has no labelled frame; use `frames` where every pixel is normal")
    note = "labelled pixels count as normal, because --normal said so"
    return replace(
        dataset,
        kind="anomaly",
        label_set=None,
        encoding=replace(dataset.encoding, meaning=meaning),
        notes=(*dataset.notes, note),
    )
