"""StreetHazards (CAOS benchmark): synthetic streets, 1280x720. Files hold class + 1; class 13 is the anomaly.

Its protocol averages over images and skips those without an anomaly, unlike the pooled figures of other sets.
"""

from __future__ import annotations

from ..encoding import Encoding
from ..layout import Format, Layout, folders

ANOMALY_CLASS = 13
STORED = Encoding(
    "class + 1: 1 unlabeled, 2..13 known classes, 14 anomaly (0 = none)",
    {0: 255, **{value: int(value - 1 == ANOMALY_CLASS) for value in range(1, 15)}},
)
CLASSES = Encoding(
    "class + 1: 1..13 known classes, 14 anomaly (0 = none)",
    {0: 255, **{value: value - 1 if value - 1 < ANOMALY_CLASS else 255 for value in range(1, 15)}},
)

_PATTERNS = {
    "test": ("test/images/test", "test/annotations/test"),
    "train": ("train/images/training", "train/annotations/training"),
    "val": ("train/images/validation", "train/annotations/validation"),
}


def _find(root, split):
    """The published tree; the part below it is one folder per town."""
    images, labels = _PATTERNS[split]
    return folders(images, labels, pattern="*/*")(root, split)


FORMAT = Format(
    name="streethazards",
    kind="anomaly",
    label_set="streethazards13",
    encoding=STORED,
    classes=CLASSES,
    splits=("test", "train", "val"),
    published={"test": 1500, "train": 5125, "val": 1031},
    folders=("StreetHazards", "streethazards"),
    hint="streethazards_test.tar and streethazards_train.tar of the CAOS benchmark, unpacked to test/ and train/",
    layouts=(Layout("test/images/test/{town}/{id}.png + test/annotations/test/{town}/{id}.png", _find),),
)
