"""Objects from COCO: an instances file with its pictures, or a prepared proxy folder of masks (0 / 254), which spares
training the parsing of the instances file.

The published proxy set drops whole pictures with classes that a driving label set knows. It forgets `train`
(`OVERLOOKED`); which classes are dropped is the caller's choice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from ..datasets.encoding import read_values
from ..datasets.layout import images_in
from ..errors import DatasetError
from ..frame import OUTLIER
from ..paths import completed
from ..sources.image_files import read_image
from .coco_masks import mask_of, outline_of

# COCO classes that are no unknowns on a road, because a driving label set has them.
KNOWN_IN_CITYSCAPES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "stop sign")
"""Pictures with any of these are dropped from the published COCO proxy (PEBAL and its successors)."""

OVERLOOKED = ("train",)
"""Also a Cityscapes class, but the published rule keeps pictures with it; add it to drop them too."""


def read_sized(image: Path, height: int, width: int) -> np.ndarray:
    """RGB uint8 `[H, W, 3]` of a picture that an instances file describes.

    Raises:
        DatasetError, ImageError: it is missing, damaged or of another size than the instances file says.
    """
    rgb = read_image(image)
    if rgb.shape[:2] != (height, width):
        raise DatasetError(f"{image} is {rgb.shape[1]}x{rgb.shape[0]}, its instances file says {width}x{height}")
    return rgb


@dataclass(frozen=True)
class CocoPicture:
    """One picture and those of its annotations that are objects."""

    image: Path
    height: int
    width: int
    segmentations: tuple[Any, ...]

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 `[H, W, 3]` and mask uint8 `[H, W]`, 254 = object; errors as `read_sized`."""
        rgb = read_sized(self.image, self.height, self.width)
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
        rgb, mask = read_image(self.image), read_values(self.mask)
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
    said: Callable[[str], None] | None = None,
) -> list[CocoPicture]:
    """Pictures of an instances file, in the order of their ids.

    Args:
        drop_images_with: classes; a picture with any of them is dropped.
        exclude: classes whose instances are no objects.
        min_side: smallest height and width of a picture.
        unit: `picture` = all its objects together, crowds included; `instance` = one entry per object, no crowds.
        said: called with a sentence for what was left out of the file.

    Raises:
        DatasetError: the file is of another kind (panoptic, boxes only, captions), an entry in it is damaged, it names
            no such class, or nothing is left; the text names the entry.
    """
    names, pictures, annotations = read_instances(instances)
    for wanted in (set(drop_images_with), set(exclude)):
        if unknown := sorted(wanted - set(names.values())):
            raise DatasetError(f"{instances} has no class {', '.join(unknown)}; it has {', '.join(names.values())}")
    dropped = {entry["image_id"] for entry in annotations if names[entry["category_id"]] in set(drop_images_with)}
    objects: dict[int, list[Any]] = {}
    without_outline = set()
    for index, entry in enumerate(annotations):
        crowd = bool(entry.get("iscrowd"))
        if names[entry["category_id"]] in set(exclude) or (crowd and unit == "instance"):
            continue
        picture = pictures[entry["image_id"]]
        outline = outline_of(
            entry.get("segmentation"), picture["height"], picture["width"], f"{instances}: annotation {index}"
        )
        if outline is None:
            without_outline.add(entry["image_id"])
        else:
            objects.setdefault(entry["image_id"], []).append(outline)
    if without_outline and not objects:
        raise DatasetError(
            f"{instances} holds boxes only: no annotation has a `segmentation`; "
            "a file with outlines is needed, as instances_train2017.json has them"
        )
    # An object that nobody outlined would be learned as known ground.
    dropped |= without_outline
    if said is not None and without_outline:
        said(f"{len(without_outline)} pictures left out: an object in them has a box and no outline")
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
    """Masks with the pictures of the same name, also below folders of the same name.

    Raises:
        DatasetError: no mask, none with a picture, or two pictures for one mask.
    """
    pictures: dict[str, Path] = {}
    for file in images_in(images, "**/*"):
        name = file.relative_to(images).with_suffix("").as_posix()
        if name in pictures:
            raise DatasetError(f"{file} and {pictures[name]} would share the mask {name}.png; rename one of them")
        pictures[name] = file
    found = [
        ProxyPicture(pictures[name], mask)
        for mask in images_in(masks, "**/*.png")
        if (name := mask.relative_to(masks).with_suffix("").as_posix()) in pictures
    ]
    if not found:
        raise DatasetError(
            f"no mask in {masks} has a picture of the same name in {images}; "
            "`oodseg prepare-coco` makes masks from an instances file"
        )
    return found


def foreign(data: Any) -> str:
    """What JSON of an annotation tool is that is not COCO, and what to export instead; empty = not known."""
    keys = set(data) if isinstance(data, dict) else set()
    if isinstance(data, list) and data and all(isinstance(entry, dict) for entry in data):
        return "a list of tasks, as Label Studio's own JSON is: export from it as COCO"
    if {"shapes", "imagePath"} <= keys:
        return "LabelMe's file of one picture: convert all of them to COCO (CVAT imports LabelMe and exports COCO 1.0)"
    entries = (data.get("_via_img_metadata") or data).values() if keys else ()
    if keys and all(isinstance(entry, dict) and {"regions", "filename"} <= set(entry) for entry in entries):
        return "VGG Image Annotator's own project: export annotations as COCO from it"
    if {"items", "categories"} <= keys:
        return "Datumaro's JSON: export as COCO 1.0"
    return ""


def read_instances(
    file: Path, inside: bool = True
) -> tuple[dict[Any, str], dict[Any, dict[str, Any]], list[dict[str, Any]]]:
    """Class names and pictures by their ids, and the annotations, every id among them known.

    Args:
        inside: the names of pictures must lie below the folder of pictures.

    Raises:
        DatasetError: it is no such file; the text names the entry.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"[:200]
        raise DatasetError(f"COCO instances file {file} cannot be read ({why}); is it JSON, and all of it?") from error
    if what := foreign(data):
        raise DatasetError(f"{file} is {what}")
    parts = ("categories", "images", "annotations")
    missing = [part for part in parts if not isinstance(data, dict) or not isinstance(data.get(part), list)]
    if missing:
        raise DatasetError(
            f"COCO instances file {file} cannot be read: it has no list {', '.join(missing)}; "
            "instances_train2017.json or another file of that kind is wanted"
        )
    kinds = {"segments_info": "a panoptic", "caption": "a captions"}
    for key, kind in kinds.items():
        if any(isinstance(entry, dict) and key in entry for entry in data["annotations"]):
            raise DatasetError(f"{file} is {kind} file ({key} in its annotations); instances_*.json is wanted")
    names = {}
    for entry in _entries(file, data, "categories", {"id": (int, str), "name": (str,)}):
        if names.setdefault(entry["id"], entry["name"]) != entry["name"]:
            raise DatasetError(f"{file}: two categories have the id {entry['id']}")
    pictures, files = {}, {}
    sides = {"height": (int,), "width": (int,)}
    for entry in _entries(file, data, "images", {"id": (int, str), "file_name": (str,), **sides}):
        name = PurePosixPath(entry["file_name"])
        if (inside and (name.is_absolute() or ".." in name.parts)) or not name.name:
            raise DatasetError(
                f"{file}: picture {entry['id']} has the file name {entry['file_name']!r}, outside of ROOT"
            )
        if min(entry["height"], entry["width"]) < 1:
            raise DatasetError(f"{file}: picture {entry['id']} is {entry['width']}x{entry['height']} pixels")
        if files.setdefault(name, entry["id"]) != entry["id"] or pictures.setdefault(entry["id"], entry) is not entry:
            raise DatasetError(f"{file}: two pictures have the id {entry['id']} or the file name {name}")
    ids = {"image_id": (int, str), "category_id": (int, str)}
    annotations = _entries(file, data, "annotations", ids)
    for index, entry in enumerate(annotations):
        for key, known in (("image_id", pictures), ("category_id", names)):
            if entry[key] not in known:
                raise DatasetError(
                    f"{file}: annotation {index} has the {key} {entry[key]!r}, which the file does not list"
                )
    return names, pictures, annotations


def _entries(file: Path, data: dict[str, Any], part: str, wanted: dict[str, tuple[type, ...]]) -> list[dict[str, Any]]:
    for index, entry in enumerate(data[part]):
        for key, types in wanted.items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if not isinstance(value, types) or isinstance(value, bool):
                kinds = " or ".join("text" if kind is str else "a whole number" for kind in types)
                raise DatasetError(f"{file}: {part}[{index}] needs `{key}`, {kinds}, and has {value!r:.60}")
    return data[part]


def write_proxy(
    pictures: Sequence[CocoPicture], images: Path, masks: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write `masks/<picture>.png` for every picture, in the folders that they have below `images`; masks that are
    there already are kept.

    Args:
        progress: called with (done, total).

    Returns:
        Number of masks written now.

    Raises:
        DatasetError: a picture cannot be read or has another size than its instances file says, or two pictures
            differ only in their suffix.
    """
    files = [masks / picture.image.relative_to(images).with_suffix(".png") for picture in pictures]
    if twice := [str(file) for file, count in Counter(files).items() if count > 1]:
        raise DatasetError(f"several pictures would share the mask {twice[0]}; rename those that differ in suffix only")
    written = 0
    for done, (picture, file) in enumerate(zip(pictures, files, strict=True), 1):
        if not file.is_file():
            with completed(file) as part:
                part.write_bytes(cv2.imencode(".png", picture.read()[1])[1].tobytes())
            written += 1
        if progress:
            progress(done, len(pictures))
    return written
