"""KITTI semantic segmentation benchmark: 200 training and 200 test frames (labels hidden), Cityscapes label ids."""

from __future__ import annotations

from ..encoding import CITYSCAPES_IDS
from ..layout import NO_SPLITS, Format, Layout, folders, pair

_PLACES = {"train": "training", "test": "testing"}


def _find(root, split):
    base = root / _PLACES[split]
    return pair(base / "image_2", base / "semantic", needs_labels=split != "test")


FORMAT = Format(
    name="kitti",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_IDS,
    splits=("train", "test"),
    published={"train": 200, "test": 200},
    hidden=("test",),
    folders=("data_semantics", "kitti"),
    hint="data_semantics.zip of the KITTI semantic segmentation benchmark",
    layouts=(
        Layout("training/image_2/{id}.png + training/semantic/{id}.png", _find),
        Layout(f"images/{{id}}.png + labelIds/{{id}}.png {NO_SPLITS}", folders("images", "labelIds")),
    ),
)
