"""Simulated or edited scenes with unknown objects.

StreetHazards (CAOS benchmark): synthetic streets, 1280x720. Files hold class + 1; class 13 is the anomaly.

Its protocol averages over images and skips those without an anomaly, unlike the pooled figures of other sets.

ACDC-POC (de Jorge et al. 2024): 200 ACDC frames in fog, rain, snow and night with inpainted objects.

Labels are Cityscapes label ids; the inserted objects have ids 100 to 124, id 0 is ignored.

MUAD challenge test_OOD (Franchi et al. 2022): 240 synthetic frames; train ids, 19 and 20 are the unknowns.

Ids 21 to 254 count as normal for the anomaly figures, as in the published evaluations, and are ignored for mIoU.
"""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import CITYSCAPES_IDS, Encoding
from ..layout import Format, Layout, folders, pair

STREETHAZARDS_ANOMALY_CLASS = 13
STREETHAZARDS_STORED = Encoding(
    "class + 1: 1 unlabeled, 2..13 known classes, 14 anomaly (0 = none)",
    {0: 255, **{value: int(value - 1 == STREETHAZARDS_ANOMALY_CLASS) for value in range(1, 15)}},
)
STREETHAZARDS_CLASSES = Encoding(
    "class + 1: 1..13 known classes, 14 anomaly (0 = none)",
    {0: 255, **{value: value - 1 if value - 1 < STREETHAZARDS_ANOMALY_CLASS else 255 for value in range(1, 15)}},
)

_STREETHAZARDS_PATTERNS = {
    "test": ("test/images/test", "test/annotations/test"),
    "train": ("train/images/training", "train/annotations/training"),
    "val": ("train/images/validation", "train/annotations/validation"),
}


def _find_streethazards(root, split):
    """The published tree; the part below it is one folder per town."""
    images, labels = _STREETHAZARDS_PATTERNS[split]
    return folders(images, labels, pattern="*/*")(root, split)


STREETHAZARDS = Format(
    name="streethazards",
    label_set="streethazards13",
    encoding=STREETHAZARDS_STORED,
    classes=STREETHAZARDS_CLASSES,
    splits=("test", "train", "val"),
    published={"test": 1500, "train": 5125, "val": 1031},
    folders=("StreetHazards", "streethazards"),
    hint="streethazards_test.tar and streethazards_train.tar of the CAOS benchmark, unpacked to test/ and train/",
    layouts=(Layout("test/images/test/{town}/{id}.png + test/annotations/test/{town}/{id}.png", _find_streethazards),),
)


ACDC_POC_WEATHER = ("fog", "rain", "snow", "night")
ACDC_POC_LABEL_IDS = Encoding(
    "Cityscapes label ids 0..33 (0 ignored) and 100..124 for inserted objects",
    {0: 255, **{v: 0 for v in range(1, 34)}, **{v: 1 for v in range(100, 125)}, 255: 255},
)
ACDC_POC_CLASSES = Encoding(
    ACDC_POC_LABEL_IDS.what, {**{v: 255 for v in ACDC_POC_LABEL_IDS.meaning}, **CITYSCAPES_IDS.meaning}
)


def _find_acdc_poc(images: str, labels: str):
    def find(root: Path, split: str) -> list[Item]:
        items = []
        for weather in ACDC_POC_WEATHER if split == "val" else (split,):
            found = pair(
                root / images / weather / "val",
                root / labels / weather / "val",
                "*/*",
                ("_rgb_anon", ""),
                ("_gt_labelIds", "_rgb_anon", ""),
            )
            items += [Item(f"{weather}/{item.id}", item.image_path, item.label_path) for item in found]
        return items

    return find


ACDC_POC = Format(
    name="acdc_poc",
    label_set="cityscapes19",
    encoding=ACDC_POC_LABEL_IDS,
    classes=ACDC_POC_CLASSES,
    splits=("val", *ACDC_POC_WEATHER),
    published={"val": 200},
    folders=("acdc_poc", "acdc_ood", "ACDC_POC"),
    hint="the .npz differences of the POC authors, applied to ACDC (registration needed)",
    layouts=(
        Layout(
            "rgb_anon_trainvaltest/rgb_anon/{fog,rain,snow,night}/val/{seq}/{id}.png + gt_trainval/gt/…/{id}.png",
            _find_acdc_poc("rgb_anon_trainvaltest/rgb_anon", "gt_trainval/gt"),
        ),
        Layout("rgb_anon/{fog,rain,snow,night}/val/{seq}/{id}.png + gt/…/{id}.png", _find_acdc_poc("rgb_anon", "gt")),
    ),
)


MUAD_LABEL_IDS = Encoding(
    "train ids 0..18 known, 19 and 20 unknown, 21..254 other normal, 255 ignore",
    {**{v: 0 for v in range(255)}, 19: 1, 20: 1, 255: 255},
)
MUAD_CLASSES = Encoding(MUAD_LABEL_IDS.what, {v: v if v < 19 else 255 for v in range(256)})

MUAD = Format(
    name="muad",
    label_set="cityscapes19",
    encoding=MUAD_LABEL_IDS,
    classes=MUAD_CLASSES,
    splits=("test_OOD",),
    published={"test_OOD": 240},
    folders=("test_OOD", "test_sets/test_OOD", "MUAD_challenge/test_sets/test_OOD"),
    hint="the test sets of the MUAD uncertainty challenge",
    layouts=(
        Layout(
            "test_OOD/leftImg8bit/{id}.png + test_OOD/leftLabel/{id}.png",
            folders(
                "leftImg8bit",
                "leftLabel",
                image_endings=("_leftImg8bit", ""),
                label_endings=("_leftLabel", "_leftImg8bit", ""),
            ),
        ),
    ),
)


FORMATS = (STREETHAZARDS, ACDC_POC, MUAD)
