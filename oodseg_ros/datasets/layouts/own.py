"""Folders that are no benchmark: one's own, and what this package writes.

Any pair of folders `images/` and `labels/` with equal file stems: labels 0/1/255, or class ids of a label set.

COCO as a proxy of unknowns: masks (0 / 254) of pictures that show no class of a driving label set.

Made by `oodseg prepare-coco`, or by the published preparation script. As a dataset it is only looked at: training
pastes its objects (`outliers: {cutouts: [{kind: coco_proxy}]}`).

Pictures generated from Cityscapes scenes (`oodseg generate`, or the published CG-Aug): train ids, 254 = the object.

As a dataset it is only looked at, and the object counts as not labelled; training reads it beside its originals
(`data: [{dataset: generated_pairs, originals: …}]`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..dataset import Item
from ..encoding import ANOMALY, CITYSCAPES_TRAIN_IDS, Encoding
from ..layout import Format, Layout, folders, images_in, paired

DEPTHS = ("*", "*/*", "*/*/*", "*/*/*/*")


def _find_folder(labels: str):
    """With a split, `{split}/images` or `images/{split}`; without, the folders themselves; and folders in these."""

    def find(root: Path, split: str) -> list[Item]:
        places = [("images", labels)]
        if split:
            places = [("{split}/images", f"{{split}}/{labels}"), ("images/{split}", f"{labels}/{{split}}")]
        for place in places:
            found = [
                item for depth in DEPTHS for item in folders(*place, pattern=depth, needs_labels=False)(root, split)
            ]
            if any(item.label_path for item in found):
                return found
        return []

    return find


def _alone(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    """Everything is kept; label files without a picture are told: pictures that were moved, or cannot be seen."""
    labeled = [(item.id, item.label_path) for item in items if item.label_path]
    roots = {path.parents[name.count("/")] for name, path in labeled}
    used = {path for _, path in labeled}
    alone = [file for root in sorted(roots) for depth in DEPTHS for file in images_in(root, depth) if file not in used]
    return items, [f"{len(alone)} label files have no picture, e.g. {alone[0]}"] if alone else []


FOLDER = Format(
    name="folder",
    encoding=replace(
        ANOMALY, cure="If these are class ids, name their label set: --labels NAME_OR_FILE (`labels:` in a recipe)"
    ),
    splits=("",),
    select=_alone,
    hint="put pictures into images/ and label PNGs (0 normal, 1 anomaly, 255 ignore; or class ids) of the same names "
    "into labels/",
    layouts=(
        Layout("images/{id}.jpg + labels/{id}.png", _find_folder("labels")),
        Layout("images/{id}.jpg + masks/{id}.png", _find_folder("masks")),
    ),
)
FOLDER_TRAIN_IDS = Layout("images/{id}.jpg + labelTrainIds/{id}.png", _find_folder("labelTrainIds"))
"""Also recognized: class ids whose label set the folder's name tells."""


COCO_PROXY_MASKS = Encoding("0 background, 254 object (255 ignored)", {0: 0, 254: 1, 255: 255})


def _find_coco_proxy(root: Path, split: str) -> list[Item]:
    """One frame per mask: pictures without a mask are those that were dropped."""
    pictures = {file.stem: file for file in images_in(root / split)}
    masks = images_in(root / "annotations" / f"ood_seg_{split}", "*.png")
    return [Item(file.stem, pictures.get(file.stem, root / split / f"{file.stem}.jpg"), file) for file in masks]


COCO_PROXY = Format(
    name="coco_proxy",
    encoding=COCO_PROXY_MASKS,
    splits=("train2017", "val2017"),
    folders=("coco", "COCO"),
    hint="COCO's pictures in train2017/, and masks that `oodseg prepare-coco --root …` writes from its instances file",
    layouts=(Layout("{split}/{id}.jpg + annotations/ood_seg_{split}/{id}.png", _find_coco_proxy),),
)


GENERATED_PAIRS_LABELS = Encoding(
    "Cityscapes train ids 0..18, 254 generated object, 255 ignore", {**CITYSCAPES_TRAIN_IDS.meaning, 254: 255}
)


GENERATED_PAIRS = Format(
    name="generated_pairs",
    kind="semantic",
    label_set="cityscapes19",
    encoding=GENERATED_PAIRS_LABELS,
    splits=("train", "val"),
    hint="the folder that `oodseg generate` wrote",
    layouts=(
        paired(
            "leftImg8bit/{split}/{city}/{id}_leftImg8bit.png + gtFine/{split}/{city}/{id}_gtFine_labelTrainIds.png",
            needs_labels=False,
        ),
        paired(
            "leftImg8bit/{split}/{id}_leftImg8bit.png + gtFine/{split}/{id}_gtFine_labelTrainIds.png",
            needs_labels=False,
        ),
    ),
)


FORMATS = (FOLDER, COCO_PROXY, GENERATED_PAIRS)
