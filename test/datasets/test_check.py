"""A check tells what is in a dataset and what is wrong with it."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from oodseg_ros.datasets.check import check_dataset
from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.errors import DatasetError
from oodseg_ros.sources.image_files import read_image
from oodseg_ros.sources.open_source import open_source


def test_good_dataset(tree):
    for name in ("a", "b"):
        tree.image(f"images/{name}.jpg")
        tree.label(f"labels/{name}.png", 1, 1, 255, 0)
    tree.image("images/c.jpg", size=(8, 8))
    tree.label("labels/c.png", 255, size=(8, 8))
    steps = []
    report = check_dataset(open_dataset("folder", tree.root), progress=lambda done, total: steps.append((done, total)))
    assert report.ok
    assert (report.frames, report.scored, report.checked) == (3, 3, 3)
    assert report.sizes == {(6, 4): 2, (8, 8): 1}
    assert report.values == {0: 42, 1: 4, 255: 66}
    assert report.shares == {"normal": pytest.approx(42 / 46), "anomaly": pytest.approx(4 / 46)}
    assert report.ignored == pytest.approx(66 / 112)
    assert (report.void, report.without_anomaly) == (1, 1)
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert json.loads(json.dumps(report.to_dict()))["sizes"] == {"6x4": 2, "8x8": 1}


def test_everything_that_can_be_wrong(tree):
    names = ("good", "value", "size", "damaged", "empty", "cut", "unlabeled")
    for name in names:
        tree.image(f"images/{name}.jpg")
        if name != "unlabeled":
            tree.label(f"labels/{name}.png", *((0, 1) if name != "value" else (0, 7, 9)))
    tree.label("labels/size.png", 0, 1, size=(2, 2))
    (tree.root / "images/damaged.jpg").write_bytes(b"no jpeg at all")
    (tree.root / "images/empty.jpg").write_bytes(b"")
    noise = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    encoded = cv2.imencode(".jpg", noise)[1].tobytes()
    (tree.root / "images/cut.jpg").write_bytes(encoded[:-12])
    report = check_dataset(open_dataset("folder", tree.root))
    assert not report.ok
    said = "\n".join(report.problems)
    for text in (
        "value: value.png holds [7, 9], expected 0 normal, 1 anomaly, 255 ignore",
        "size: image 6x4, label 2x2",
        "damaged.jpg cannot be decoded",
        "empty.jpg cannot be decoded",
        "cut.jpg cannot be decoded",
        "1 of 7 frames have no label file",
    ):
        assert text in said
    assert len(report.problems) == 6
    # The frames that are right are still counted.
    assert report.shares == {"normal": pytest.approx(1 / 24), "anomaly": pytest.approx(23 / 24)}


def test_wrong_number_of_frames_and_no_anomaly(tree):
    tree.image("images/validation0000.jpg")
    tree.label("labels_masks/validation0000_labels_semantic.png", 0)
    report = check_dataset(open_dataset("road_anomaly_21", tree.root))
    assert any("1 frames, but 10 are published" in text for text in report.problems)
    assert any("no pixel of any frame is anomalous" in text for text in report.problems)


def test_hidden_test_labels_are_no_problem(tree):
    tree.image("images/validation0000.jpg", *(f"images/t{k}.jpg" for k in range(100)))
    tree.label("labels_masks/validation0000_labels_semantic.png", 0, 1)
    report = check_dataset(open_dataset("road_anomaly_21", tree.root, "test"))
    assert report.ok
    assert (report.frames, report.scored) == (100, 0)
    assert report.shares == {}


def test_semantic_shares_and_limit(tree):
    for name in ("a", "b"):
        tree.image(f"test/images/{name}.png")
        tree.label(f"test/labels/{name}.png", 3)
    report = check_dataset(open_dataset("camvid", tree.root), limit=1)
    assert report.checked == 1
    assert report.shares["road"] == 1.0
    assert report.shares["sky"] == 0.0


@pytest.mark.data
def test_real_lost_and_found(shared_data):
    report = check_dataset(open_dataset("fishyscapes_laf", shared_data / "ood" / "FS_LostFound_val"))
    assert report.ok
    assert report.sizes == {(1024, 512): 100}
    assert set(report.values) == {0, 1, 255}


def test_proxy_masks_without_picture_and_pictures_that_were_dropped(tree):
    """A picture without a mask was dropped on purpose; a mask without its picture is a broken copy."""
    for name in ("1", "2", "3"):
        tree.image(f"train2017/{name}.jpg")
    for name in ("1", "9"):
        tree.label(f"annotations/ood_seg_train2017/{name}.png", 0, 254)
    report = check_dataset(open_dataset("coco_proxy", tree.root))
    assert report.frames == 2
    assert len(report.problems) == 1
    assert "9.jpg cannot be read" in report.problems[0]
    assert report.values == {0: 1, 254: 23}


def test_generated_pictures_without_labels(tree):
    for name in ("a", "b"):
        tree.image(f"leftImg8bit/train/ulm/{name}_leftImg8bit.png")
    tree.label("gtFine/train/ulm/a_gtFine_labelTrainIds.png", 0, 254)
    report = check_dataset(open_dataset("generated_pairs", tree.root))
    assert report.values == {0: 1, 254: 23}
    assert report.problems == ("1 of 2 frames have no label file",)


def write_turned(path, orientation, size=(6, 4)):
    """A picture, black at its upper left as people see it, stored as a held camera stores it."""
    upright = np.full((*size[::-1], 3), 200, np.uint8)
    upright[0, 0] = 0
    stored = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright), 8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=100, subsampling=0, exif=exif)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", [".JPG", ".png"])
def test_every_reader_turns_a_picture_upright(tree, orientation, suffix):
    tree.label("labels/a.png", 0, 1)
    (tree.root / "images").mkdir()
    file = tree.root / f"images/a{suffix}"
    write_turned(file, orientation)
    dataset = open_dataset("folder", tree.root)
    report = check_dataset(dataset)
    assert report.ok, report.problems
    assert any("1 pictures are turned upright" in note for note in report.notes) == (orientation != 1)
    frames = [dataset.load(dataset.items[0])[0], next(iter(open_source(file))).image, read_image(file)]
    frames.append(next(iter(open_source(tree.root / "images"))).image)
    for image in frames:
        assert image.shape == (4, 6, 3)
        assert image[0, 0].max() < 100 < image[2:, 2:].min()


def test_a_label_on_the_stored_picture_is_told(tree):
    (tree.root / "images").mkdir()
    write_turned(tree.root / "images/a.jpg", 6)
    tree.label("labels/a.png", 0, 1, size=(6, 4))
    dataset = open_dataset("folder", tree.root)
    assert "turned upright by its EXIF orientation, label 4x6" in check_dataset(dataset).problems[0]
    with pytest.raises(DatasetError, match="EXIF"):
        dataset.load(dataset.items[0])


def test_two_encodings_in_one_folder_are_a_problem(tree):
    for name, values in {"a": (0, 1), "b": (0, 255), "c": (0, 255)}.items():
        tree.image(f"images/{name}.jpg")
        tree.label(f"labels/{name}.png", *values)
    (problem,) = check_dataset(open_dataset("folder", tree.root)).problems
    assert "1 label files hold 1 and no 255, 2 hold 255 and no 1" in problem
    tree.label("labels/b.png", 0, 1, 255)
    assert check_dataset(open_dataset("folder", tree.root)).ok, "0 and 255 alone is a frame without anomaly"


@pytest.mark.parametrize("where", ["nowhere", "images/more"])
def test_a_label_without_its_picture_is_told(tree, where):
    for name in "ab":
        tree.image(f"images/{name}.png")
        tree.label(f"labels/{name}.png", 1, 0)
    gone = tree.root / "images" / "a.png"
    if where == "nowhere":
        gone.unlink()
    else:
        (tree.root / where).mkdir()
        gone.rename(tree.root / where / "a.png")
    dataset = open_dataset("folder", tree.root)
    assert [item.id for item in dataset.scored] == ["b"]
    assert len(dataset) == (1 if where == "nowhere" else 2)
    assert any("1 label files have no picture" in note and "a.png" in note for note in dataset.notes)


def own(tree, *values):
    """Six pictures whose masks hold `values`."""
    for name in "abcdef":
        tree.image(f"images/{name}.jpg")
        tree.label(f"labels/{name}.png", *values)
    return tree.root


def test_class_ids_taken_for_anomalies_are_one_problem_with_its_cure(tree):
    (said,) = check_dataset(open_dataset("folder", own(tree, 0, 3, 5))).problems
    assert said.startswith("6 label files hold other values than expected, [3, 5] in all; e.g. a: a.png holds [3, 5]")
    assert "name their label set: --labels" in said
    dataset = open_dataset("folder", tree.root)
    with pytest.raises(DatasetError, match="--labels NAME_OR_FILE"):
        dataset.load(dataset.items[0])


def test_a_value_that_marks_unknown_objects_is_named(tree):
    root = own(tree, 0, 3, 254, 255)
    (said,) = check_dataset(open_dataset("folder", root, labels="driving11")).problems
    assert "--unknown" in said
    dataset = open_dataset("folder", root, labels="driving11", unknown=254)
    report = check_dataset(dataset)
    assert report.ok
    assert report.shares["anomaly"] == pytest.approx(1 / 3)
    label, classes = dataset.load(dataset.items[0])[1], dataset.load_classes(dataset.items[0])
    assert sorted(np.unique(label).tolist()) == [0, 1, 255]
    assert (label == 1).sum() == (classes == 0).sum()
    assert sorted(np.unique(classes).tolist()) == [0, 3, 255]
    for wrong in ({"labels": "driving11", "unknown": 3}, {"unknown": 254}):
        with pytest.raises(DatasetError, match="unknown"):
            open_dataset("folder", root, **wrong)


def test_a_folder_without_one_class_is_a_problem(tree):
    tree.image("images/a.jpg")
    tree.label("labels/a.png", 255)
    report = check_dataset(open_dataset("folder", tree.root, labels="driving11"))
    assert report.problems == ("no pixel of any frame has a class: all labels are 255, which is not counted",)


def test_palettes_that_number_the_colors_of_every_file_anew_are_a_problem(tree):
    """As Pillow's `quantize` and PNG optimizers save colored labels: the rarest color of each file is its 0."""
    colors = {0: (200, 10, 10), 1: (10, 200, 10), 2: (10, 10, 200)}
    for name, present in (("a", (0, 1, 2)), ("b", (1, 2))):
        tree.image(f"images/{name}.jpg")
        (tree.root / "labels").mkdir(exist_ok=True)
        drawn = np.array(
            [[colors[present[min(x // 2, len(present) - 1)]] for x in range(6)] for _ in range(4)], np.uint8
        )
        Image.fromarray(drawn).quantize(3).save(tree.root / f"labels/{name}.png")
    report = check_dataset(open_dataset("folder", tree.root, labels="driving11"))
    assert len(report.problems) == 1
    assert "number colors, not classes" in report.problems[0]


def test_twelve_bits_in_a_file_of_sixteen_are_told(tree):
    tree.image("images/a.jpg")
    tree.label("labels/a.png", 0, 1)
    (tree.root / "images/a.jpg").unlink()
    cv2.imwrite(str(tree.root / "images/a.png"), np.full((4, 6, 3), 4000, np.uint16))
    report = check_dataset(open_dataset("folder", tree.root))
    assert report.ok
    assert any("1 pictures are nearly black, e.g. a" in note for note in report.notes)
