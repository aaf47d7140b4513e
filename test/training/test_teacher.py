"""Pseudo-labels: the teacher's classes where it is sure, known-but-unnamed elsewhere; made once."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import ConfigError
from oodseg_ros.frame import KNOWN
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import InputSpec
from oodseg_ros.sources.image_files import read_image
from oodseg_ros.training import teacher
from oodseg_ros.training.data_recipe import DataSpec, TeacherSpec
from oodseg_ros.training.frames import load_frames

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


@pytest.fixture
def second(tmp_path: Path) -> TeacherSpec:
    """An ONNX file: eleven logits that are linear in the colors."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.random.default_rng(5).normal(0, 2, (11, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "teacher",
        [helper.make_tensor_value_info("x", floats, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", floats, [1, 11, "h", "w"])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "t.onnx")
    scale = InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), pixels=6144, multiple=32)
    return TeacherSpec(onnx=str(tmp_path / "t.onnx"), labels="driving11", input=scale)


def test_several_teachers_answer_with_their_geometric_mean(spec, second, tiny_bundle: Path, tmp_path: Path) -> None:
    both = [TeacherSpec(bundle=str(tiny_bundle)), second]
    chosen = spec(0.2).model_copy(update={"teacher": both})
    frame = load_frames([chosen], LABELS)[0]
    image, target = frame.read()
    weight = np.random.default_rng(5).normal(0, 2, (11, 3, 1, 1)).astype(np.float32)
    x = torch.from_numpy(cv2.resize(image, (96, 64)).astype(np.float32) / 255).permute(2, 0, 1)[None]
    by_hand = torch.nn.functional.conv2d((x - 0.5) / 0.5, torch.from_numpy(weight)).softmax(1)
    maps = [softmax(tiny_bundle, image), by_hand]
    maps = [torch.nn.functional.interpolate(one, image.shape[:2], mode="bilinear") for one in maps]
    mean = (maps[0] * maps[1]).sqrt()
    mean = (mean / mean.sum(1, keepdim=True))[0]
    value, label = mean.max(0)
    expected = np.where(value.numpy() > 0.2, label.numpy(), KNOWN)
    assert (expected == target).mean() > 0.99
    report = json.loads(next((tmp_path / "cache" / "pseudo_labels").rglob("report.json")).read_text())
    assert report["frames"] == 6
    assert 0.1 < report["labelled"] < 0.9
    assert report["labelled"] + report["rejected"] == pytest.approx(1)
    assert sum(report["classes"].values()) == pytest.approx(1)
    shares = []
    for made in load_frames([chosen], LABELS):
        other = [teacher._open(one)[0]()(made.read()[0]) for one in both]
        resized = [torch.nn.functional.interpolate(one, image.shape[:2], mode="bilinear").argmax(1) for one in other]
        shares.append(float((resized[0] == resized[1]).float().mean()))
    assert report["agreed"] == pytest.approx(np.mean(shares), abs=1e-6)


def test_teachers_of_two_label_sets_are_refused(spec, second, tiny_bundle: Path) -> None:
    other = second.model_copy(update={"labels": "camvid11"})
    chosen = spec(0.3).model_copy(update={"teacher": [TeacherSpec(bundle=str(tiny_bundle)), other]})
    with pytest.raises(ConfigError, match="one label set"):
        load_frames([chosen], LABELS)


def test_a_teacher_is_a_bundle_or_a_file_with_all_that_it_needs() -> None:
    with pytest.raises(ValidationError, match="either"):
        TeacherSpec(bundle="a", onnx="b")
    with pytest.raises(ValidationError, match="needs `labels`"):
        TeacherSpec(onnx="b")
