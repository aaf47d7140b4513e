"""IDD-Lite: Indian roads, 1403 / 204 / 404 frames, 320x227. Its own labels are 7 super-classes; here Cityscapes train
ids inside of them, which the repacked set adds (`trainIds`, 255 where they are not sure).
"""

from __future__ import annotations

from ..encoding import CITYSCAPES_TRAIN_IDS
from ..layout import Format, Layout, folders

FORMAT = Format(
    name="idd_lite",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_TRAIN_IDS,
    splits=("val", "train"),
    published={"train": 1403, "val": 204},
    folders=("idd20k_lite", "idd_lite"),
    hint="idd20k_lite of idd.insaan.iiit.ac.in with train ids in {split}/trainIds",
    layouts=(
        Layout("{split}/images/{id}.jpg + {split}/trainIds/{id}.png", folders("{split}/images", "{split}/trainIds")),
    ),
)
