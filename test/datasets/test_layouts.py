"""Every published layout is recognized and its label values mean what they should."""

import numpy as np
import pytest

from oodseg_ros.datasets.registry import FORMATS, open_dataset
from oodseg_ros.labels import load_labels

LAF = "01_Hanns_Klemm_Str_45_000000_000080"

# name, split, image file, label file, values in it, what they mean
LAYOUTS = [
    ("road_anomaly", None, "frames/a.jpg", "frames/a.labels/labels_semantic.png", (0, 2), (0, 1)),
    (
        "road_anomaly",
        None,
        "RoadAnomaly_jpg/frames/a.jpg",
        "RoadAnomaly_jpg/frames/a.labels/labels_semantic.png",
        (2,),
        (1,),
    ),
    ("road_anomaly", None, "original/a.jpg", "labels/a.png", (0, 1), (0, 1)),
    ("road_anomaly", None, "images/val/a.jpg", "annotations/val/a.labels/labels_semantic.png", (0, 2), (0, 1)),
    (
        "road_anomaly_21",
        None,
        "images/validation0001.jpg",
        "labels_masks/validation0001_labels_semantic.png",
        (0, 1, 255),
        (0, 1, 255),
    ),
    (
        "road_obstacle_21",
        None,
        "dataset_ObstacleTrack/images/validation_1.webp",
        "dataset_ObstacleTrack/labels_masks/validation_1_labels_semantic.png",
        (0, 1, 255),
        (0, 1, 255),
    ),
    (
        "fishyscapes_laf",
        None,
        f"laf_images/{LAF}_leftImg8bit.png",
        f"fishyscapes_lostandfound/0000_{LAF}_labels.png",
        (0, 1, 255),
        (0, 1, 255),
    ),
    ("fishyscapes_laf", None, "LostAndFound/original/7.png", "LostAndFound/labels/7.png", (0, 1), (0, 1)),
    (
        "fishyscapes_laf",
        None,
        f"images/val/{LAF}_leftImg8bit.png",
        f"annotations/val/{LAF}_labels.png",
        (0, 255),
        (0, 255),
    ),
    (
        "fishyscapes_laf",
        None,
        f"dataset_LostAndFound/leftImg8bit/test/01_Hanns_Klemm_Str_45/{LAF}_leftImg8bit.png",
        f"dataset_FishyLAF/labels/val/{LAF}_fishy-labels.png",
        (1,),
        (1,),
    ),
    ("fishyscapes_laf", None, "images/7.jpg", "labels/7.png", (0, 1), (0, 1)),
    (
        "fishyscapes_static",
        None,
        "fs_static_images_v2/3_frankfurt_rgb.png",
        "fs_val_v2/3_frankfurt_labels.png",
        (0, 1, 255),
        (0, 1, 255),
    ),
    ("fishyscapes_static", None, "3_frankfurt_rgb.png", "3_frankfurt_labels.png", (0, 1), (0, 1)),
    ("fishyscapes_static", None, "Static/original/0.png", "Static/labels/0.png", (0, 1), (0, 1)),
    ("fishyscapes_static", None, "images/0.jpg", "labels/0.png", (0, 1), (0, 1)),
    (
        "lost_and_found",
        None,
        f"leftImg8bit/test/01_Hanns_Klemm_Str_45/{LAF}_leftImg8bit.png",
        f"gtCoarse/test/01_Hanns_Klemm_Str_45/{LAF}_gtCoarse_labelIds.png",
        (0, 1, 2, 43),
        (255, 0, 1, 1),
    ),
    (
        "lost_and_found",
        "train",
        f"leftImg8bit/train/01_Hanns_Klemm_Str_45/{LAF}_leftImg8bit.png",
        f"gtCoarse/train/01_Hanns_Klemm_Str_45/{LAF}_gtCoarse_labelTrainIds.png",
        (0, 1, 2),
        (255, 0, 1),
    ),
    (
        "streethazards",
        None,
        "test/images/test/t5/300.png",
        "test/annotations/test/t5/300.png",
        (0, 1, 13, 14),
        (255, 0, 0, 1),
    ),
    (
        "streethazards",
        "val",
        "train/images/validation/t1/1.png",
        "train/annotations/validation/t1/1.png",
        (1, 9),
        (0, 0),
    ),
    (
        "acdc_poc",
        None,
        "rgb_anon_trainvaltest/rgb_anon/fog/val/GP1/x_1.png",
        "gt_trainval/gt/fog/val/GP1/x_1.png",
        (0, 7, 33, 100, 124),
        (255, 0, 0, 1, 1),
    ),
    (
        "acdc_poc",
        "night",
        "acdc_poc/rgb_anon/night/val/GP1/x_1_rgb_anon.png",
        "acdc_poc/gt/night/val/GP1/x_1_gt_labelIds.png",
        (7, 101),
        (0, 1),
    ),
    (
        "muad",
        None,
        "test_sets/test_OOD/leftImg8bit/1.png",
        "test_sets/test_OOD/leftLabel/1.png",
        (0, 18, 19, 20, 21, 255),
        (0, 0, 1, 1, 0, 255),
    ),
    ("muad", None, "leftImg8bit/1_leftImg8bit.png", "leftLabel/1_leftLabel.png", (19,), (1,)),
    (
        "cityscapes",
        None,
        "leftImg8bit/val/ulm/u_1_leftImg8bit.png",
        "gtFine/val/ulm/u_1_gtFine_labelTrainIds.png",
        (0, 18, 255),
        (0, 18, 255),
    ),
    (
        "cityscapes",
        "train",
        "leftImg8bit/train/ulm/u_1_leftImg8bit.png",
        "gtFine/train/ulm/u_1_gtFine_labelIds.png",
        (7, 33, 4, 0),
        (0, 18, 255, 255),
    ),
    (
        "cityscapes",
        None,
        "images/city_gt_fine/val/u_1_leftImg8bit.png",
        "annotation/city_gt_fine/val/u_1_gtFine.png",
        (13,),
        (13,),
    ),
    ("cityscapes", None, "images/u_1.jpg", "labelTrainIds/u_1.png", (0, 255), (0, 255)),
    ("idd_lite", None, "val/images/0_1.jpg", "val/trainIds/0_1.png", (0, 18, 255), (0, 18, 255)),
    ("idd_lite", "train", "idd20k_lite/train/images/0_1.jpg", "idd20k_lite/train/trainIds/0_1.png", (0, 18), (0, 18)),
    (
        "idd_lite_7",
        None,
        "idd20k_lite/leftImg8bit/val/119/903127_image.jpg",
        "idd20k_lite/gtFine/val/119/903127_label.png",
        (0, 6, 255),
        (0, 6, 255),
    ),
    ("idd_lite_7", None, "val/images/119_903127.jpg", "val/labels7/119_903127.png", (0, 6, 255), (0, 6, 255)),
    ("camvid", None, "test/images/0001TP.png", "test/labels/0001TP.png", (0, 10, 11), (0, 10, 255)),
    ("camvid", "train", "CamVid/train/0001TP.png", "CamVid/trainannot/0001TP.png", (0, 11), (0, 255)),
    ("bdd", None, "bdd100k/images/10k/val/a.jpg", "bdd100k/labels/sem_seg/masks/val/a.png", (0, 18, 255), (0, 18, 255)),
    ("bdd", None, "seg/images/val/a.jpg", "seg/labels/val/a_train_id.png", (2,), (2,)),
    ("kitti", None, "training/image_2/000000_10.png", "training/semantic/000000_10.png", (7, 21, 1), (0, 8, 255)),
    (
        "mapillary",
        None,
        "validation/images/x.jpg",
        "validation/v1.2/labels/x.png",
        (13, 24, 27, 55, 1),
        (0, 0, 10, 13, 255),
    ),
    ("folder", None, "images/x.jpg", "labels/x.png", (0, 1, 255), (0, 1, 255)),
    ("folder", "val", "val/images/x.jpg", "val/labels/x.png", (0, 1), (0, 1)),
    ("folder", None, "images/x.jpg", "labelTrainIds/x.png", (18, 255), (18, 255)),
    ("coco_proxy", None, "train2017/01.jpg", "annotations/ood_seg_train2017/01.png", (0, 254), (0, 1)),
    (
        "generated_pairs",
        None,
        "leftImg8bit/train/ulm/u_1_foggy_day_Nice_bag_0.91_leftImg8bit.png",
        "gtFine/train/ulm/u_1_foggy_day_Nice_bag_0.91_gtFine_labelTrainIds.png",
        (0, 18, 254, 255),
        (0, 18, 255, 255),
    ),
    (
        "generated_pairs",
        None,
        "leftImg8bit/train/a_leftImg8bit.png",
        "gtFine/train/a_gtFine_labelTrainIds.png",
        (3,),
        (3,),
    ),
]


@pytest.mark.parametrize(("name", "split", "image", "label", "values", "meaning"), LAYOUTS)
def test_layout(tree, name, split, image, label, values, meaning):
    tree.image(image)
    tree.label(label, *values)
    dataset = open_dataset(name, tree.root, split)
    assert len(dataset) == len(dataset.scored) == 1
    picture, labels = dataset.load(dataset.items[0])
    assert picture.shape == (4, 6, 3)
    assert labels.dtype == np.uint8
    assert labels.ravel()[: len(meaning)].tolist() == list(meaning)
    if dataset.kind == "anomaly":
        assert set(np.unique(labels)) <= {0, 1, 255}
    else:
        assert len(load_labels(dataset.label_set)) > max((v for v in meaning if v < 255), default=0)


def test_ids_of_instances_beside_the_classes_of_idd_lite_are_not_taken(tree):
    tree.image("leftImg8bit/val/1/7_image.jpg")
    tree.label("gtFine/val/1/7_label.png", 3)
    tree.label("gtFine/val/1/7_inst_label.png", 5)
    (item,) = open_dataset("idd_lite_7", tree.root).items
    assert item.label_path.name == "7_label.png"


def test_every_format_has_a_layout_test():
    assert {row[0] for row in LAYOUTS} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "image", "label", "values", "classes"),
    [
        (
            "streethazards",
            "test/images/test/t5/3.png",
            "test/annotations/test/t5/3.png",
            (0, 1, 13, 14),
            (255, 0, 12, 255),
        ),
        ("acdc_poc", "rgb_anon/fog/val/G/1.png", "gt/fog/val/G/1.png", (0, 7, 33, 100), (255, 0, 18, 255)),
        ("muad", "leftImg8bit/1.png", "leftLabel/1.png", (0, 18, 19, 30), (0, 18, 255, 255)),
    ],
)
def test_classes_beside_anomalies(tree, name, image, label, values, classes):
    tree.image(image)
    tree.label(label, *values)
    dataset = open_dataset(name, tree.root)
    assert dataset.load_classes(dataset.items[0]).ravel()[: len(classes)].tolist() == list(classes)
    assert load_labels(dataset.label_set)
