"""Objects from COCO: an instances file with its pictures, or a prepared proxy folder of masks (0 / 254).

The published proxy set drops whole pictures with classes that a driving label set knows. It forgets `train`
(`known_classes.OVERLOOKED`); which classes are dropped is the caller's choice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.dataset import read_rgb
from ..datasets.encoding import read_values
from ..datasets.layout import images_in
from ..errors import DatasetError
from .coco_masks import mask_of
from .known_classes import KNOWN_IN_CITYSCAPES
from .targets import OUTLIER


@dataclass(frozen=True)
class CocoPicture:
    """One picture and those of its annotations that are objects."""

    image: Path
    height: int
    width: int
    segmentations: tuple[Any, ...]

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 `[H, W, 3]` and mask uint8 `[H, W]`, 254 = object.

        Raises:
            DatasetError: the picture is missing, damaged or of another size than the instances file says.
        """
        rgb = read_rgb(self.image)
        if rgb.shape[:2] != (self.height, self.width):
            raise DatasetError(
                f"{self.image} is {rgb.shape[1]}x{rgb.shape[0]}, its instances file says {self.width}x{self.height}"
            )
        mask = np.zeros((self.height, self.width), np.uint8)
        for segmentation in self.segmentations:
            mask[mask_of(segmentation, self.height, self.width)] = OUTLIER
        return rgb, mask


@dataclass(frozen=True)
class ProxyPicture:
    """One picture and its prepared mask."""

    image: Path
    mask: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 `[H, W, 3]` and mask uint8 `[H, W]` as stored.

        Raises:
            DatasetError: a file is missing or damaged, or the sizes differ.
        """
        rgb, mask = read_rgb(self.image), read_values(self.mask)
        if rgb.shape[:2] != mask.shape:
            raise DatasetError(f"{self.image} and {self.mask} have different sizes")
        return rgb, mask


def open_coco(
    instances: Path,
    images: Path,
    *,
    drop_images_with: Iterable[str] = KNOWN_IN_CITYSCAPES,
    exclude: Iterable[str] = (),
    min_side: int = 480,
    unit: str = "picture",
) -> list[CocoPicture]:
    """Pictures of an instances file, in the order of their ids.

    Args:
        drop_images_with: classes; a picture with any of them is dropped.
        exclude: classes whose instances are no objects.
        min_side: smallest height and width of a picture.
        unit: `picture` = all its objects together, crowds included; `instance` = one entry per object, no crowds.

    Raises:
        DatasetError: the file cannot be read, names no such class, or nothing is left.
    """
    try:
        data = json.loads(instances.read_text())
        names = {entry["id"]: entry["name"] for entry in data["categories"]}
        pictures = {entry["id"]: entry for entry in data["images"]}
        annotations = data["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"COCO instances file {instances} cannot be read: {error!r}") from error
    for wanted in (set(drop_images_with), set(exclude)):
        if unknown := sorted(wanted - set(names.values())):
            raise DatasetError(f"{instances} has no class {', '.join(unknown)}; it has {', '.join(names.values())}")
    dropped = {entry["image_id"] for entry in annotations if names[entry["category_id"]] in set(drop_images_with)}
    objects: dict[int, list[Any]] = {}
    for entry in annotations:
        crowd = bool(entry.get("iscrowd"))
        if names[entry["category_id"]] in set(exclude) or (crowd and unit == "instance"):
            continue
        objects.setdefault(entry["image_id"], []).append(_compact(entry["segmentation"]))
    found = []
    for key in sorted(objects.keys() - dropped):
        picture = pictures[key]
        height, width = picture["height"], picture["width"]
        if min(height, width) < min_side:
            continue
        groups = [objects[key]] if unit == "picture" else [[one] for one in objects[key]]
        found += [CocoPicture(images / picture["file_name"], height, width, tuple(group)) for group in groups]
    if not found:
        raise DatasetError(f"{instances}: no picture is left after dropping classes and small pictures")
    return found


def open_proxy(masks: Path, images: Path) -> list[ProxyPicture]:
    """Masks with the pictures of the same name.

    Raises:
        DatasetError: no mask, or none with a picture.
    """
    pictures = {file.stem: file for file in images_in(images)}
    found = [ProxyPicture(pictures[mask.stem], mask) for mask in images_in(masks, "*.png") if mask.stem in pictures]
    if not found:
        raise DatasetError(
            f"no mask in {masks} has a picture of the same name in {images}; "
            "`oodseg prepare-coco` makes masks from an instances file"
        )
    return found


def _compact(segmentation: Any) -> Any:
    """Polygons as arrays: a tenth of the memory of lists of floats, over hundreds of thousands of annotations."""
    if isinstance(segmentation, list):
        return tuple(np.asarray(polygon, np.float32) for polygon in segmentation)
    return segmentation
