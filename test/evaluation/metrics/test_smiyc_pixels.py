import math

import numpy as np
import pytest

from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.evaluation.metrics.smiyc_pixels import SmiycPixelMetrics


def frames(count: int, shape=(80, 90)):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        label = (rng.random(shape) < 0.08).astype(np.uint8)
        score = (rng.normal(size=shape) * 3 + 2 * label - 5 + seed / 4).astype(np.float32)
        label[rng.random(shape) < 0.2] = 255
        yield score, label


def reference(data) -> dict[str, float]:
    """Frame by frame with numpy's own histogram, then one walk over all thresholds."""
    steps, totals = {}, [0, 0]
    for score, label in data:
        score = score.astype(np.float16)
        edges = []
        for value in (1, 0):
            chosen = score[label == value]
            totals[value] += chosen.size
            edges.append(np.quantile(chosen, np.linspace(0, 1, min(384, chosen.size))))
        top = max(edges[0].max(), edges[1].max())
        edges = np.unique(np.concatenate([*edges, [top + 0.01]]).astype(np.float64))
        for value in (0, 1):
            counts, _ = np.histogram(score[label == value].astype(np.float64), bins=edges)
            for edge, count in zip(edges[:-1].tolist(), counts.tolist(), strict=True):
                steps.setdefault(edge, [0, 0])[value] += count
    tp = fp = 0
    ap = area = recall = fpr = best = 0.0
    threshold = None
    fpr95 = None
    for edge in sorted(steps, reverse=True):
        fp, tp = fp + steps[edge][0], tp + steps[edge][1]
        ap += (tp / totals[1] - recall) * (tp / (tp + fp) if tp + fp else 1)
        area += (fp / totals[0] - fpr) * (tp / totals[1] + recall) / 2
        recall, fpr = tp / totals[1], fp / totals[0]
        if 2 * tp / (tp + fp + totals[1]) > best:
            best, threshold = 2 * tp / (tp + fp + totals[1]), edge
        fpr95 = fpr if fpr95 is None and recall >= 0.95 else fpr95
    return {"AP": ap, "AUROC": area, "FPR95": fpr95, "best_F1": best, "best_F1_threshold": threshold}


def test_equals_the_rule_step_by_step():
    metrics = SmiycPixelMetrics()
    for score, label in frames(5):
        metrics.update(score, label)
    found = metrics.compute()
    for key, value in reference(frames(5)).items():
        assert found[key] == pytest.approx(value, abs=1e-12), key
    assert found["rule"] == "smiyc"


def test_close_to_the_exact_figures_but_not_equal():
    binned, exact = SmiycPixelMetrics(), PixelMetrics()
    for score, label in frames(5):
        binned.update(score, label)
        exact.update(score, label)
    for key in ("AP", "AUROC", "FPR95", "best_F1"):
        difference = abs(binned.compute()[key] - exact.compute()[key])
        assert 0 < difference < 5e-3, key


def test_merge_equals_one_run():
    whole, shards = SmiycPixelMetrics(), [SmiycPixelMetrics(), SmiycPixelMetrics()]
    for index, (score, label) in enumerate(frames(4)):
        whole.update(score, label)
        shards[index % 2].update(score, label)
    assert shards[1].merge(shards[0]).compute() == whole.compute()


def test_constant_one_sided_and_infinite_frames():
    metrics = SmiycPixelMetrics()
    metrics.update(np.full((5, 5), 3, np.float32), np.eye(5, dtype=np.uint8))
    assert metrics.compute()["AP"] == pytest.approx(0.2)
    metrics.update(np.full((5, 5), 1e6, np.float32), np.ones((5, 5), np.uint8))
    metrics.update(np.zeros((5, 5), np.float32), np.zeros((5, 5), np.uint8))
    assert metrics.totals == (45, 30)
    assert 0 < metrics.compute()["AP"] < 1
    assert math.isnan(SmiycPixelMetrics().compute()["AP"])
