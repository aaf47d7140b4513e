import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, jaccard_score

from oodseg_ros.errors import DatasetError
from oodseg_ros.evaluation.metrics.semantics import OpenMetrics, SemanticMetrics


def maps(seed: int, classes: int = 4, shape=(30, 40)):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, shape).astype(np.uint8)
    predicted = np.where(rng.random(shape) < 0.6, label, rng.integers(0, classes, shape)).astype(np.uint8)
    label[rng.random(shape) < 0.1] = 255
    return predicted, label


def test_equals_sklearn_over_shards():
    metrics, shard, predicted, label = SemanticMetrics(4), SemanticMetrics(4), [], []
    for seed in range(4):
        p, y = maps(seed)
        (metrics if seed % 2 else shard).update(p, y)
        predicted.append(p[y != 255])
        label.append(y[y != 255])
    found = metrics.merge(shard).compute(["a", "b", "c", "d"])
    predicted, label = np.concatenate(predicted), np.concatenate(label)
    assert np.array_equal(metrics.matrix[:, :4], confusion_matrix(label, predicted))
    assert found["mIoU"] == pytest.approx(jaccard_score(label, predicted, average="macro"))
    assert found["mAcc"] == pytest.approx(balanced_accuracy_score(label, predicted))
    assert found["pixel_accuracy"] == pytest.approx((label == predicted).mean())
    assert list(found["IoU"]) == ["a", "b", "c", "d"]
    assert found["pixels"] == label.size


def test_absent_classes_are_left_out_and_no_class_is_wrong():
    metrics = SemanticMetrics(5)
    metrics.update(np.asarray([[0, 0, 255, 1]], np.uint8), np.asarray([[0, 0, 0, 1]], np.uint8))
    found = metrics.compute()
    assert found["mIoU"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["pixel_accuracy"] == 0.75
    assert math.isnan(SemanticMetrics(3).compute()["mIoU"])


def test_open_miou_counts_misses_and_rejections():
    # pixels: 0 right, 0 rejected, 1 right, anomaly rejected, anomaly called 1
    label = np.asarray([[0, 0, 1, 2, 2]], np.uint8)
    predicted = np.asarray([[0, 0, 1, 0, 1]], np.uint8)
    score = np.asarray([[0, 9, 0, 9, 0]], np.float32)
    metrics = OpenMetrics(2, threshold=1.0)
    metrics.update(predicted, score, label)
    assert metrics.compute()["open_mIoU"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    perfect = OpenMetrics(2, threshold=1.0)
    perfect.update(np.asarray([[0, 0, 1, 0, 1]], np.uint8), np.asarray([[0, 0, 0, 9, 9]], np.float32), label)
    assert perfect.compute()["open_mIoU"] == 1.0
    stray = OpenMetrics(2, threshold=1.0)
    stray.update(np.full((1, 5), 2, np.uint8), np.zeros((1, 5), np.float32), label)
    assert stray.compute()["open_mIoU"] == 0.0


def test_wrong_values_are_refused():
    with pytest.raises(DatasetError, match=r"\[4\]"):
        SemanticMetrics(4).update(np.zeros((2, 2), np.uint8), np.full((2, 2), 4, np.uint8))
    with pytest.raises(DatasetError, match="differ in size"):
        SemanticMetrics(4).update(np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8))
