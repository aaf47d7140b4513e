"""Pseudo-labels: the teacher's classes where it is sure, known-but-unnamed elsewhere; made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from oodseg_ros.bundle import load_bundle
from oodseg_ros.labels import load_labels
from oodseg_ros.outliers.targets import KNOWN
from oodseg_ros.sources.image_files import read_image
from oodseg_ros.training import teacher
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import DataSpec

LABELS = load_labels("driving11")


@pytest.fixture
def spec(road_folder: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))

    def make(confidence: float) -> DataSpec:
        root = str(road_folder / "images")
        return DataSpec(dataset="frames", root=root, teacher=str(tiny_bundle), teacher_confidence=confidence)

    return make


def softmax(bundle: Path, image: np.ndarray) -> torch.Tensor:
    """The teacher's probabilities, at the network's size, by another way."""
    loaded = load_bundle(bundle)
    with torch.inference_mode():
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        x = torch.nn.functional.interpolate(x, (64, 96), mode="bilinear")
        return loaded.segmentor()((x - 0.5) / 0.5).logits.softmax(1)


def test_labels_are_the_teachers_where_it_is_sure(spec, tiny_bundle: Path) -> None:
    frame = load_frames([spec(0.0)], LABELS)[0]
    image, every = frame.read()
    assert KNOWN not in every
    probabilities = softmax(tiny_bundle, image)
    level = float(probabilities.max(1).values.median())
    some = load_frames([spec(level)], LABELS)[0].read()[1]
    unsure = some == KNOWN
    assert 0.2 < unsure.mean() < 0.8
    np.testing.assert_array_equal(some[~unsure], every[~unsure])
    small = torch.nn.functional.interpolate(probabilities, image.shape[:2], mode="bilinear")[0].argmax(0)
    assert (small.numpy() == every).mean() > 0.95


def test_the_teacher_runs_once_per_frame(spec, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [frame.read()[1] for frame in load_frames([spec(0.2)], LABELS)]
    monkeypatch.setattr(teacher, "ConfidentLabels", None)
    for expected, frame in zip(first, load_frames([spec(0.2)], LABELS), strict=True):
        np.testing.assert_array_equal(frame.read()[1], expected)


def test_classes_without_counterpart_stay_unnamed(tiny_bundle: Path, road_folder: Path) -> None:
    image = read_image(road_folder / "images" / "0.png")
    table = np.full(256, 255, np.uint8)
    predict = teacher.ConfidentLabels([teacher._of_bundle(load_bundle(tiny_bundle))])
    assert (predict(image, 0.0, table)[0] == KNOWN).all()
