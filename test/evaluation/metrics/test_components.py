import math
from collections import deque

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.errors import DatasetError
from oodseg_ros.evaluation.metrics import components as component_metrics
from oodseg_ros.evaluation.metrics.components import ComponentMetrics, Track


def flood(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """8-connected components as sets of pixels, by walking."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    found = []
    while left:
        component, queue = set(), deque([left.pop()])
        while queue:
            y, x = queue.popleft()
            component.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue.extend(near)
        found.append(component)
    return found


def reference(frames, threshold: float, track: Track) -> dict[str, float]:
    """The rule with sets of pixels, one component at a time."""
    siou, ppv = [], []
    for score, label in frames:
        void = {tuple(p) for p in np.argwhere(label == 255).tolist()}
        truth = flood(label == 1)
        predicted = [c for c in flood((score > threshold) & (label != 255)) if len(c) >= track.predicted]
        for component in truth:
            if len(component) < track.truth:
                void |= component
        truth = [c for c in truth if len(c) >= track.truth]
        predicted = [c - void for c in predicted if c - void]
        everything = set().union(*truth) if truth else set()
        for component in truth:
            union = set().union(*(p for p in predicted if p & component))
            others = everything - component
            siou.append(len(component & union) / (len(union | component) - len(union & others)))
        ppv += [len(p & everything) / len(p) for p in predicted]
    f1 = []
    for tau in np.linspace(0.25, 0.75, 11):  # one of these is 0.6000000000000001: 3/5 fails it, there as here
        tp = sum(s >= tau for s in siou)
        fp = sum(p < tau for p in ppv)
        f1.append(2 * tp / (tp + len(siou) + fp) if tp + len(siou) + fp else math.nan)
    return {
        "sIoU": sum(siou) / len(siou) if siou else math.nan,
        "PPV": sum(ppv) / len(ppv) if ppv else 0.0,
        "F1": sum(f1) / 11,
    }


def blobs(seed: int, shape=(60, 80)):
    import cv2

    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), 2.5)
    other = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), 2.5)
    label = (field > 0.12).astype(np.uint8)
    label[cv2.GaussianBlur(rng.normal(size=shape), (0, 0), 4) > 0.1] = 255
    return (field + 0.6 * other).astype(np.float32), label


@pytest.mark.parametrize("limits", [Track(1, 1), Track(40, 12), Track(300, 50)])
@pytest.mark.parametrize("threshold", [-0.05, 0.1, 0.3])
def test_equals_the_rule_written_with_sets(monkeypatch, limits, threshold):
    monkeypatch.setitem(component_metrics.TRACKS, "anomaly", limits)
    frames = [blobs(seed) for seed in range(5)]
    metrics = ComponentMetrics("anomaly")
    for score, label in frames:
        metrics.update(score, label)
    found, expected = metrics.compute(threshold), reference(frames, threshold, limits)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-12, nan_ok=True), key


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 9), st.integers(1, 4), st.integers(1, 4))
def test_tiny_random_frames(seed, height, width, least_predicted, least_truth):
    rng = np.random.default_rng(seed)
    label = rng.choice(np.asarray([0, 1, 255], np.uint8), (height, width), p=[0.5, 0.4, 0.1])
    score = rng.random((height, width)).astype(np.float32)
    score[rng.random((height, width)) < 0.1] = np.nan
    track = Track(least_predicted, least_truth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(component_metrics.TRACKS, "anomaly", track)
        components = component_metrics.frame_components(score, label, 0.5, "anomaly")
    found = component_metrics.summarize_components([components])
    for key, value in reference([(score, label)], 0.5, track).items():
        assert found[key] == pytest.approx(value, abs=1e-12, nan_ok=True), key


def test_two_objects_under_one_prediction_share_it():
    label = np.zeros((40, 60), np.uint8)
    label[10:20, 10:20] = label[10:20, 30:40] = 1
    score = np.zeros((40, 60), np.float32)
    score[10:20, 10:40] = 1  # 300 pixels, 200 of them true
    components = component_metrics.frame_components(score, label, 0.5, "obstacle")
    # |k ∩ P| = 100, |P ∪ k| = 300, 100 of it on the other object
    assert components.siou.tolist() == [0.5, 0.5]
    assert components.ppv.tolist() == [pytest.approx(2 / 3)]
    assert components.truth_area.tolist() == [100, 100]
    assert components.truth_box.tolist() == [[10, 10, 20, 20], [30, 10, 40, 20]]


def test_size_limits_of_the_tracks():
    label = np.zeros((100, 200), np.uint8)
    label[5:15, 5:15] = 1  # 100 px: counts in both tracks
    label[50:59, 50:61] = 1  # 99 px: void on the anomaly track
    label[80:82, 80:84] = 1  # 8 px: void on both
    score = (label == 1).astype(np.float32)
    score[20:40, 150:175] = 1  # 500 px false alarm: counts in both
    score[70:72, 150:175] = 1  # 50 px false alarm: only the obstacle track sees it
    anomaly = component_metrics.frame_components(score, label, 0.5, "anomaly")
    assert (anomaly.siou.tolist(), anomaly.ppv.tolist()) == ([0.0], [0.0])
    obstacle = component_metrics.frame_components(score, label, 0.5, "obstacle")
    assert obstacle.siou.tolist() == [1.0, 1.0]
    assert sorted(obstacle.ppv.tolist()) == [0.0, 0.0, 1.0, 1.0]


def test_threshold_is_strict_and_void_is_not_predicted():
    label = np.zeros((30, 30), np.uint8)
    label[:, :15] = 255
    score = np.full((30, 30), 0.5, np.float32)
    assert component_metrics.frame_components(score, label, 0.5, "obstacle").ppv.size == 0
    score[:, :15] = 1
    assert component_metrics.frame_components(score, label, 0.5, "obstacle").ppv.size == 0


def test_nothing_predicted_and_nothing_there():
    label = np.zeros((50, 50), np.uint8)
    label[10:30, 10:30] = 1
    metrics = ComponentMetrics("obstacle")
    metrics.update(np.zeros((50, 50), np.float32), label)
    found = metrics.compute(0.5)
    assert (found["sIoU"], found["PPV"], found["F1"], found["predicted_components"]) == (0, 0, 0, 0)
    metrics = ComponentMetrics("obstacle")
    metrics.update(np.zeros((50, 50), np.float32), np.zeros((50, 50), np.uint8))
    found = metrics.compute(0.5)
    assert math.isnan(found["sIoU"])
    assert math.isnan(found["F1"])


def test_merging_and_a_kept_folder_change_nothing(tmp_path):
    whole = ComponentMetrics("obstacle")
    shards = [ComponentMetrics("obstacle", folder=tmp_path / str(i)) for i in range(2)]
    for seed in range(4):
        whole.update(*blobs(seed))
        shards[seed % 2].update(*blobs(seed))
    reopened = ComponentMetrics("obstacle", folder=tmp_path / "1")
    assert shards[0].merge(reopened).compute(0.1) == whole.compute(0.1)


def test_wrong_labels_are_refused():
    score, label = blobs(0)
    with pytest.raises(DatasetError):
        ComponentMetrics("obstacle").update(score, np.where(label == 255, 9, label))


def test_what_others_found_is_judged_by_the_same_rule():
    rng = np.random.default_rng(8)
    by_threshold, given = ComponentMetrics("obstacle"), ComponentMetrics("obstacle")
    for _ in range(3):
        score = cv2.GaussianBlur(rng.normal(size=(80, 120)).astype(np.float32), (0, 0), 3)
        label = (cv2.GaussianBlur(rng.normal(size=(80, 120)), (0, 0), 4) > 0.1).astype(np.uint8)
        label[:4] = 255
        by_threshold.update(score, label)
        other = ComponentMetrics("obstacle")
        other.update(score, label, np.where(score > np.float32(0.1), 255, 0).astype(np.uint8))
        given.merge(other)
    expected = by_threshold.compute(np.float32(0.1))
    del expected["threshold"]
    assert given.compute_predicted() == expected
