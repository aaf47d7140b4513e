"""Cityscapes: 2975 / 500 / 1525 frames, 2048x1024, 19 classes. The test labels that are distributed are dummies."""

from __future__ import annotations

from ..encoding import CITYSCAPES_IDS, CITYSCAPES_TRAIN_IDS
from ..layout import NO_SPLITS, Format, Layout, folders

_IMAGE = ("_leftImg8bit",)
_FINE = "leftImg8bit/{split}/{city}/{id}_leftImg8bit.png + gtFine/{split}/{city}/{id}_gtFine_%s.png"


def _fine(kind: str):
    return folders(
        "leftImg8bit/{split}",
        "gtFine/{split}",
        pattern="*/*",
        image_endings=_IMAGE,
        label_endings=(f"_gtFine_{kind}",),
        needs_labels=False,
    )


def _with_labels(find):
    """Only if at least one frame has a label: else the other encoding's files are there."""

    def found(root, split):
        items = find(root, split)
        return items if split == "test" or any(item.label_path for item in items) else []

    return found


FORMAT = Format(
    name="cityscapes",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_TRAIN_IDS,
    splits=("val", "train", "test"),
    published={"train": 2975, "val": 500, "test": 1525},
    hidden=("test",),
    folders=("cityscapes", "Cityscapes"),
    hint="leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com",
    layouts=(
        Layout(_FINE % "labelTrainIds", _with_labels(_fine("labelTrainIds"))),
        Layout(_FINE % "labelIds", _with_labels(_fine("labelIds")), CITYSCAPES_IDS),
        Layout(
            "images/city_gt_fine/{split}/{id}.png + annotation/city_gt_fine/{split}/{id}_gtFine.png",
            folders(
                "images/city_gt_fine/{split}",
                "annotation/city_gt_fine/{split}",
                image_endings=(*_IMAGE, ""),
                label_endings=("_gtFine", "_leftImg8bit", ""),
            ),
        ),
        Layout(f"images/{{id}}.jpg + labelTrainIds/{{id}}.png {NO_SPLITS}", folders("images", "labelTrainIds")),
        Layout(
            f"images/{{id}}.jpg + labelIds/{{id}}.png {NO_SPLITS}",
            folders("images", "labelIds"),
            CITYSCAPES_IDS,
        ),
    ),
)
