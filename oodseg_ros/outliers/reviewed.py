"""COCO instances that somebody has looked through: what is unknown, what is a class, what is nothing at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ConfigError, DatasetError, why
from ..frame import KNOWN, OUTLIER, UNLABELED
from ..labels import LabelSet
from .coco import foreign, read_instances, read_sized
from .coco_masks import mask_of, outline_of

UNKNOWN, NEGATIVE, IGNORED = "unknown", "negative", "ignored"
MEANINGS = {UNKNOWN: OUTLIER, NEGATIVE: KNOWN, IGNORED: UNLABELED}
"""Categories that are no class: an outlier, known though of no class, not counted."""
WRITTEN, CORRECTED = "annotations/instances.json", "annotations/instances_default.json"
"""As `oodseg collect` writes it (it may be corrected in place), and as CVAT exports it."""
FILES = ("annotations/instances_*.json", "result.json", "instances.json", WRITTEN)
"""As CVAT (named after its subset, usually `default`) and Label Studio export it, and as it was written."""
XML = {
    b"<annotations": "CVAT's own XML: export from it as COCO 1.0",
    b"<annotation": "Pascal VOC's XML: export as COCO",
}
"""How annotations begin that are not COCO either."""


@dataclass(frozen=True)
class ReviewedPicture:
    """A picture and its instances: (target value, COCO segmentation)."""

    id: str
    image: Path
    height: int
    width: int
    instances: tuple[tuple[int, Any], ...]
    rest: int

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 `[H, W, 3]` and target uint8 `[H, W]`; where instances overlap, the smaller one counts.

        Raises:
            DatasetError, ImageError: the picture is missing, damaged or of another size, or an instance has no mask.
        """
        rgb = read_sized(self.image, self.height, self.width)
        target = np.full(rgb.shape[:2], self.rest, np.uint8)
        masks = [(value, mask_of(segmentation, self.height, self.width)) for value, segmentation in self.instances]
        for value, mask in sorted(masks, key=lambda entry: -np.count_nonzero(entry[1])):
            target[mask] = value
        return rgb, target


def open_reviewed(
    root: Path, labels: LabelSet | None, categories: Mapping[str, str] | None = None, rest: int = UNLABELED
) -> list[ReviewedPicture]:
    """Pictures of a corrected collection, in the order of their ids.

    Args:
        root: as `oodseg collect` left it, or an export of CVAT (COCO 1.0) or Label Studio (COCO).
        labels: label set of the targets: a category with the name of a class is that class; None = every class is
            known, of no class.
        categories: category → class, `unknown`, `negative` or `ignored`, where its name does not say so.
        rest: target of what is in no instance.

    Raises:
        ConfigError: a category that is used means nothing here; it says what can be written.
        DatasetError: no instances file, one that is damaged, or several of which any may be the corrected one.
    """
    file = instances_file(root)
    names, pictures, annotations = read_instances(file, inside=False)
    subset = file.stem.removeprefix("instances").lstrip("_")
    entries = [_checked(entry, pictures, file) for entry in annotations]
    used = {names[entry["category_id"]] for entry in entries}
    meaning = _meanings(used, names.values(), labels, categories or {}, file)
    instances: dict[Any, list[tuple[int, Any]]] = {key: [] for key in pictures}
    for entry in entries:
        instances[entry["image_id"]].append((meaning[names[entry["category_id"]]], entry["outline"]))
    found = [
        ReviewedPicture(
            *(entry["file_name"], _image(root, subset, entry), entry["height"], entry["width"]),
            *(tuple(instances[key]), rest),
        )
        for key, entry in sorted(pictures.items(), key=lambda pair: str(pair[0]).rjust(20))
    ]
    shared: dict[Path, str] = {}
    for picture in found:
        if (other := shared.setdefault(picture.image.resolve(), picture.id)) != picture.id:
            raise DatasetError(
                f"{file}: the pictures {other} and {picture.id} are both taken for {picture.image}; give them "
                "different names, or keep the folders that their names tell"
            )
    if not found:
        raise DatasetError(f"{file} lists no picture")
    return found


def instances_file(root: Path) -> Path:
    """The corrected file of a collection. What `oodseg collect` wrote may lie beside an export, if nobody touched it.

    Raises:
        DatasetError: there is none, or there are several.
    """
    there = [file for name in FILES for file in sorted(root.glob(name))]
    if len(there) > 1 and there[-1] == root / WRITTEN and _untouched(there[-1]):
        there.pop()
    if len(there) > 1:
        names = ", ".join(str(file.relative_to(root)) for file in there)
        raise DatasetError(f"{root} holds several corrected COCO files: {names}; leave only the one that counts")
    corrected = bool(there) and (there != [root / WRITTEN] or not _untouched(there[0]))
    if not corrected and (other := _other_form(root, there)):
        raise DatasetError(f"{root} holds no corrected COCO instances; {other}")
    if not there:
        raise DatasetError(f"{root} holds no corrected COCO instances; looked for {', '.join(FILES)}")
    return there[0]


def _other_form(root: Path, known: Sequence[Path]) -> str:
    """What else somebody may have corrected in or put there, and what to do with it; empty = nothing."""
    for file in (file for folder in (root, root / "annotations") for file in sorted(folder.glob("*"))):
        what = ""
        if file in known or not file.is_file():
            continue
        if file.suffix.lower() == ".zip":
            what = "an archive: if it is an export of the corrections, unpack it there"
        elif file.suffix.lower() == ".xml":
            head = file.read_bytes()[:2000]
            what = next((text for start, text in XML.items() if start in head), "")
        elif file.suffix.lower() == ".json":
            try:
                data = json.loads(file.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError, RecursionError):
                continue
            what = foreign(data)
            if not what and isinstance(data, dict) and {"images", "annotations", "categories"} <= set(data):
                what = f"COCO under another name: if it is the corrected one, call it {CORRECTED}"
        if what:
            return f"{file.relative_to(root)} is {what}. If it does not count, move it away"
    return ""


def _untouched(file: Path) -> bool:
    try:
        names, _, annotations = read_instances(file, inside=False)
    except DatasetError:
        return False  # damaged: reading it says so, or the person does
    return all(names[entry["category_id"]] == UNKNOWN for entry in annotations)


def told(root: Path, pictures: Sequence[ReviewedPicture], labels: LabelSet) -> str:
    """What a corrected collection came to, in a sentence for people."""
    names = {value: name for name, value in MEANINGS.items()} | dict(enumerate(labels.names))
    counts = Counter(names[value] for picture in pictures for value, _ in picture.instances)
    what = ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no object"
    return f"{instances_file(root)}: {len(pictures)} pictures with {what}"


def unknown_objects(root: Path, categories: Mapping[str, str] | None = None) -> list[tuple[ReviewedPicture, Any]]:
    """Every instance of the category `unknown`, and of those that `categories` calls so: its picture and COCO
    segmentation.

    Raises:
        DatasetError: no instances file, a damaged one, or none of that category.
    """
    found = [
        (picture, segmentation)
        for picture in open_reviewed(root, None, categories)
        for value, segmentation in picture.instances
        if value == OUTLIER
    ]
    if not found:
        raise DatasetError(
            f"{root}: no instance is called {UNKNOWN!r}; `categories: {{NAME: unknown}}` says so of others"
        )
    return found


def cut_out(picture: ReviewedPicture, segmentation: Any) -> tuple[np.ndarray, np.ndarray]:
    """One instance: RGB uint8 `[h, w, 3]` and mask uint8 `[h, w]`, 254 = object, both of the instance's box.

    Raises:
        DatasetError: as `ReviewedPicture.read`.
    """
    rgb, _ = picture.read()
    mask = mask_of(segmentation, picture.height, picture.width)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise DatasetError(f"{picture.image}: an instance has no pixel in the picture")
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(rgb[box]), np.where(mask[box], OUTLIER, 0).astype(np.uint8)


def _meanings(
    used: set[str], listed: Any, labels: LabelSet | None, categories: Mapping[str, str], file: Path
) -> dict[str, int]:
    if strange := sorted(set(categories) - set(listed)):
        raise ConfigError(f"`categories` names {', '.join(strange)}, which {file} does not have: {', '.join(listed)}")
    meaning, unclear = {}, []
    for name in sorted(used):
        said = categories.get(name, name)
        if said in MEANINGS:
            meaning[name] = MEANINGS[said]
        elif labels is None:
            meaning[name] = KNOWN
        elif said in labels.names:
            meaning[name] = labels.names.index(said)
        else:
            unclear.append(said)
    if unclear:
        raise ConfigError(
            f"{file} uses {', '.join(unclear)}, which label set {labels.name} does not have; say in the recipe what it "
            f"is, `categories: {{{unclear[0]}: CLASS}}`, with a class of {', '.join(labels.names)}, or "
            f"{', '.join(MEANINGS)}; or train with a label set that has it"
        )
    return meaning


def _checked(entry: dict[str, Any], pictures: Mapping[Any, Any], file: Path) -> dict[str, Any]:
    """An annotation with its `outline` for `mask_of`; what cannot be one is refused now, not while training.

    `iscrowd` says nothing here: CVAT sets it for every object that was drawn as a mask.
    """
    picture = pictures[entry["image_id"]]
    where = f"{file}, annotation {entry.get('id')} in {picture['file_name']}"
    outline = outline_of(entry.get("segmentation"), picture["height"], picture["width"], where)
    if outline is None:
        raise DatasetError(f"{where} has no outline, perhaps only a box: draw one as polygon or mask, or delete it")
    return entry | {"outline": outline}


def _image(root: Path, subset: str, entry: Mapping[str, Any]) -> Path:
    """Tools write names with and without the folder, with backslashes, and with eight letters of their own before; CVAT
    has a folder for its subset.
    """
    name = PurePosixPath(entry["file_name"].replace("\\", "/"))
    whole = () if name.is_absolute() or ".." in name.parts else (str(name),)
    names = (*whole, name.name, re.sub(r"^[0-9a-f]{8}-", "", name.name))
    images = root / "images"
    for place in (folder / one for one in names for folder in (images, images / subset, root)):
        if place.is_file():
            break
    else:
        raise DatasetError(
            f"the picture {name} is not below {root}; its images/ folder must lie beside the annotations"
        )
    told = (entry["width"], entry["height"])
    try:
        with Image.open(place) as opened:
            size = opened.size
    except (OSError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{place} cannot be read: {why(error)}") from error
    if sorted(size) != sorted(told):  # an orientation may turn it
        raise DatasetError(f"{place} is {size[0]}x{size[1]}, its instances file says {told[0]}x{told[1]}")
    return place
