"""Pictures generated from Cityscapes scenes (`oodseg generate`, or the published CG-Aug): train ids, 254 = the object.

As a dataset it is only looked at, and the object counts as not labelled; training reads it beside its originals
(`data: [{dataset: generated_pairs, originals: …}]`).
"""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import CITYSCAPES_TRAIN_IDS, Encoding
from ..layout import Format, Layout, pair

LABELS = Encoding(
    "Cityscapes train ids 0..18, 254 generated object, 255 ignore", {**CITYSCAPES_TRAIN_IDS.meaning, 254: 255}
)


def _find(pattern: str):
    def find(root: Path, split: str) -> list[Item]:
        return pair(
            root / "leftImg8bit" / split,
            root / "gtFine" / split,
            pattern=pattern,
            image_endings=("_leftImg8bit",),
            label_endings=("_gtFine_labelTrainIds",),
            needs_labels=False,
        )

    return find


_PATTERN = "leftImg8bit/{split}/%s{id}_leftImg8bit.png + gtFine/{split}/%s{id}_gtFine_labelTrainIds.png"
FORMAT = Format(
    name="generated_pairs",
    kind="semantic",
    label_set="cityscapes19",
    encoding=LABELS,
    splits=("train", "val"),
    hint="the folder that `oodseg generate` wrote",
    layouts=(
        Layout(_PATTERN % ("{city}/", "{city}/"), _find("*/*")),
        Layout(_PATTERN % ("", ""), _find("*")),
    ),
)
