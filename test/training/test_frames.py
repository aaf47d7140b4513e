"""Training frames: what each kind of dataset turns into, and that nothing is read before it is needed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import ConfigError, DatasetError, ImageError
from oodseg_ros.frame import KNOWN, OUTLIER
from oodseg_ros.labels import load_labels
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import DataSpec

LABELS = load_labels("driving11")


def folder(root: Path, label: np.ndarray, labels: str = "labels") -> Path:
    for name, values in (("images", np.full((*label.shape, 3), 77, np.uint8)), (labels, label)):
        (root / name).mkdir(parents=True)
        cv2.imwrite(str(root / name / "a.png"), values)
    return root


def target_of(spec: DataSpec) -> np.ndarray:
    (frame,) = load_frames([spec], LABELS)
    return frame.read()[1]


def test_files_are_listed_but_not_read(tmp_path: Path) -> None:
    root = folder(tmp_path, np.zeros((8, 8), np.uint8))
    (frame,) = load_frames([DataSpec(dataset="folder", root=str(root), labels="driving11")], LABELS)
    (root / "images" / "a.png").write_bytes(b"no longer an image")
    with pytest.raises(ImageError, match=r"a\.png"):
        frame.read()


def test_pictures_that_are_not_used_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = folder(tmp_path, np.zeros((8, 8), np.uint8))
    cv2.imwrite(str(root / "images" / "unlabelled.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(root / "labels" / "alone.png"), np.zeros((8, 8), np.uint8))
    for _ in range(2):
        assert len(load_frames([DataSpec(dataset="folder", root=str(root), labels="driving11")], LABELS)) == 1
    assert caplog.text.count("1 frames have no label file") == 1
    assert caplog.text.count("1 label files have no picture") == 1


def test_annotated_unknowns_of_label_files_stay_unknown(tmp_path: Path) -> None:
    label = np.array([[0, 3], [77, 255]], np.uint8).repeat(4, 0).repeat(4, 1)
    spec = DataSpec(dataset="folder", root=str(folder(tmp_path, label)), labels="driving11", outlier_values=[77])
    expected = np.array([[0, 3], [OUTLIER, 255]], np.uint8).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(target_of(spec), expected)


def test_an_anomaly_set_without_classes_says_known_and_unknown(tmp_path: Path) -> None:
    label = np.array([[0, 1], [255, 0]], np.uint8).repeat(4, 0).repeat(4, 1)
    target = target_of(DataSpec(dataset="folder", root=str(folder(tmp_path, label))))
    np.testing.assert_array_equal(target[::4, ::4], [[KNOWN, OUTLIER], [255, KNOWN]])


def test_streethazards_brings_classes_and_anomalies(tmp_path: Path) -> None:
    stored = np.array([[0, 2], [8, 14]], np.uint8)  # none, building, road, anomaly; files hold class + 1
    for name, values in (("images", np.zeros((2, 2, 3), np.uint8)), ("annotations", stored)):
        place = tmp_path / "test" / name / "test" / "t5"
        place.mkdir(parents=True)
        cv2.imwrite(str(place / "1.png"), values)
    own = load_labels("streethazards13")
    (frame,) = load_frames([DataSpec(dataset="streethazards", root=str(tmp_path), split="test")], own)
    np.testing.assert_array_equal(frame.read()[1], [[255, 1], [7, OUTLIER]])
    (frame,) = load_frames([DataSpec(dataset="streethazards", root=str(tmp_path), split="test")], LABELS)
    np.testing.assert_array_equal(frame.read()[1], [[255, 1], [3, OUTLIER]])


def test_a_drive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    video = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for index in range(3):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()
    spec = DataSpec(dataset="frames", root=str(video))
    frames = load_frames([spec], LABELS)
    assert [round(frame.read()[0].mean() / 40) for frame in frames] == [0, 1, 2]
    assert set(np.unique(frames[0].read()[1])) == {KNOWN}
    (unpacked,) = (tmp_path / "cache" / "frames").iterdir()
    before = {file.name: file.stat().st_mtime_ns for file in unpacked.iterdir()}
    load_frames([spec], LABELS)
    assert {file.name: file.stat().st_mtime_ns for file in unpacked.iterdir()} == before


def test_nothing_found_is_an_error(road_folder: Path) -> None:
    with pytest.raises(DatasetError, match="no labelled frame matches 'x\\*'"):
        load_frames([DataSpec(dataset="folder", root=str(road_folder), labels="driving11", match="x*")], LABELS)


def test_only_frames_without_labels_have_a_teacher(road_folder: Path) -> None:
    with pytest.raises(ConfigError, match="teacher"):
        load_frames([DataSpec(dataset="folder", root=str(road_folder), teacher="road_lite")], LABELS)
