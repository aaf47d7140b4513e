"""The gate: the torch engine as subject, as it is and broken in the ways in which engines break."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oodseg_ros.building.acceptance import GOLDEN_INPUTS, Acceptance, accept, largest_difference, next_tries, tried
from oodseg_ros.building.order import Order
from oodseg_ros.errors import DatasetError, EngineError
from oodseg_ros.inference.runner import Runner
from oodseg_ros.scenes import scene

SIZE = (192, 320)


@pytest.fixture(scope="module")
def ask() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    runner = Runner.load("road_lite", engine="torch")

    answers: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def _ask(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = image.tobytes()
        if key not in answers:
            prediction = runner([image])[0]
            answers[key] = prediction.labels, prediction.score
        labels, score = answers[key]
        return labels.copy(), score.copy()

    return _ask


@pytest.fixture(scope="module")
def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    scenes = [scene(seed, SIZE) for seed in range(4)]
    assert any((one.anomaly == 1).any() for one in scenes)
    return [(one.image, one.anomaly) for one in scenes]


def test_the_reference_accepts_itself(ask: Callable, pairs: list) -> None:
    result = accept(ask, ask, pairs, "scenes")
    assert result.passed
    assert result.max_abs_delta == 0.0
    assert result.label_agreement == 1.0
    assert result.frames == 4
    assert result.ap_engine == result.ap_reference > 0.03
    assert "accepted on 4 frames of scenes" in result.sentence


def test_noise_far_below_the_spread_of_scores_passes(ask: Callable, pairs: list) -> None:
    def noisy(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, score = ask(image)
        return labels, score + np.random.default_rng(0).normal(0, 1e-4 * score.std(), score.shape).astype(np.float32)

    result = accept(ask, noisy, pairs, "scenes")
    assert result.passed
    assert 0 < result.max_abs_delta < 0.1


def test_a_score_that_ranks_otherwise_fails_although_every_label_agrees(ask: Callable, pairs: list) -> None:
    result = accept(ask, lambda image: (ask(image)[0], -ask(image)[1]), pairs, "scenes")
    assert not result.passed
    assert result.label_agreement == 1.0
    assert result.sentence.startswith("refused (AP moved")


def test_the_allowed_deltas_decide(ask: Callable, pairs: list) -> None:
    def other(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, score = ask(image)
        return labels, score + np.where(np.arange(score.shape[1]) % 7 == 0, score.std(), 0).astype(np.float32)

    strict = accept(ask, other, pairs, "scenes", allowed_ap=1e-6, allowed_fpr95=1e-6)
    lenient = accept(ask, other, pairs, "scenes", allowed_ap=1.0, allowed_fpr95=1.0)
    assert not strict.passed
    assert lenient.passed


def test_one_pixel_without_a_number_fails(ask: Callable, pairs: list) -> None:
    def hole(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, score = ask(image)
        score[0, 0] = np.nan
        return labels, score

    result = accept(ask, hole, pairs, "scenes")
    assert not result.passed
    assert "not a number" in result.sentence


def test_flipped_labels_fail_although_the_score_is_right(ask: Callable, pairs: list) -> None:
    result = accept(ask, lambda image: (ask(image)[0][:, ::-1], ask(image)[1]), pairs, "scenes")
    assert not result.passed
    assert "labels differ" in result.sentence


@pytest.mark.parametrize("frames", [[], [(np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8))]])
def test_data_without_anomalies_accepts_nothing(ask: Callable, frames: list) -> None:
    result = accept(ask, ask, frames, "nothing")
    assert not result.passed
    assert "choose other data" in result.sentence


def test_class_ids_as_truth_are_refused(ask: Callable) -> None:
    with pytest.raises(DatasetError, match="neither 0"):
        accept(ask, ask, [(np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, 7, np.uint8))], "classes")


def test_fpr95_alone_can_refuse() -> None:
    result = Acceptance(0.9, 0.9, 0.01, 0.03, 0.1, 1.0, 5, "x", 0.005, 0.01)
    assert not result.passed
    assert "FPR95 moved" in result.sentence


def test_differences_ignore_pixels_that_neither_judges() -> None:
    expected = np.float32([[1, np.nan, np.inf]])
    assert largest_difference(expected, np.float32([[1.5, np.nan, np.inf]])) == 0.5
    assert np.isnan(largest_difference(expected, np.float32([[1.5, 0.0, np.inf]])))


@pytest.mark.parametrize(
    ("kind", "error", "accepted"),
    [
        (None, 0.0, True),
        ("dark", 0.02, False),
        ("noise", float("nan"), False),
        ("as it is", 0.001, True),
    ],
)
def test_a_build_tries_the_golden_frame_dark_bright_and_as_noise(kind, error: float, accepted: bool) -> None:
    """An engine that is right on the gate's frames and wrong on others is refused, with the input named."""
    image = np.random.default_rng(1).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    wrong = None if kind is None else GOLDEN_INPUTS[kind](image)

    def reference(picture: np.ndarray):
        return np.zeros(picture.shape[:2], np.uint8), picture.mean(axis=2, dtype=np.float32)

    def engine(picture: np.ndarray):
        labels, score = reference(picture)
        if wrong is not None and np.array_equal(picture, wrong):
            score = score + error * score.std()
        return labels, score

    if accepted:
        assert list(tried(image, reference, engine, "fp32", "x")) == ["as it is", "dark", "bright", "noise"]
    else:
        with pytest.raises(EngineError, match=f"golden frame, {kind}: .*nothing was stored"):
            tried(image, reference, engine, "fp32", "x")


def test_rounding_is_no_fault_in_half_precision_and_int8_only_needs_numbers() -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, 64, 3), dtype=np.uint8)

    def answer(shift: float):
        return lambda picture: (np.zeros((32, 64), np.uint8), picture.mean(axis=2, dtype=np.float32) + shift)

    small = 0.1 * image.mean(axis=2).std()
    assert max(tried(image, answer(0.0), answer(0.01 * small), "fp16", "x").values()) < 0.15
    assert max(tried(image, answer(0.0), answer(100 * small), "int8", "x").values()) > 1
    with pytest.raises(EngineError, match="as it is"):
        tried(image, answer(0.0), answer(float("nan")), "int8", "x")


def refused(**change: float) -> Acceptance:
    same = dict(ap_reference=0.8, ap_engine=0.8, fpr95_reference=0.1, fpr95_engine=0.1, max_abs_delta=1.0)
    more = dict(label_agreement=0.999, frames=24, data="scenes", allowed_ap=0.005, allowed_fpr95=0.01)
    return Acceptance(**(same | more | change))


@pytest.mark.parametrize(
    ("order", "change", "words", "absent"),
    [
        (
            ("openvino", "int8"),
            {"ap_engine": 0.75},
            ("--precision bf16 or fp32", "--calibration", "24 (--frames", "--allowed-ap above 0.05"),
            ("fp16", "--quantize", "--allowed-fpr95"),
        ),
        (("tensorrt", "int8"), {"fpr95_engine": 0.2}, ("--precision bf16 or fp16 or fp32", "--quantize decoder"), ()),
        (("torch", "bf16"), {"ap_engine": 0.9}, ("--precision fp32;", "--allowed-ap above 0.1"), ("--calibration",)),
        (("openvino", "bf16"), {"label_agreement": 0.5}, ("--precision fp32;",), ("--allowed",)),
        (("openvino", "bf16"), {"ap_reference": float("nan")}, ("other labeled frames",), ("--precision",)),
    ],
)
def test_a_refusal_says_what_to_try_next(order: tuple, change: dict, words: tuple, absent: tuple) -> None:
    verdict = refused(**change)
    assert not verdict.passed
    told = next_tries(Order(*order, *SIZE), verdict)
    assert all(word in told for word in words), told
    assert not any(word in told for word in absent), told
