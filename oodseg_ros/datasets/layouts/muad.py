"""MUAD challenge test_OOD (Franchi et al. 2022): 240 synthetic frames; train ids, 19 and 20 are the unknowns.

Ids 21 to 254 count as normal for the anomaly figures, as in the published evaluations, and are ignored for mIoU.
"""

from __future__ import annotations

from ..encoding import Encoding
from ..layout import Format, Layout, folders

LABEL_IDS = Encoding(
    "train ids 0..18 known, 19 and 20 unknown, 21..254 other normal, 255 ignore",
    {**{v: 0 for v in range(255)}, 19: 1, 20: 1, 255: 255},
)
CLASSES = Encoding(LABEL_IDS.what, {v: v if v < 19 else 255 for v in range(256)})

FORMAT = Format(
    name="muad",
    kind="anomaly",
    label_set="cityscapes19",
    encoding=LABEL_IDS,
    classes=CLASSES,
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
