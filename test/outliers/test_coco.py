"""Objects from COCO: the published rule for proxies, filters, and proxy folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
from oodseg_ros.outliers.coco import KNOWN_IN_CITYSCAPES, OVERLOOKED, open_coco, open_proxy, write_proxy


def ids(coco_folder: Path, **options: object) -> list[int]:
    file = coco_folder / "annotations" / "instances_train2017.json"
    options = {"min_side": 48, **options}
    return [int(picture.image.stem) for picture in open_coco(file, coco_folder / "train2017", **options)]


def test_the_published_rule_keeps_trains(coco_folder: Path) -> None:
    assert ids(coco_folder) == [1, 3]
    assert ids(coco_folder, drop_images_with=(*KNOWN_IN_CITYSCAPES, *OVERLOOKED)) == [1]


def test_small_pictures_excluded_classes_and_instances(coco_folder: Path) -> None:
    assert ids(coco_folder, min_side=0) == [1, 3, 4]
    assert ids(coco_folder, exclude=["dog"]) == [1, 3]
    assert ids(coco_folder, exclude=["dog", "chair"]) == [3]
    assert ids(coco_folder, unit="instance") == [1, 1, 3]  # the crowd is no instance
    assert ids(coco_folder, drop_images_with=[]) == [1, 2, 3]


def test_masks_join_all_objects_of_a_picture(coco_folder: Path) -> None:
    file = coco_folder / "annotations" / "instances_train2017.json"
    both, train = open_coco(file, coco_folder / "train2017", min_side=48)
    _, mask = both.read()
    assert (mask[10:40, 5:25] == 254).all()
    assert mask[10, 55] == 254
    assert (mask == 254).sum() == pytest.approx(20 * 30 + 200, abs=15)
    assert set(np.unique(mask)) == {0, 254}
    crowd = train.read()[1]
    assert (crowd[:, 0] == 254).all()
    only_chair = open_coco(file, coco_folder / "train2017", min_side=48, exclude=["dog"])[0].read()[1]
    assert (only_chair == 254).sum() == pytest.approx(200, abs=15)


def test_a_filter_that_matches_nothing_is_refused(coco_folder: Path) -> None:
    with pytest.raises(DatasetError, match="no class sheep; it has person"):
        ids(coco_folder, exclude=["sheep"])
    with pytest.raises(DatasetError, match="no picture is left"):
        ids(coco_folder, min_side=1000)


SQUARE = [40, 10, 60, 10, 60, 30, 40, 30]
IMAGES = [{"id": key, "file_name": f"{key}.jpg", "height": 60, "width": 70} for key in (1, 2)]


def file_of(tmp_path: Path, annotations: list | None = None, **changed: object) -> Path:
    """An instances file of two pictures with a cat each, and what is `changed` in it."""
    entries = [{"image_id": key, "category_id": 17, "segmentation": [SQUARE]} for key in (1, 2)]
    data = {"categories": [{"id": 17, "name": "cat"}], "images": IMAGES}
    data["annotations"] = entries if annotations is None else annotations
    (tmp_path / "x.json").write_text(json.dumps(data | changed))
    return tmp_path / "x.json"


def cat(**changed: object) -> dict:
    return {"image_id": 1, "category_id": 17, "segmentation": [SQUARE]} | changed


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"image_id": 1, "file_name": "1.png", "segments_info": []}, r"a panoptic file .* instances_\*.json is wanted"),
        ({"image_id": 1, "caption": "a cat"}, "a captions file"),
        (cat(segmentation=[]), "boxes only"),
        ({"image_id": 1, "category_id": 17, "bbox": [1, 1, 2, 2]}, "boxes only"),
        (cat(segmentation=[[]]), "boxes only"),
        (cat(category_id=3), r"annotation 0 has the category_id 3, which the file does not list"),
        (cat(image_id=9), r"annotation 0 has the image_id 9"),
        (cat(image_id=[1]), r"annotations\[0\] needs `image_id`"),
        (7, r"annotations\[0\] needs `image_id`"),
        (cat(segmentation="abc"), "annotation 0: a COCO segmentation must be"),
        (cat(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 0: a COCO polygon"),
        (cat(segmentation=[[1, "a", 3, 4, 5, 6]]), "annotation 0: a COCO polygon"),
        (cat(segmentation=[SQUARE, 3]), "annotation 0: a COCO polygon"),
        (cat(segmentation=[[500, 10, 520, 10, 520, 30]]), "annotation 0: a polygon lies wholly outside .* of 70x60"),
        (cat(segmentation={"size": [70, 60], "counts": [4200]}), "annotation 0: COCO run lengths need"),
        (cat(segmentation={"size": [60, 70], "counts": [4200.5]}), "annotation 0: COCO run lengths need"),
        (cat(segmentation={"size": [60, 70]}), "annotation 0: COCO run lengths need"),
        (cat(segmentation={"size": [60, 70], "counts": "zzzz"}), "annotation 0: COCO run lengths: the text is cut off"),
        (cat(segmentation={"size": [60, 70], "counts": [42]}), "annotation 0: COCO run lengths cover 42 of 4200"),
    ],
)
def test_foreign_entries_are_named(tmp_path: Path, entry: object, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        open_coco(file_of(tmp_path, [entry]), tmp_path, drop_images_with=(), min_side=0)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"categories": None}, "no list categories"),
        ({"categories": [{"id": 17}]}, r"categories\[0\] needs `name`, text"),
        ({"categories": [{"id": 17, "name": "cat"}, {"id": 17, "name": "dog"}]}, "two categories have the id 17"),
        ({"images": [IMAGES[0] | {"height": "60"}]}, r"images\[0\] needs `height`, a whole number"),
        ({"images": [IMAGES[0] | {"height": 0}]}, "70x0 pixels"),
        ({"images": [IMAGES[0] | {"file_name": "../../1.jpg"}]}, "outside of ROOT"),
        ({"images": [IMAGES[0] | {"file_name": "/etc/1.jpg"}]}, "outside of ROOT"),
        ({"images": [IMAGES[0], IMAGES[0] | {"id": 2}]}, "two pictures have the id 2 or the file name 1.jpg"),
        ({"images": [IMAGES[0], IMAGES[1] | {"id": 1}]}, "two pictures have the id 1"),
    ],
)
def test_foreign_lists_are_checked(tmp_path: Path, changed: dict, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        open_coco(file_of(tmp_path, **changed), tmp_path, drop_images_with=(), min_side=0)


def test_an_empty_polygon_is_skipped_and_an_object_without_outline_costs_its_picture(tmp_path: Path) -> None:
    said: list[str] = []
    file = file_of(tmp_path, [cat(segmentation=[SQUARE, []]), cat(image_id=2), cat(image_id=2, segmentation=[])])
    (only,) = open_coco(file, tmp_path, drop_images_with=(), min_side=0, said=said.append)
    assert only.image.name == "1.jpg"
    cv2.imwrite(str(only.image), np.zeros((60, 70, 3), np.uint8))
    assert (only.read()[1] == 254).sum() == 20 * 20
    assert said == ["1 pictures left out: an object in them has a box and no outline"]


def test_equal_names_in_two_folders_get_a_mask_each(tmp_path: Path) -> None:
    names = ["a/x.jpg", "b/x.jpg"]
    for shade, name in enumerate(names):
        (tmp_path / "img" / name).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "img" / name), np.full((60, 70, 3), shade * 99, np.uint8))
    other = cat(image_id=2, segmentation=[[0, 0, 70, 0, 70, 60, 0, 60]])
    file = file_of(tmp_path, [cat(), other], images=[e | {"file_name": n} for e, n in zip(IMAGES, names, strict=True)])
    pictures = open_coco(file, tmp_path / "img", drop_images_with=(), min_side=0)
    assert write_proxy(pictures, tmp_path / "img", tmp_path / "masks") == 2
    first, second = open_proxy(tmp_path / "masks", tmp_path / "img")
    assert ((first.read()[1] == 254).sum(), (second.read()[1] == 254).sum()) == (400, 60 * 70)
    assert second.read()[0].min() > 90
    pictures[1] = replace(pictures[1], image=tmp_path / "img" / "a" / "x.png")
    with pytest.raises(DatasetError, match="share the mask"):
        write_proxy(pictures, tmp_path / "img", tmp_path / "masks")


def test_a_byte_order_mark_is_no_matter_and_a_foreign_encoding_costs_one_line(tmp_path: Path) -> None:
    text = file_of(tmp_path).read_text()
    (tmp_path / "x.json").write_text(text, encoding="utf-8-sig")
    assert len(open_coco(tmp_path / "x.json", tmp_path, drop_images_with=(), min_side=0)) == 2
    (tmp_path / "x.json").write_text(text, encoding="utf-16")
    with pytest.raises(DatasetError, match="is it JSON") as raised:
        open_coco(tmp_path / "x.json", tmp_path, drop_images_with=(), min_side=0)
    assert len(str(raised.value)) < len(str(tmp_path)) + 320


@pytest.mark.parametrize("text", ["", "[]", '{"images": []}', "[" * 100_000])
def test_what_is_no_instances_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DatasetError, match="cannot be read"):
        open_coco(tmp_path / "x.json", tmp_path)


def test_proxies_are_written_once_and_read_back(coco_folder: Path, tmp_path: Path) -> None:
    pictures = open_coco(
        coco_folder / "annotations" / "instances_train2017.json", coco_folder / "train2017", min_side=48
    )
    images = coco_folder / "train2017"
    assert write_proxy(pictures, images, tmp_path) == 2
    assert write_proxy(pictures, images, tmp_path) == 0
    stored = open_proxy(tmp_path, coco_folder / "train2017")
    for expected, proxy in zip(pictures, stored, strict=True):
        for one, two in zip(expected.read(), proxy.read(), strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_proxy_folder_without_pictures_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="prepare-coco"):
        open_proxy(tmp_path, tmp_path)
