"""The fleet's loop, first half: objects out of drives, COCO that COCO's own code reads, and back into training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app
from oodseg_ros.collecting.collect import _mask_of, source_names
from oodseg_ros.collecting.export import outlines
from oodseg_ros.collecting.features import ObjectFeatures, square_around
from oodseg_ros.errors import ConfigError, DatasetError
from oodseg_ros.frame import Alert, AlertState, Obstacle, Prediction
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import Calibration
from oodseg_ros.object_rule import Objects
from oodseg_ros.outliers.reviewed import instances_file, open_reviewed, unknown_objects
from oodseg_ros.pipeline.camera import Judgement
from oodseg_ros.pipeline.obstacles.objects import find_objects
from oodseg_ros.scenes import drive
from oodseg_ros.sources.image_files import read_image
from oodseg_ros.training.data_recipe import CutoutSpec, DataSpec
from oodseg_ros.training.frames import load_frames, reviewed_notes
from oodseg_ros.training.object_sources import open_objects


def run(*words: object):
    arguments = [str(word) for word in words]
    return CliRunner(env={"COLUMNS": "200"}).invoke(build_app(arguments), arguments)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects of a procedural drive with the shipped bundle, from a video."""
    folder = tmp_path_factory.mktemp("collected")
    frames = [scene.image for scene in drive(5, 6)]
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(folder / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (width, height))
    for frame in frames:
        video.write(frame[..., ::-1])
    video.release()
    done = run("collect", "road_lite", folder / "drive.avi", "--out", folder / "out", "--threshold", "1")
    assert done.exit_code == 0, done.output
    return folder / "out"


def test_coco_reads_it_and_every_mask_is_where_it_was_found(collected: Path) -> None:
    coco = COCO(str(collected / "annotations" / "instances.json"))
    assert coco.getImgIds()
    names = {entry["name"] for entry in coco.loadCats(coco.getCatIds())}
    assert {"unknown", "negative", "ignored", "road", "vehicle"} <= names
    for entry in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(entry).astype(bool)
        x, y, width, height = entry["bbox"]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1) == (x, y, width, height)
        assert mask.sum() == entry["area"]
        picture = coco.loadImgs(entry["image_id"])[0]
        image = read_image(collected / "images" / picture["file_name"])
        assert image.shape[:2] == mask.shape == (picture["height"], picture["width"])
        assert entry["attributes"]["track"].startswith("drive.avi/")
        assert picture["source"] == "drive.avi"
        assert "source_file" not in picture  # its time tells where it is


def instances(folder: Path) -> dict:
    return json.loads((folder / "annotations" / "instances.json").read_text())


def test_collected_again_pictures_and_objects_have_the_ids_that_they_had(collected: Path, tmp_path: Path) -> None:
    """So that what was corrected in one collection can be merged with another one."""
    words = ("collect", "road_lite", collected.parent / "drive.avi", "--threshold", "1", "--similar", "1")
    assert run(*words, "--out", tmp_path / "more", "--per-track", "100").exit_code == 0
    before, after = instances(collected), instances(tmp_path / "more")
    assert len(after["images"]) > len(before["images"])
    for part, what in (("images", ("file_name", "stamp_ns")), ("annotations", ("image_id", "bbox"))):
        now = {entry["id"]: [entry[key] for key in what] for entry in after[part]}
        assert len(now) == len(after[part])
        assert all(now[entry["id"]] == [entry[key] for key in what] for entry in before[part])
    assert all(0 < entry["id"] < 2**31 for entry in after["annotations"] + after["images"])


def test_drives_of_one_name_in_two_folders_are_two_drives(collected: Path, tmp_path: Path) -> None:
    """The bags of `oodseg replay` are all called bag."""
    names = source_names([Path("a/x/bag"), Path("b/x/bag"), Path("c")])
    assert list(names.values()) == ["a/x/bag", "b/x/bag", "c"]
    drives = [tmp_path / day / "drive.avi" for day in ("monday", "tuesday")]
    for copy in drives:
        copy.parent.mkdir()
        copy.write_bytes((collected.parent / "drive.avi").read_bytes())
    (tmp_path / "link.avi").symlink_to(drives[0])
    words = ("--threshold", "1", "--similar", "1", "--limit", "3")
    assert run("collect", "road_lite", *drives, tmp_path / "link.avi", "--out", tmp_path / "out", *words).exit_code == 0
    found = instances(tmp_path / "out")
    sources = [picture["source"] for picture in found["images"]]
    assert set(sources) == {"monday/drive.avi", "tuesday/drive.avi"}  # and the link counts once
    assert sources.count("monday/drive.avi") == sources.count("tuesday/drive.avi")
    assert len({picture["file_name"] for picture in found["images"]}) == len(list((tmp_path / "out/images").iterdir()))
    assert len({entry["attributes"]["track"].split("/")[0] for entry in found["annotations"]}) == 2


def test_a_camera_height_gives_objects_a_distance_and_a_place(collected: Path, tmp_path: Path) -> None:
    words = ("collect", "road_lite", collected.parent / "drive.avi", "--threshold", "1", "--limit", "3")
    where = ("--camera-height", "1.59", "--camera-pitch", "1.47", "--fov", "48.7")
    done = run(*words, *where, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    placed = [one["attributes"] for one in instances(tmp_path / "out")["annotations"] if "range_m" in one["attributes"]]
    assert placed
    assert all(one["range_m"] <= np.hypot(*one["position_m"][:2]) + 0.01 for one in placed)
    refused = run(*words, "--camera-height", "-1", "--out", tmp_path / "no")
    assert isinstance(refused.exception, ConfigError)


def test_near_repeats_are_left_out_and_counted(collected: Path, tmp_path: Path) -> None:
    data = json.loads((collected / "annotations" / "instances.json").read_text())
    kept = [entry["attributes"] for entry in data["annotations"] if entry["attributes"]["kept"]]
    everything = run(
        "collect",
        "road_lite",
        collected.parent / "drive.avi",
        "--out",
        tmp_path / "all",
        "--similar",
        "1",
        "--threshold",
        "1",
        "--per-track",
        "100",
    )
    assert everything.exit_code == 0, everything.output
    whole = json.loads((tmp_path / "all" / "annotations" / "instances.json").read_text())
    found = [entry for entry in whole["annotations"] if entry["attributes"]["kept"]]
    assert 0 < len(kept) < len(found)
    assert sum(entry["near_repeats"] for entry in kept) > 0


def test_the_page_shows_each_kept_object_and_loads_nothing(collected: Path) -> None:
    data = json.loads((collected / "annotations" / "instances.json").read_text())
    page = (collected / "index.html").read_text()
    assert page.count("<figure>") == 2 * sum(entry["attributes"]["kept"] for entry in data["annotations"])
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_corrected_collection_is_not_written_over(collected: Path) -> None:
    again = run("collect", "road_lite", collected.parent / "drive.avi", "--out", collected)
    assert isinstance(again.exception, ConfigError)
    assert "perhaps a corrected one" in str(again.exception)


def corrected(collected: Path, folder: Path, **changes: str) -> Path:
    """A copy in which the i-th annotation has category `changes['a<i>']`, as an annotator leaves it."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").symlink_to(collected / "images")
    data = json.loads((collected / "annotations" / "instances.json").read_text())
    ids = {entry["name"]: entry["id"] for entry in data["categories"]}
    for name in set(changes.values()) - set(ids):
        ids[name] = max(ids.values()) + 1
        data["categories"].append({"id": ids[name], "name": name})
    for number, entry in enumerate(data["annotations"], 1):
        entry["category_id"] = ids[changes.get(f"a{number}", "unknown")]
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(data))
    return folder


def test_what_became_known_is_a_class_or_a_negative_and_the_rest_outliers(collected: Path, tmp_path: Path) -> None:
    root = corrected(collected, tmp_path / "back", a1="vehicle", a2="negative")
    labels = load_labels("driving11")
    frames = load_frames([DataSpec(dataset="reviewed", root=str(root), rest="known")], labels)
    coco = COCO(str(root / "annotations" / "instances_default.json"))
    values = {"unknown": 254, "negative": 253, "vehicle": labels.names.index("vehicle")}
    by_name = {frame.id: frame.read() for frame in frames}
    assert len(by_name) == len(coco.getImgIds())
    for picture in coco.loadImgs(coco.getImgIds()):
        _, target = by_name[picture["file_name"]]
        covered = np.zeros(target.shape, bool)
        for entry in coco.loadAnns(coco.getAnnIds(picture["id"])):
            mask = coco.annToMask(entry).astype(bool)
            covered |= mask
            name = coco.loadCats(entry["category_id"])[0]["name"]
            assert np.mean(target[mask] == values[name]) > 0.9  # a smaller one may lie on it
        assert (target[~covered] == 253).all()
    objects = open_objects([CutoutSpec(root=str(root), kind="reviewed")])
    assert len(objects) == len(unknown_objects(root)) == len(coco.getAnnIds()) - 2
    picture, mask = objects[0]()
    assert picture.shape[:2] == mask.shape
    assert set(np.unique(mask)) <= {0, 254}


def test_a_category_that_means_nothing_here_is_refused_until_the_recipe_says_it(
    collected: Path, tmp_path: Path
) -> None:
    root = corrected(collected, tmp_path / "back", a1="cow")
    labels = load_labels("driving11")
    with pytest.raises(
        ConfigError, match=r"uses cow, .*categories: \{cow: CLASS\}.*vehicle.*unknown, negative, ignored"
    ):
        open_reviewed(root, labels)
    assert open_reviewed(root, labels, {"cow": "negative"})
    with pytest.raises(ConfigError, match="names horse"):
        open_reviewed(root, labels, {"horse": "negative"})
    with pytest.raises(DatasetError, match="no corrected COCO"):
        open_reviewed(tmp_path, labels)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_outlines_give_the_mask_back_with_its_holes_filled(mask: np.ndarray) -> None:
    height, width = mask.shape
    polygons = outlines(mask)
    drawn = np.zeros(mask.shape, bool)
    for polygon in polygons:
        drawn |= coco_mask.decode(coco_mask.frPyObjects([polygon], height, width))[..., 0].astype(bool)
    filled = np.zeros(mask.shape, np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    assert (drawn == (filled > 0)).all()


def test_an_object_looks_like_itself_from_farther_away_and_unlike_another() -> None:
    features = ObjectFeatures(load_bundle("road_lite"))
    rng = np.random.default_rng(0)
    scene = next(iter(drive(5, 1))).image
    patch = cv2.GaussianBlur(rng.integers(0, 255, (64, 64, 3), np.uint8), (9, 9), 0)

    def vector(size: int, thing: np.ndarray, place: tuple[int, int]) -> np.ndarray:
        image, mask = scene.copy(), np.zeros(scene.shape[:2], bool)
        y, x = place
        image[y : y + size, x : x + size] = cv2.resize(thing, (size, size), interpolation=cv2.INTER_AREA)
        mask[y : y + size, x : x + size] = True
        return features(image, mask)

    one, same, other = (
        vector(64, patch, (150, 100)),
        vector(48, patch, (160, 140)),
        vector(64, 255 - patch // 8, (150, 100)),
    )
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-4)
    assert one @ same > 0.6
    assert one @ same > one @ other + 0.15


def test_a_square_stays_in_the_picture() -> None:
    mask = np.zeros((40, 60), bool)
    mask[0:3, 58:60] = True
    rows, columns = square_around(mask)
    assert (rows.start, columns.stop) == (0, 60)


def test_the_mask_of_an_object_that_only_holds_an_alert_is_all_of_it() -> None:
    """It is grown as far as the object was, and its pixels are those that were counted."""
    score = np.zeros((40, 60), np.float32)
    score[8:28, 10:40] = 1.5  # above `grow`, below what holds
    score[10:26, 12:38] = 2.5  # above what holds, below the threshold
    labels = np.zeros((40, 60), np.uint8)
    rule = Objects(grow=1.0, seed=0.5, beside=4.0, ground=[0])
    calibration = Calibration(threshold=4.0, objects=rule, table=[(0.0, 0.0), (5.0, 1.0)], source="a test")
    (held,), _, _ = find_objects(score, labels, 2.0, rule, 1, 5)
    obstacle = Obstacle(held.box, held.area, 0.5, held.foot)
    alert = Alert(AlertState.OBSTACLE, "holding", 1, 0.0)
    nothing = np.zeros((40, 60), np.uint8)
    judgement = Judgement(Prediction(labels, score, "b"), nothing, (obstacle,), alert, calibration=calibration)
    mask = _mask_of(judgement, obstacle, 2.0)
    assert (mask.shape, mask.sum()) == ((20, 30), held.area)
    assert mask.any(0).all()
    assert mask.any(1).all()


def test_an_export_counts_before_what_was_written_and_two_corrections_are_refused(
    collected: Path, tmp_path: Path
) -> None:
    root, labels = corrected(collected, tmp_path / "back", a1="vehicle"), load_labels("driving11")
    written = root / "annotations" / "instances.json"
    written.write_text((collected / "annotations" / "instances.json").read_text())
    assert instances_file(root).name == "instances_default.json"
    spec = DataSpec(dataset="reviewed", root=str(root))
    (said,) = reviewed_notes([spec, DataSpec(dataset="scenes", count=1)], labels)
    count = len(json.loads(written.read_text())["annotations"])
    assert said.endswith(f"{count - 1} unknown, 1 vehicle")
    written.write_text((root / "annotations" / "instances_default.json").read_text())
    for several in (root, corrected(collected, tmp_path / "other")):
        (several / "result.json").write_text("{}")
        with pytest.raises(DatasetError, match=r"several.*instances_default\.json, result\.json.*leave only"):
            load_frames([spec.model_copy(update={"root": str(several)})], labels)


def test_where_nothing_was_found_it_says_what_finds_more(collected: Path, tmp_path: Path) -> None:
    done = run("collect", "road_lite", collected.parent / "drive.avi", "--out", tmp_path / "out", "--threshold", "1e6")
    assert done.exit_code == 0, done.output
    assert "no object was found; a --threshold below 1e+06 finds more" in done.output


def test_pictures_of_a_folder_can_be_found_again(tmp_path: Path) -> None:
    (tmp_path / "stills").mkdir()
    for index, scene in enumerate(drive(5, 2)):
        cv2.imwrite(str(tmp_path / "stills" / f"town{index}.png"), scene.image[..., ::-1])
    done = run("collect", "road_lite", tmp_path / "stills", "--out", tmp_path / "out", "--threshold", "0")
    assert done.exit_code == 0, done.output
    content = (tmp_path / "out" / "annotations" / "instances.json").read_text()
    data = json.loads(content)
    assert data["images"]
    assert {picture["source_file"] for picture in data["images"]} <= {"town0.png", "town1.png"}
    assert str(tmp_path) not in content
    page = (tmp_path / "out" / "index.html").read_text()
    for one in data["annotations"]:
        picture = next(entry for entry in data["images"] if entry["id"] == one["image_id"])
        shown = f"object {one['id']} in {picture['file_name']}" in page and picture["source_file"] in page
        assert shown == one["attributes"]["kept"]
        assert not one["attributes"]["kept"] or f"{one['area']:,} pixels" in page


def test_a_picture_that_cannot_be_decoded_is_a_frame_without_a_judgement(tmp_path: Path) -> None:
    (tmp_path / "stills").mkdir()
    (tmp_path / "stills" / "town0.png").write_bytes(b"torn")
    cv2.imwrite(str(tmp_path / "stills" / "town1.png"), next(iter(drive(5, 1))).image[..., ::-1])
    words = ("collect", "road_lite", tmp_path / "stills", "--out", tmp_path / "out", "--threshold", "0", "--json")
    told = json.loads(run(*words).stdout)
    assert told["frames"] == 2
    ((reason, count),) = told["skipped"].items()
    assert count == 1
    assert "stills: decode_failed" in reason
    assert "town0.png" in reason
    assert told["damage"] == [], "it is told once"
    assert {picture["source_file"] for picture in instances(tmp_path / "out")["images"]} == {"town1.png"}


def first(data: dict, key: str, value: object) -> None:
    data["annotations"][0][key] = value


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda data: first(data, "segmentation", []),
            r"annotation \d+ in drive_avi-.*\.jpg has no outline, perhaps only a box",
        ),
        (lambda data: data["annotations"][0].pop("segmentation"), "has no outline"),
        (lambda data: first(data, "segmentation", [[1, 2, 3, 4]]), "has no outline"),
        (lambda data: first(data, "segmentation", [[1, 2, 3]]), "a COCO polygon is a list"),
        (lambda data: first(data, "image_id", 99), "annotation 0 has the image_id 99, which the file does not list"),
        (lambda data: first(data, "category_id", 99), "annotation 0 has the category_id 99"),
        (lambda data: data["annotations"].append(None), "needs `image_id`, .* and has None"),
        (lambda data: data["images"][-1].update(width=7), r"is \d+x\d+, its instances file says 7x\d+"),
        (lambda data: data["images"][-1].update(file_name="gone.jpg"), "gone.jpg is not below"),
        (lambda data: data.pop("categories"), "cannot be read"),
        (lambda data: data["categories"].append({"id": 1, "name": "dog"}), "two categories have the id 1"),
        (lambda data: data["images"].append(data["images"][0] | {"file_name": "b.jpg"}), "two pictures have the id"),
        (lambda data: data["images"][0].pop("height"), "needs `height`, a whole number, and has None"),
        (
            lambda data: data["images"].append(
                data["images"][0] | {"id": 1, "file_name": "other/" + data["images"][0]["file_name"]}
            ),
            "are both taken for .*; give them different names",
        ),
    ],
)
def test_an_export_that_would_lose_an_object_is_refused_before_training(
    collected: Path, tmp_path: Path, change, sentence: str
) -> None:
    root = corrected(collected, tmp_path / "back")
    file = root / "annotations" / "instances_default.json"
    data = json.loads(file.read_text())
    if "7x" in sentence:
        data["annotations"] = data["annotations"][:1]  # or an outline outside of the picture is said first
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(DatasetError, match=sentence):
        open_reviewed(root, load_labels("driving11"))


def rewritten(collected: Path, root: Path, change) -> list[dict]:
    """Annotations of a corrected copy, each changed."""
    file = corrected(collected, root) / "annotations" / "instances_default.json"
    data = json.loads(file.read_text())
    sizes = {picture["id"]: (picture["height"], picture["width"]) for picture in data["images"]}
    for entry in data["annotations"]:
        change(entry, *sizes[entry["image_id"]])
    file.write_text(json.dumps(data))
    return data["annotations"]


def holed(entry: dict, height: int, width: int) -> np.ndarray:
    """The annotation's mask with a hole in it."""
    mask = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(entry["segmentation"], height, width)))
    x, y, w, h = entry["bbox"]
    mask[y + h // 3 : y + h // 2, x + w // 3 : x + w // 2] = 0
    return mask


def packed(entry: dict, height: int, width: int) -> None:
    run_lengths = coco_mask.encode(np.asfortranarray(holed(entry, height, width)))
    entry["segmentation"] = {"size": [height, width], "counts": run_lengths["counts"].decode()}
    entry["iscrowd"] = 1  # as CVAT does with masks


def plain(entry: dict, height: int, width: int) -> None:
    values = np.concatenate([[0], holed(entry, height, width).T.ravel(), [2]])
    ends = np.flatnonzero(np.diff(values))
    entry["segmentation"] = {"size": [height, width], "counts": np.diff(ends, prepend=0).tolist()}
    entry["iscrowd"] = 1


def parted(entry: dict, height: int, width: int) -> None:
    """Of two parts, the second of them given twice: COCO joins them."""
    x, y, w, h = entry["bbox"]
    second = [x, y, x + w / 4, y, x + w / 4, y + h / 4, x, y + h / 4]
    entry["segmentation"] = [[x + w / 2, y + h / 2, x + w, y + h / 2, x + w, y + h], second, second]


@pytest.mark.parametrize("change", [packed, plain, parted])
def test_masks_holes_and_parts_are_what_coco_makes_of_them(collected: Path, tmp_path: Path, change) -> None:
    entries = rewritten(collected, tmp_path / "back", change)
    coco = COCO(str(tmp_path / "back" / "annotations" / "instances_default.json"))
    pictures = open_reviewed(tmp_path / "back", load_labels("driving11"), rest=253)
    assert sum(len(picture.instances) for picture in pictures) == len(entries)
    for picture in pictures:
        (there,) = [entry for entry in coco.dataset["images"] if entry["file_name"] == picture.id]
        masks = [coco.annToMask(entry) for entry in coco.loadAnns(coco.getAnnIds(there["id"]))]
        wanted = np.any(masks, axis=0)
        target = picture.read()[1] == 254
        if change is parted:  # pixels on edges may go either way
            inner, outer = (op(wanted.astype(np.uint8), np.ones((3, 3))).sum() for op in (cv2.erode, cv2.dilate))
            assert (target != wanted).sum() < 0.3 * (outer - inner)
        else:
            assert (target == wanted).all()


def test_an_export_of_cvat_with_its_pictures_lies_in_folders_of_the_subset(collected: Path, tmp_path: Path) -> None:
    root = corrected(collected, tmp_path / "back")
    (root / "images").unlink()
    shutil.copytree(collected / "images", root / "images" / "Train")
    (root / "annotations" / "instances_default.json").rename(root / "annotations" / "instances_Train.json")
    pictures = open_reviewed(root, load_labels("driving11"))
    assert {picture.image.parent for picture in pictures} == {root / "images" / "Train"}


def test_what_the_annotator_did_to_categories_and_pictures_is_taken_as_meant(collected: Path, tmp_path: Path) -> None:
    root, labels = corrected(collected, tmp_path / "back", a1="trailer"), load_labels("driving11")
    file = root / "annotations" / "instances_default.json"
    data = json.loads(file.read_text())
    # Numbered anew and without those that nothing has, as Label Studio does.
    names = {entry["id"]: entry["name"] for entry in data["categories"]}
    data["categories"] = [{"id": 0, "name": "trailer"}, {"id": 1, "name": "unknown"}]
    for entry in data["annotations"]:
        entry["category_id"] = int(names[entry["category_id"]] == "unknown")
    gone = data["images"].pop()["id"]
    data["annotations"] = [entry for entry in data["annotations"] if entry["image_id"] != gone]
    file.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match="uses trailer, which label set driving11 does not have; say in the recipe"):
        open_reviewed(root, labels)
    pictures = open_reviewed(root, labels, {"trailer": "vehicle"})
    assert [picture.id for picture in pictures] == [
        entry["file_name"] for entry in sorted(data["images"], key=lambda entry: entry["id"])
    ]
    values = [value for picture in pictures for value, _ in picture.instances]
    assert values.count(labels.names.index("vehicle")) == 1
    assert len(unknown_objects(root)) == len(values) - 1
    assert len(unknown_objects(root, {"trailer": "unknown"})) == len(values)
    assert len(open_objects([CutoutSpec(root=str(root), kind="reviewed", categories={"trailer": "unknown"})])) == len(
        values
    )


FOREIGN = {
    "annotations.xml": ("<?xml version='1.0'?>\n<annotations>\n<version>1.1</version>", "CVAT's own XML: export"),
    "a.xml": ("<annotation><folder>x</folder>", "Pascal VOC's XML"),
    "project-1.json": ('[{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]', "Label Studio's own JSON"),
    "a.json": ('{"version": "5.0", "shapes": [], "imagePath": "a.jpg"}', "LabelMe's file of one picture"),
    "via.json": ('{"a.jpg1": {"filename": "a.jpg", "regions": []}}', "VGG Image Annotator's own project"),
    "default.json": ('{"info": {}, "categories": {}, "items": []}', "Datumaro's JSON"),
    "mine.json": ('{"images": [], "annotations": [], "categories": []}', "if it is the corrected one, call it"),
    "task.zip": ("PK", "unpack it there"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_export_that_is_no_coco_is_named_and_never_passed_over(collected: Path, tmp_path: Path, name: str) -> None:
    """What `oodseg collect` wrote lies beside it: without a word, training would take all of it for unknown."""
    content, sentence = FOREIGN[name]
    root = corrected(collected, tmp_path / "back", a1="vehicle")
    export = root / "annotations" / "instances_default.json"
    (root / name).write_text(content)
    assert instances_file(root) == export
    export.rename(root / "annotations" / "instances.json")
    assert instances_file(root).name == "instances.json"  # corrected in place
    for folder in (root, root / "annotations"):
        shutil.copy(collected / "annotations" / "instances.json", root / "annotations" / "instances.json")
        (root / name).rename(folder / name)
        with pytest.raises(DatasetError, match=sentence):
            instances_file(root)
        (folder / name).rename(root / name)
    if name.endswith(".json") and name != "mine.json":
        (root / name).rename(export)
        with pytest.raises(DatasetError, match=sentence):
            open_reviewed(root, load_labels("driving11"))


@pytest.mark.parametrize(
    "form", ["{}", "images/{}", "/data/upload/1/0a1b2c3d-{}", "../../{}", "images/0a1b2c3d-{}", "images\\0a1b2c3d-{}"]
)
def test_pictures_are_found_as_tools_name_them(collected: Path, tmp_path: Path, form: str) -> None:
    root = corrected(collected, tmp_path / "back")
    file = root / "annotations" / "instances_default.json"
    data, before = json.loads(file.read_text()), open_reviewed(root, load_labels("driving11"))
    for picture in data["images"]:
        picture["file_name"] = form.format(picture["file_name"])
    (root / "result.json").write_text(json.dumps(data))
    file.unlink()
    after = open_reviewed(root, load_labels("driving11"))
    for one, other in zip(before, after, strict=True):
        assert one.image == other.image
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(one.read(), other.read(), strict=True))
