"""Commands that make training data: what they write, and what they say when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import CheckpointError, ConfigError


def call(*arguments: str):
    return CliRunner(env={"COLUMNS": "160"}).invoke(build_app([arguments[0]]), list(arguments))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Picture 1 shows a dog, picture 2 a dog and a train."""
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations").mkdir()
    names = {
        1: "person",
        2: "bicycle",
        3: "car",
        4: "motorcycle",
        6: "bus",
        7: "train",
        8: "truck",
        10: "traffic light",
    }
    names |= {10: "traffic light", 13: "stop sign", 18: "dog"}
    for key in (1, 2):
        cv2.imwrite(str(tmp_path / "train2017" / f"{key:012d}.jpg"), np.zeros((48, 64, 3), np.uint8))
    shape = [[5, 5, 30, 5, 30, 30, 5, 30]]
    data = {
        "categories": [{"id": key, "name": name} for key, name in names.items()],
        "images": [{"id": k, "file_name": f"{k:012d}.jpg", "height": 48, "width": 64} for k in (1, 2)],
        "annotations": [
            {"image_id": image, "category_id": category, "segmentation": shape, "iscrowd": 0}
            for image, category in ((1, 18), (2, 18), (2, 7))
        ],
    }
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(data))
    return tmp_path


def test_proxies_leave_out_trains_unless_as_published(coco: Path) -> None:
    shown = call("prepare-coco", "--root", str(coco), "--min-side", "32").output
    assert "1 pictures without" in shown
    assert "train" in shown
    masks = coco / "annotations" / "ood_seg_train2017"
    assert [file.name for file in masks.iterdir()] == ["000000000001.png"]
    assert "2 pictures without" in call("prepare-coco", "--root", str(coco), "--min-side", "32", "--published").output
    assert len(list(masks.iterdir())) == 2
    assert "all is as it should be" in call("check-dataset", "coco_proxy", "--root", str(coco)).output


def test_generating_needs_class_ids_and_weights(coco: Path, tmp_path: Path) -> None:
    root = tmp_path / "frames"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
        cv2.imwrite(str(root / folder / "a.png"), np.zeros((48, 64, 3) if folder == "images" else (48, 64), np.uint8))
    cv2.imwrite(str(tmp_path / "outline.png"), np.zeros((9, 9), np.uint8))
    arguments = ["generate", "--root", str(root), "--out", str(tmp_path / "out"), "--outlines", str(tmp_path)]
    arguments += ["--dataset", "folder", "--split", ""]
    assert isinstance(call(*arguments).exception, ConfigError)
    missing = [*arguments, "--labels", "driving11", "--sam", str(tmp_path / "no_sam")]
    error = call(*missing).exception
    assert isinstance(error, CheckpointError)
    assert "no_sam" in str(error)
