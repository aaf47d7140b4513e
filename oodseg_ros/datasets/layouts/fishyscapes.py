"""Fishyscapes validation sets: Lost & Found (100 frames) and Static (30), 2048x1024; 255 = void, ego and borders."""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import ANOMALY
from ..layout import Format, Layout, folders, images_in

_IMAGE = "_leftImg8bit"
# Where SMIYC's tools and others put the images of Lost & Found, relative to the folder that holds the labels.
_LAF_IMAGES = (
    "laf_images/{id}_leftImg8bit.*",
    "images/val/{id}*.*",
    "images/{id}*.*",
    "leftImg8bit/*/*/{id}_leftImg8bit.*",
    "../dataset_LostAndFound/leftImg8bit/*/*/{id}_leftImg8bit.*",
    "../LostAndFound/leftImg8bit/*/*/{id}_leftImg8bit.*",
    "../laf_images/{id}_leftImg8bit.*",
)


def _by_label(labels: str, pattern: str, prefix: int, ending: str):
    """Frames named by their labels: `prefix` characters and `ending` cut off give the Lost & Found id."""

    def find(root: Path, split: str) -> list[Item]:
        items = []
        for path in images_in(root / labels, pattern):
            name = path.stem[prefix : -len(ending)]
            image = _search(root, name)
            if image:
                items.append(Item(name, image, path))
        return items

    return find


def _search(root: Path, name: str) -> Path | None:
    for place in _LAF_IMAGES:
        pattern = place.format(id=name)
        start = root.parent if pattern.startswith("../") else root
        found = sorted(start.glob(pattern.removeprefix("../")))
        if found:
            return found[0]
    return None


def _static(root: Path, split: str) -> list[Item]:
    """`{id}_labels.png` with `{id}_rgb.png` beside it or in the image folder; the newest version that is complete."""
    items: list[Item] = []
    for folder in (*sorted(root.glob("fs_val_v*"), reverse=True), *sorted(root.glob("fs_static_images_v*")), root):
        version = folder.name.rsplit("_", 1)[-1]
        places = [root / f"fs_static_images_{version}", folder]
        for path in images_in(folder, "*_labels.png"):
            name = path.stem.removesuffix("_labels")
            image = next((p for place in places if (p := place / f"{name}_rgb.png").is_file()), None)
            if image:
                items.append(Item(name, image, path))
        if items:
            break
    return items


LOST_AND_FOUND = Format(
    name="fishyscapes_laf",
    kind="anomaly",
    encoding=ANOMALY,
    splits=("val",),
    published={"val": 100},
    folders=("Fishyscapes", "fishyscapes", "LostAndFound", "fishyscapes/LostAndFound", "dataset_FishyLAF", "laf"),
    hint="labels from fishyscapes.com (`labels`, not `labels_with_ROI`) and the images of Lost & Found",
    layouts=(
        Layout(
            "fishyscapes_lostandfound/0000_{id}_labels.png + laf_images/{id}_leftImg8bit.png",
            _by_label("fishyscapes_lostandfound", "*_labels.png", 5, "_labels"),
        ),
        Layout(
            "labels/val/{id}_fishy-labels.png + images of Lost & Found beside it",
            _by_label("labels/val", "*_fishy-labels.png", 0, "_fishy-labels"),
        ),
        Layout(
            "images/val/{id}_leftImg8bit.png + annotations/val/{id}_labels.png",
            folders("images/val", "annotations/val", image_endings=(_IMAGE,), label_endings=("_labels",)),
        ),
        Layout("original/{k}.png + labels/{k}.png", folders("original", "labels")),
        Layout("images/{k}.png + labels/{k}.png", folders("images", "labels")),
    ),
)
STATIC = Format(
    name="fishyscapes_static",
    kind="anomaly",
    encoding=ANOMALY,
    splits=("val",),
    published={"val": 30},
    folders=("Fishyscapes", "fishyscapes", "Static", "fishyscapes/Static", "fishyscapes_static", "static"),
    hint="built from Cityscapes and the .npz differences of fishyscapes.com",
    layouts=(
        Layout("fs_val_v2/{id}_labels.png + fs_static_images_v2/{id}_rgb.png (or in one folder)", _static),
        Layout(
            "images/val/{id}_leftImg8bit.png + annotations/val/{id}_labels.png",
            folders("images/val", "annotations/val", image_endings=(_IMAGE, "_rgb"), label_endings=("_labels",)),
        ),
        Layout("original/{k}.png + labels/{k}.png", folders("original", "labels")),
        Layout("images/{k}.png + labels/{k}.png", folders("images", "labels")),
    ),
)
