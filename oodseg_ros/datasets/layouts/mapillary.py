"""Mapillary Vistas v1.2: 18000 / 2000 / 5000 frames, 66 classes, mapped here to the 19 of Cityscapes.

Classes that Cityscapes does not train on (parking, guard rail, bridge, animals, trash cans, …) become 255.
"""

from __future__ import annotations

from ..encoding import Encoding
from ..layout import Format, Layout, folders

_TO_TRAIN_IDS = {
    0: (8, 13, 14, 23, 24, 41, 43),  # road: with crosswalks, service lanes, markings, manholes, potholes
    1: (2, 9, 11, 15),  # sidewalk: with curbs and pedestrian areas
    2: (17,),
    3: (6,),
    4: (3,),
    5: (45, 47),
    6: (48,),
    7: (49, 50),
    8: (30,),
    9: (29,),
    10: (27,),
    11: (19,),
    12: (20, 21, 22),
    13: (55,),
    14: (61,),
    15: (54,),
    16: (58,),
    17: (57,),
    18: (52,),
}
CLASS_IDS = Encoding(
    "Mapillary Vistas v1.2 class ids 0..65",
    {
        **{value: 255 for value in (*range(66), 255)},
        **{value: train for train, values in _TO_TRAIN_IDS.items() for value in values},
    },
)
_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}


def _find(labels: str):
    def find(root, split):
        name = _FOLDERS[split]
        return folders(f"{name}/images", labels.format(name=name), needs_labels=split != "test")(root, split)

    return find


FORMAT = Format(
    name="mapillary",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CLASS_IDS,
    splits=("val", "train", "test"),
    published={"train": 18000, "val": 2000, "test": 5000},
    hidden=("test",),
    folders=("mapillary", "mapillary-vistas", "mapillary-vistas-dataset_public_v1.2"),
    hint="Mapillary Vistas v1.2 (or v2.0, whose archive still holds the v1.2 labels)",
    layouts=(
        Layout("{training,validation}/images/{id}.jpg + …/labels/{id}.png", _find("{name}/labels")),
        Layout("{training,validation}/images/{id}.jpg + …/v1.2/labels/{id}.png", _find("{name}/v1.2/labels")),
    ),
)
