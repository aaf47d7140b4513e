"""ACDC-POC (de Jorge et al. 2024): 200 ACDC frames in fog, rain, snow and night with inpainted objects.

Labels are Cityscapes label ids; the inserted objects have ids 100 to 124, id 0 is ignored.
"""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import CITYSCAPES_IDS, Encoding
from ..layout import Format, Layout, pair

WEATHER = ("fog", "rain", "snow", "night")
LABEL_IDS = Encoding(
    "Cityscapes label ids 0..33 (0 ignored) and 100..124 for inserted objects",
    {0: 255, **{v: 0 for v in range(1, 34)}, **{v: 1 for v in range(100, 125)}, 255: 255},
)
CLASSES = Encoding(LABEL_IDS.what, {**{v: 255 for v in LABEL_IDS.meaning}, **CITYSCAPES_IDS.meaning})


def _find(images: str, labels: str):
    def find(root: Path, split: str) -> list[Item]:
        items = []
        for weather in WEATHER if split == "val" else (split,):
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


FORMAT = Format(
    name="acdc_poc",
    kind="anomaly",
    label_set="cityscapes19",
    encoding=LABEL_IDS,
    classes=CLASSES,
    splits=("val", *WEATHER),
    published={"val": 200},
    folders=("acdc_poc", "acdc_ood", "ACDC_POC"),
    hint="the .npz differences of the POC authors, applied to ACDC (registration needed)",
    layouts=(
        Layout(
            "rgb_anon_trainvaltest/rgb_anon/{fog,rain,snow,night}/val/{seq}/{id}.png + gt_trainval/gt/…/{id}.png",
            _find("rgb_anon_trainvaltest/rgb_anon", "gt_trainval/gt"),
        ),
        Layout("rgb_anon/{fog,rain,snow,night}/val/{seq}/{id}.png + gt/…/{id}.png", _find("rgb_anon", "gt")),
    ),
)
