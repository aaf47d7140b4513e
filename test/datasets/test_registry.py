"""Every published layout is recognized, its values mean what they should, hidden labels are not invented."""

import numpy as np
import pytest

from oodseg_ros.datasets.registry import FORMATS, open_dataset
from oodseg_ros.errors import DatasetError
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


def test_smiyc_test_frames_are_known_to_have_no_truth(tree):
    tree.image("images/validation0000.jpg", "images/validation0001.jpg", "images/test_1.jpg", "images/test_2.jpg")
    tree.label("labels_masks/validation0000_labels_semantic.png", 0, 1)
    tree.label("labels_masks/validation0001_labels_semantic.png", 0, 1)
    tree.label("labels_masks/validation0001_labels_semantic_color.png", 0, 7)
    assert [item.id for item in open_dataset("road_anomaly_21", tree.root).items] == [
        "validation0000",
        "validation0001",
    ]
    test = open_dataset("road_anomaly_21", tree.root, "test")
    assert [item.id for item in test.items] == ["test_1", "test_2"]
    assert not test.scored
    assert test.load(test.items[0])[1] is None
    assert "never scored" in test.notes[0]
    whole = open_dataset("road_anomaly_21", tree.root, "all")
    assert (len(whole), len(whole.scored)) == (4, 2)


def test_obstacle_track_splits_and_exclusions(tree):
    names = [f"validation_{k}" for k in (1, 2, 19, 20, 21, 29, 30)] + ["validation_19_b"]
    names += ["driveway_1", "snowstorm1_00_16_02.578", "curvy-street_1", "darkasphalt2_dog_1"]
    for name in names:
        tree.image(f"images/{name}.webp")
        if name.startswith("validation"):
            tree.label(f"labels_masks/{name}_labels_semantic.png", 0, 1, 255)
    found = {
        split: [item.id for item in open_dataset("road_obstacle_21", tree.root, split).items]
        for split in ("val", "test", "night", "snowstorm")
    }
    assert found == {
        "val": ["validation_1", "validation_2", "validation_20", "validation_30"],
        "test": ["curvy-street_1", "darkasphalt2_dog_1"],
        "night": ["driveway_1"],
        "snowstorm": ["snowstorm1_00_16_02.578"],
    }
    assert "4 frames excluded" in open_dataset("road_obstacle_21", tree.root).notes[0]


def test_lost_and_found_leaves_known_objects_out(tree):
    names = [
        "15_Rechbergstr_Deckenpfronn_000000_000020",
        "01_Hanns_Klemm_Str_45_000006_000020",
        "01_Hanns_Klemm_Str_45_000005_000020",
        "10_Schlossberg_9_000004_000030",
    ]
    for name in names:
        scene = name[:-14]
        tree.image(f"leftImg8bit/test/{scene}/{name}_leftImg8bit.png")
        tree.label(f"gtCoarse/test/{scene}/{name}_gtCoarse_labelIds.png", 1, 2)
    dataset = open_dataset("lost_and_found", tree.root)
    assert [item.id for item in dataset.items] == ["01_Hanns_Klemm_Str_45/01_Hanns_Klemm_Str_45_000005_000020"]
    assert any("3 frames with known objects" in note for note in dataset.notes)


def test_lost_and_found_drops_empty_labels_of_the_whole_test_set(tree):
    for index in range(1203):
        image = tree.root / f"leftImg8bit/test/02_X/02_X_000000_{index:06d}_leftImg8bit.png"
        label = tree.root / f"gtCoarse/test/02_X/02_X_000000_{index:06d}_gtCoarse_labelIds.png"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()  # only listed, never read
    dataset = open_dataset("lost_and_found", tree.root)
    kept = {int(item.id[-6:]) for item in dataset.items}
    assert len(kept) == 1186
    assert kept.isdisjoint({17, 37, 353, 793})


def test_cityscapes_dummy_test_labels_are_not_used(tree):
    tree.image("leftImg8bit/test/berlin/b_1_leftImg8bit.png")
    tree.label("gtFine/test/berlin/b_1_gtFine_labelIds.png", 3)
    dataset = open_dataset("cityscapes", tree.root, "test")
    assert len(dataset) == 1
    assert not dataset.scored


def test_frames_without_labels_are_kept_but_not_scored(tree):
    tree.image("images/a.jpg", "images/b.jpg")
    tree.label("labels/a.png", 0, 1)
    dataset = open_dataset("folder", tree.root)
    assert [item.id for item in dataset.items] == ["a", "b"]
    assert [item.id for item in dataset.scored] == ["a"]
    assert "1 frames have no label file" in dataset.notes[0]


def test_order_is_natural_and_splits_join(tree):
    for split, names in (("train", ("10", "9")), ("val", ("1",)), ("test", ("2",))):
        for name in names:
            tree.image(f"{split}/images/{name}.png")
            tree.label(f"{split}/labels/{name}.png", 0)
    dataset = open_dataset("camvid", tree.root, "all")
    assert [item.id for item in dataset.items] == ["test/2", "train/9", "train/10", "val/1"]


def test_road_anomaly_frame_list_is_honored(tree):
    for name in ("a", "b"):
        tree.image(f"frames/{name}.jpg")
        tree.label(f"frames/{name}.labels/labels_semantic.png", 0, 2)
    (tree.root / "frame_list.json").write_text('["b.jpg"]')
    assert [item.id for item in open_dataset("road_anomaly", tree.root).items] == ["b"]
    (tree.root / "frame_list.json").write_text('["b.jpg", "missing.jpg"]')
    with pytest.raises(DatasetError, match="missing"):
        open_dataset("road_anomaly", tree.root)
    (tree.root / "frame_list.json").write_text("{not json")
    with pytest.raises(DatasetError, match="no JSON"):
        open_dataset("road_anomaly", tree.root)


def test_class_ids_of_a_label_set(tree):
    tree.image("images/a.jpg")
    tree.label("labels/a.png", 0, 10, 255)
    dataset = open_dataset("folder", tree.root, labels="driving11")
    assert (dataset.kind, dataset.label_set) == ("semantic", "driving11")
    assert dataset.load(dataset.items[0])[1].max() == 255
    tree.label("labels/a.png", 0, 11)
    with pytest.raises(DatasetError, match="unexpected values 11"):
        dataset.load(dataset.items[0])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (("nonsense",), "known: road_anomaly"),
        (("camvid", "nowhere"), "no split 'nowhere'"),
        (("camvid",), "Looked for: test/images"),
        (("lost_and_found",), "Found there: notes.txt"),
    ],
)
def test_what_is_wrong_is_said(tree, call, text):
    (tree.root / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match=text):
        open_dataset(call[0], tree.root, *call[1:])


def test_missing_folder_and_doubles(tree):
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset("camvid", tree.root / "no")
    tree.image("images/a.jpg", "images/a.png")
    tree.label("labels/a.png", 0)
    with pytest.raises(DatasetError, match="there twice"):
        open_dataset("folder", tree.root)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "place", "frames"),
    [
        ("camvid", "camvid", 233),
        ("cityscapes", "cityscapes", 8),
        ("bdd", "bdd", 24),
        ("folder", "bdd", 24),
        ("folder", "ood/FS_Static_val", 30),
        ("fishyscapes_static", "ood/FS_Static_val", 30),
        ("fishyscapes_laf", "ood/FS_LostFound_val", 100),
    ],
)
def test_real_sets_open(shared_data, name, place, frames):
    dataset = open_dataset(name, shared_data / place)
    assert len(dataset.scored) == frames
    image, labels = dataset.load(dataset.items[-1])
    assert image.shape[:2] == labels.shape
