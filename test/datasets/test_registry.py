"""Splits, exclusions and hidden labels follow the benchmarks; what is wrong on disk is said."""

import pytest

from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.errors import DatasetError


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


def test_two_labels_that_differ_in_their_suffix_only_are_refused(tree):
    tree.image("images/a.jpg")
    tree.label("labels/a.png", 0, 1)
    tree.label("labels/a.tif", 0)
    with pytest.raises(DatasetError, match=r"two label files of one name, .*a\.png and .*a\.tif"):
        open_dataset("folder", tree.root)


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


def test_names_with_digits_that_are_no_decimals_are_names(tree):
    """A superscript two was taken for a number, and the folder for a traceback."""
    for name in ("frame1²2", "frame10", "frame2"):
        tree.image(f"images/{name}.png")
        tree.label(f"labels/{name}.png", 0)
    assert [item.id for item in open_dataset("folder", tree.root).items] == ["frame1²2", "frame2", "frame10"]


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


def test_a_file_in_place_of_a_folder_is_called_one(tree):
    (tree.root / "drive.mcap").write_text("x")
    with pytest.raises(DatasetError, match=r"drive\.mcap is a file; give the folder that holds the data"):
        open_dataset("camvid", tree.root / "drive.mcap")


def test_a_folder_of_splits_wants_one(tree):
    tree.image("train/images/a.png", "val/images/a.png")
    with pytest.raises(DatasetError, match=r"A split has to be given \(--split\), of train, val\."):
        open_dataset("folder", tree.root)


def test_a_split_that_a_folder_does_not_have(tree):
    tree.image("images/a.png")
    tree.label("labels/a.png", 0)
    with pytest.raises(DatasetError, match=r"There is no split foo: without a split all of images/ is meant") as error:
        open_dataset("folder", tree.root, "foo")
    assert "must be equal" not in str(error.value)
    tree.image("images/train/b.png", "val/images/c.png")
    with pytest.raises(DatasetError, match=r"There is no split foo, but train, val\."):
        open_dataset("folder", tree.root, "foo")
    tree.label("labels/train/other.png", 0)
    with pytest.raises(DatasetError, match=r"images/train/ has, e.g., b\.png, labels/train/ has other\.png"):
        open_dataset("folder", tree.root, "train")
    tree.label("val/labels/other.png", 0)
    with pytest.raises(DatasetError, match=r"val/images/ has, e.g., c\.png, val/labels/ has other\.png"):
        open_dataset("folder", tree.root, "val")


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


def test_a_named_label_set_also_reads_train_id_folders(tree):
    tree.image("images/a.jpg")
    tree.label("labelTrainIds/a.png", 0, 18, 255)
    dataset = open_dataset("folder", tree.root, labels="cityscapes19")
    assert (dataset.kind, dataset.label_set) == ("semantic", "cityscapes19")
    assert dataset.load(dataset.items[0])[1].ravel()[:3].tolist() == [0, 18, 255]


def test_only_frames_whose_name_fits(tree):
    for name in ("7d_1", "7d_2", "00_1"):
        tree.image(f"images/{name}.jpg")
        tree.label(f"labelTrainIds/{name}.png", 3)
    dataset = open_dataset("bdd", tree.root)
    some = dataset.only("7d*")
    assert [item.id for item in some.items] == ["7d_1", "7d_2"]
    assert "only the 2 of 3 frames" in some.notes[-1]
    with pytest.raises(DatasetError, match=r"no frame fits 'x\*'.*e.g., 00_1"):
        dataset.only("x*")


def test_pictures_in_folders_of_any_depth_are_frames(tree):
    for name in ("a", "day/b", "day/one/c"):
        tree.image(f"images/{name}.jpg")
        tree.label(f"labels/{name}.png", 0)
    tree.image("images/day/d.jpg", "images/.trash/e.jpg")
    dataset = open_dataset("folder", tree.root)
    assert [item.id for item in dataset.items] == ["a", "day/b", "day/d", "day/one/c"]
    assert [item.id for item in dataset.items if item.label_path is None] == ["day/d"]


def test_names_that_look_equal_are_equal(tree):
    """A Mac stores é as e and an accent."""
    tree.image("images/caf\u00e9.jpg")
    tree.label("labels/cafe\u0301.png", 0)
    assert len(open_dataset("folder", tree.root).scored) == 1


def test_label_files_that_are_no_pictures_are_named(tree):
    tree.image("images/a.jpg")
    (tree.root / "labels").mkdir()
    (tree.root / "labels/a.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"labels/ holds no pictures but \.json files"):
        open_dataset("folder", tree.root)
    (tree.root / "labels/a.json").unlink()
    tree.label("labels/b/a.png", 0)
    with pytest.raises(DatasetError, match=r"images/ has, e\.g\., a\.jpg, labels/ has b/a\.png"):
        open_dataset("folder", tree.root)
