"""COCO as a proxy of unknowns: masks (0 / 254) of pictures that show no class of a driving label set.

Made by `oodseg prepare-coco`, or by the published preparation script. As a dataset it is only looked at: training
pastes its objects (`outliers: {cutouts: [{kind: coco_proxy}]}`).
"""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import Encoding
from ..layout import Format, Layout, images_in

MASKS = Encoding("0 background, 254 object (255 ignored)", {0: 0, 254: 1, 255: 255})


def _find(root: Path, split: str) -> list[Item]:
    """One frame per mask: pictures without a mask are those that were dropped."""
    pictures = {file.stem: file for file in images_in(root / split)}
    masks = images_in(root / "annotations" / f"ood_seg_{split}", "*.png")
    return [Item(file.stem, pictures.get(file.stem, root / split / f"{file.stem}.jpg"), file) for file in masks]


FORMAT = Format(
    name="coco_proxy",
    kind="anomaly",
    encoding=MASKS,
    splits=("train2017", "val2017"),
    folders=("coco", "COCO"),
    hint="COCO's pictures in train2017/, and masks that `oodseg prepare-coco --root …` writes from its instances file",
    layouts=(Layout("{split}/{id}.jpg + annotations/ood_seg_{split}/{id}.png", _find),),
)
