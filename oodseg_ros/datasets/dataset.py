"""A dataset on disk: which frames it has, and how an image and its labels are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from ..sources.image_files import read_image
from .encoding import Encoding, read_values


@dataclass(frozen=True)
class Item:
    """One frame.

    Attributes:
        id: its name in the dataset, unique there; parts are joined by `/`.
        label_path: the ground truth, or None where there is none (hidden test labels): never score such a frame.
    """

    id: str
    image_path: Path
    label_path: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """Frames of one split of one dataset, as they lie on disk.

    Attributes:
        name: registered name, e.g. `road_anomaly_21`.
        kind: `anomaly` (labels 0 normal, 1 anomaly, 255 ignore) or `semantic` (class ids of `label_set`, 255 ignore).
        label_set: name of the label set of class ids; for an anomaly dataset that of `load_classes`; None without one.
        items: the frames in a fixed order.
        root, split, layout: where it lies, which part, and which published layout was recognized.
        encoding: what the values of its label files mean.
        classes: for an anomaly dataset whose files also tell classes: what they mean as class ids.
        notes: what the user should know, e.g. frames that the benchmark excludes.
        published: number of frames that this split has as published, or None.
    """

    name: str
    kind: str
    label_set: str | None
    items: tuple[Item, ...]
    root: Path
    split: str
    layout: str
    encoding: Encoding
    classes: Encoding | None = None
    notes: tuple[str, ...] = ()
    published: int | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def scored(self) -> tuple[Item, ...]:
        """The frames with ground truth."""
        return tuple(item for item in self.items if item.label_path is not None)

    def only(self, match: str) -> Dataset:
        """The frames whose id fits a shell pattern (`7d*`).

        Raises:
            DatasetError: none does.
        """
        items = tuple(item for item in self.items if fnmatch(item.id, match))
        if not items:
            raise DatasetError(f"dataset {self.name}: no frame fits {match!r}; an id is, e.g., {self.items[0].id}")
        note = f"only the {len(items)} of {len(self.items)} frames whose id fits {match}"
        return replace(self, items=items, notes=(*self.notes, note), published=None)

    def load(self, item: Item) -> tuple[np.ndarray, np.ndarray | None]:
        """Image RGB uint8 `[H, W, 3]` and labels uint8 `[H, W]` (None for a frame without ground truth).

        Raises:
            DatasetError, ImageError: a file cannot be read, their sizes differ, or a label value has no meaning.
        """
        image = read_image(item.image_path)
        return image, self._labels(item, image, self.encoding)

    def load_classes(self, item: Item) -> np.ndarray | None:
        """Class ids of `label_set`, uint8 `[H, W]`, 255 = unlabeled; None where the files do not tell.

        Raises:
            DatasetError: as `load`.
        """
        encoding = self.encoding if self.kind == "semantic" else self.classes
        if encoding is None or item.label_path is None:
            return None
        return encoding.decode(read_values(item.label_path, encoding.colors), item.label_path)

    def _labels(self, item: Item, image: np.ndarray, encoding: Encoding) -> np.ndarray | None:
        if item.label_path is None:
            return None
        values = read_values(item.label_path, encoding.colors)
        if values.shape != image.shape[:2]:
            turned = ""
            if values.shape == image.shape[1::-1]:
                turned = " (it lies on the picture as stored; the picture is turned upright as its EXIF block asks)"
            raise DatasetError(
                f"{self.name}, frame {item.id}: the image is {image.shape[1]}x{image.shape[0]} pixels but its label "
                f"{item.label_path} is {values.shape[1]}x{values.shape[0]}{turned}; "
                "image and label must have the same size"
            )
        return encoding.decode(values, item.label_path)
