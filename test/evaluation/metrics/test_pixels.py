import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from oodseg_ros.errors import DatasetError
from oodseg_ros.evaluation.metrics import paired_histogram
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics


def frame(seed: int, shape=(40, 60), void=0.2):
    rng = np.random.default_rng(seed)
    label = (rng.random(shape) < 0.1).astype(np.uint8)
    score = (rng.normal(size=shape) + 1.5 * label).astype(np.float32)
    label[rng.random(shape) < void] = 255
    return score, label


def by_sklearn(score: np.ndarray, label: np.ndarray) -> dict[str, float]:
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    precision, recall, thresholds = precision_recall_curve(label, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    best = np.flatnonzero(f1 == f1.max())[-1]
    return {
        "AP": average_precision_score(label, score),
        "AUROC": roc_auc_score(label, score),
        "FPR95": fpr[np.argmax(tpr >= 0.95)],
        "best_F1": f1[best],
        "best_F1_threshold": thresholds[min(best, len(thresholds) - 1)],
    }


def by_counting(score: list[float], label: list[int]) -> dict[str, float]:
    """Every figure from its definition, one threshold at a time."""
    positives, negatives = label.count(1), label.count(0)
    ap = area = previous_recall = previous_fpr = 0.0
    best, fpr95 = -1.0, None
    for threshold in sorted(set(score), reverse=True):
        tp = sum(s >= threshold and y == 1 for s, y in zip(score, label, strict=True))
        fp = sum(s >= threshold and y == 0 for s, y in zip(score, label, strict=True))
        recall, precision = tp / positives, tp / (tp + fp)
        fpr = fp / negatives if negatives else math.nan
        ap += (recall - previous_recall) * precision
        area += (fpr - previous_fpr) * (recall + previous_recall) / 2
        best = max(best, 2 * tp / (tp + fp + positives))
        if fpr95 is None and recall >= 0.95:
            fpr95 = fpr
        previous_recall, previous_fpr = recall, fpr
    return {"AP": ap, "AUROC": area if negatives else math.nan, "FPR95": fpr95, "best_F1": best}


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-6, 0), (1e30, 0), (0.01, 1e4), (5, -20), (1, 25)])
def test_equals_sklearn_on_raw_scores_of_any_range(scale, offset):
    metrics, scores, labels = PixelMetrics(), [], []
    for seed in range(4):
        score, label = frame(seed)
        score = (score * np.float32(scale) + np.float32(offset)).astype(np.float32)
        metrics.update(score, label)
        scores.append(score[label != 255])
        labels.append(label[label != 255])
    found = metrics.compute()
    expected = by_sklearn(np.concatenate(scores), np.concatenate(labels))
    for key in ("AP", "AUROC", "FPR95", "best_F1"):
        assert found[key] == pytest.approx(expected[key], abs=1e-9), key
    assert found["best_F1_threshold"] == pytest.approx(expected["best_F1_threshold"], rel=1e-6)
    assert found["AP_error"] == found["AUROC_error"] == 0


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int32, bool])
def test_other_types_of_scores(kind):
    score, label = frame(1)
    # as float32 these float64 scores would all be equal
    score = 1e6 + 1e-4 * score.astype(np.float64) if kind is np.float64 else (20 * score).astype(kind)
    metrics = PixelMetrics()
    metrics.update(score, label)
    found, expected = metrics.compute(), by_sklearn(score[label != 255].astype(np.float64), label[label != 255])
    for key in ("AP", "AUROC", "FPR95", "best_F1"):
        assert found[key] == pytest.approx(expected[key], abs=1e-9), key
    assert expected["best_F1_threshold"] > found["best_F1_threshold"] == pytest.approx(expected["best_F1_threshold"])


def test_float64_beyond_the_limit_is_rounded_and_says_so(monkeypatch):
    limited = lambda: paired_histogram.PairedHistogram(sparse_limit=100)  # noqa: E731
    monkeypatch.setattr("oodseg_ros.evaluation.metrics.pixels.PairedHistogram", limited)
    score, label = frame(1)
    score = 100 + 1e-5 * score.astype(np.float64)
    metrics = PixelMetrics()
    metrics.update(score, label)
    found, expected = metrics.compute(), by_sklearn(score[label != 255], label[label != 255])
    for key in ("AP", "AUROC"):
        assert 0 < abs(found[key] - expected[key]) <= found[f"{key}_error"]
    assert paired_histogram.PairedHistogram.from_state(metrics.histogram.state()).rounded


@pytest.mark.parametrize("bins", [1 << 16, 1 << 20, 1 << 25])
def test_coarse_bins_stay_within_their_stated_error(monkeypatch, bins):
    def limited() -> paired_histogram.PairedHistogram:
        return paired_histogram.PairedHistogram(bins=bins, sparse_limit=1000)

    monkeypatch.setattr("oodseg_ros.evaluation.metrics.pixels.PairedHistogram", limited)
    metrics = PixelMetrics()
    score, label = frame(0, (300, 400))
    metrics.update(score, label)
    found, expected = metrics.compute(), by_sklearn(score[label != 255], label[label != 255])
    assert metrics.histogram.shift > 0 or bins == 1 << 25
    for key in ("AP", "AUROC"):
        assert abs(found[key] - expected[key]) <= found[f"{key}_error"] + 1e-12
    if bins == 1 << 25:
        for key in ("AP", "AUROC", "FPR95", "best_F1"):
            assert found[key] == pytest.approx(expected[key], abs=1e-4)


wild = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(wild, st.sampled_from([0, 1, 255])), min_size=1, max_size=40), st.integers(1, 4))
def test_wild_scores_against_the_definitions(pixels, frames):
    score = np.asarray([[s for s, _ in pixels]], np.float32)
    label = np.asarray([[y for _, y in pixels]], np.uint8)
    metrics = PixelMetrics()
    for part in range(frames):
        metrics.update(score[:, part::frames], label[:, part::frames])
    found = metrics.compute()
    judged = [
        (s, y) for s, y in zip(score[0].tolist(), label[0].tolist(), strict=True) if y != 255 and not math.isnan(s)
    ]
    assert found["unjudged"] == sum(y != 255 and math.isnan(s) for s, y in zip(score[0], label[0], strict=True))
    assert (found["positives"], found["negatives"]) == tuple(sum(y == want for _, y in judged) for want in (1, 0))
    if not found["positives"]:
        assert all(math.isnan(found[key]) for key in ("AP", "AUROC", "FPR95", "best_F1"))
        return
    expected = by_counting([s for s, _ in judged], [y for _, y in judged])
    for key, value in expected.items():
        if key == "FPR95" and not found["negatives"]:
            assert math.isnan(found[key])
        else:
            assert found[key] == pytest.approx(value, abs=1e-9, nan_ok=True), key


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(wild, st.sampled_from([0, 1])), min_size=2, max_size=30))
def test_threshold_is_strict_and_gives_the_best_f1(pixels):
    score = np.asarray([s for s, _ in pixels], np.float32)
    label = np.asarray([y for _, y in pixels], np.uint8)
    metrics = PixelMetrics()
    metrics.update(score, label)
    found = metrics.compute()
    judged = ~np.isnan(score)
    if not found["positives"] or np.isneginf(score).any():  # nothing lies below -inf
        return
    predicted = score[judged] > np.float32(found["best_F1_threshold"])
    tp = np.count_nonzero(predicted & (label[judged] == 1))
    assert 2 * tp / (predicted.sum() + found["positives"]) == pytest.approx(found["best_F1"])


def nearest_recall_reference(score: np.ndarray, label: np.ndarray) -> float:
    best = None
    positives = (label == 1).sum()
    reached_all = False
    for threshold in sorted(set(score.tolist()), reverse=True):
        taken = score >= threshold
        recall = (taken & (label == 1)).sum() / positives
        if reached_all:
            break
        reached_all = recall == 1
        fpr = (taken & (label == 0)).sum() / (label == 0).sum()
        entry = (abs(recall - 0.95), -recall, -fpr)
        best = entry if best is None else min(best, entry)
    return -best[2]


@pytest.mark.parametrize("seed", range(30))
def test_nearest_recall_rule(seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(200) < 0.1).astype(np.uint8)
    label[:2] = 0, 1
    score = rng.normal(size=200).round(1).astype(np.float32) + label
    metrics = PixelMetrics()
    metrics.update(score, label)
    assert metrics.figures().fpr["nearest_recall"][0] == pytest.approx(nearest_recall_reference(score, label))


def test_merge_and_saved_state_give_equal_figures(tmp_path):
    whole, shards = PixelMetrics(), [PixelMetrics(), PixelMetrics(), PixelMetrics()]
    for seed in range(7):
        whole.update(*frame(seed))
        shards[seed % 3].update(*frame(seed))
    shards[1].save(tmp_path / "shard.npz")
    merged = shards[2].merge(PixelMetrics.load(tmp_path / "shard.npz")).merge(shards[0])
    assert merged.compute() == whole.compute()


def test_wrong_labels_and_sizes_are_refused_with_a_sentence():
    score, label = frame(0)
    with pytest.raises(DatasetError, match="differ in size"):
        PixelMetrics().update(score[:-1], label)
    label[0, 0] = 2
    with pytest.raises(DatasetError, match=r"label values \[2\]"):
        PixelMetrics().update(score, label)


def test_nothing_to_judge_is_nan_not_zero():
    metrics = PixelMetrics()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metrics.compute()["AP"])
        metrics.update(np.zeros((4, 4), np.float32), np.full((4, 4), 255, np.uint8))
        metrics.update(np.full((4, 4), np.nan, np.float32), np.ones((4, 4), np.uint8))
        found = metrics.compute()
    assert math.isnan(found["AP"])
    assert (found["void"], found["unjudged"], found["frames"]) == (16, 16, 2)
