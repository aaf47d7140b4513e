"""Which score the outputs of a camera show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from std_msgs.msg import Header

from oodseg_ros import views
from oodseg_ros.frame import Frame, Prediction
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import Calibration
from oodseg_ros.object_rule import Objects
from oodseg_ros.parameters.judging import ObstacleSettings
from oodseg_ros.pipeline.camera import CameraPipeline
from oodseg_ros.ros.node.outputs import _IMAGES, Answer, write_answer


@pytest.mark.parametrize("looks", [1, 2])
def test_pixels_are_shown_and_written_by_the_coherent_score(tmp_path: Path, looks: int) -> None:
    rule = Objects(grow=0, seed=0.5, beside=9, coherence=0.5)
    calibration = Calibration(threshold=5, objects=rule, table=[(-1, 0), (9, 1)], source="by hand")
    score = np.random.default_rng(0).normal(size=(60, 80)).astype(np.float32)
    frame, labels = Frame(np.full((60, 80, 3), 90, np.uint8)), load_labels("driving11")
    greater = score + np.float32(1) if looks == 2 else None
    prediction = Prediction(np.zeros(score.shape, np.uint8), score, "x", greater)
    judged = CameraPipeline(calibration, ObstacleSettings(min_area=20)).judge(frame, prediction, 0)
    assert (judged.score > prediction.published).any()
    shown = {topic: make(judged, labels) for topic, (_, make) in _IMAGES.items()}
    assert shown["anomaly/score"] is judged.score
    np.testing.assert_array_equal(shown["semantic/confidence"], views.confidence(judged.prediction.score, calibration))
    picture = views.score_picture(judged.score, judged.mask, calibration)
    np.testing.assert_array_equal(shown["anomaly/score_color"], picture[..., ::-1])
    write_answer(tmp_path, Answer(frame, judged, Header(), None), labels, 0.4)
    with np.load(tmp_path / "answer.npz") as answer:
        np.testing.assert_array_equal(answer["score"], judged.score)
