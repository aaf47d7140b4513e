"""open-mIoU comes out of an evaluation where a dataset has classes beside its anomalies, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.evaluation.evaluate import EvaluationOptions, evaluate
from oodseg_ros.evaluation.metrics.semantics import OpenMetrics
from oodseg_ros.inference.runner import Runner

STORED_ROAD, STORED_CAR, STORED_ANOMALY = 8, 11, 14


@pytest.fixture
def street_hazards(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    root = tmp_path / "streethazards"
    for kind in ("images", "annotations"):
        (root / "test" / kind / "test" / "t5").mkdir(parents=True)
    for index in range(2):
        stored = np.full((64, 128), STORED_ROAD, np.uint8)
        stored[20:40, 10:60] = STORED_CAR
        stored[45:60, 80:110] = STORED_ANOMALY
        image = rng.integers(0, 256, (64, 128, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "test" / "images" / "test" / "t5" / f"{index}.png"), image)
        cv2.imwrite(str(root / "test" / "annotations" / "test" / "t5" / f"{index}.png"), stored)
    return root


def test_open_miou_of_streethazards(runner: Runner, street_hazards: Path, tmp_path: Path) -> None:
    dataset = open_dataset("streethazards", street_hazards)
    found = evaluate(runner, dataset, tmp_path / "out", EvaluationOptions()).metrics
    assert set(found["open"]) == {"at_95_recall", "at_deployed_threshold"}
    labels = runner.bundle.labels
    table = labels.map_from("streethazards13")
    for result in found["open"].values():
        reference = OpenMetrics(len(labels), result["threshold"])
        for item in dataset.items:
            image, anomaly = dataset.load(item)
            prediction = runner([image])[0]
            truth = np.where(anomaly == 1, len(labels), table[dataset.load_classes(item)]).astype(np.uint8)
            reference.update(prediction.labels, prediction.score, truth)
        assert result["open_mIoU"] == pytest.approx(reference.compute()["open_mIoU"])


def test_a_set_without_classes_has_none(runner: Runner, dataset, tmp_path: Path) -> None:
    assert "open" not in evaluate(runner, dataset, tmp_path / "out", EvaluationOptions()).metrics
