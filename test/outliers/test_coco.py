"""Objects from COCO: the published rule for proxies, filters, and proxy folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
from oodseg_ros.outliers.coco import open_coco, open_proxy
from oodseg_ros.outliers.known_classes import KNOWN_IN_CITYSCAPES, OVERLOOKED
from oodseg_ros.outliers.proxy import write_proxy


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


@pytest.mark.parametrize("text", ["", "[]", '{"images": []}'])
def test_what_is_no_instances_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DatasetError, match="cannot be read"):
        open_coco(tmp_path / "x.json", tmp_path)


def test_proxies_are_written_once_and_read_back(coco_folder: Path, tmp_path: Path) -> None:
    pictures = open_coco(
        coco_folder / "annotations" / "instances_train2017.json", coco_folder / "train2017", min_side=48
    )
    assert write_proxy(pictures, tmp_path) == 2
    assert write_proxy(pictures, tmp_path) == 0
    stored = open_proxy(tmp_path, coco_folder / "train2017")
    for expected, proxy in zip(pictures, stored, strict=True):
        for one, two in zip(expected.read(), proxy.read(), strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_proxy_folder_without_pictures_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="prepare-coco"):
        open_proxy(tmp_path, tmp_path)
