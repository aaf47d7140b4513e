"""The golden frame of an accepted engine: as near as at its build, and room for a score that was rounded since."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.inference import golden_check
from oodseg_ros.inference.engine_cache import StoredEngine, draft
from oodseg_ros.inference.golden_check import ANSWER, verified
from oodseg_ros.inference.graph_cache import identity

SCORE = np.linspace(-25.0, 25.0, 64 * 128, dtype=np.float32).reshape(64, 128)
LABELS = np.zeros((64, 128), np.uint8)


@pytest.fixture
def engine(tiny_bundle: Path, tmp_path: Path) -> StoredEngine:
    wanted = identity(load_bundle(tiny_bundle), "fp16", 2, 64, 128, "sm_89", "tensorrt-10.15.1")
    with draft(wanted, tmp_path) as place:
        golden_check.store_answer(place.path(ANSWER), LABELS, SCORE)
        return place.store(True, golden={"max_abs_delta": 0.002, "label_agreement": 1.0})


def answering(score: np.ndarray, labels: np.ndarray = LABELS):
    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert images.shape == (2, 64, 128, 3)
        return np.stack([labels] * 2), np.stack([score] * 2)

    return run


def test_twice_the_distance_of_the_build_is_allowed(tiny_bundle: Path, engine: StoredEngine) -> None:
    bundle = load_bundle(tiny_bundle)
    assert verified(bundle, engine, answering(SCORE + 0.0039)) == pytest.approx(0.0039, abs=1e-5)
    with pytest.raises(EngineError, match="does not answer as it did when it was accepted"):
        verified(bundle, engine, answering(SCORE + 0.0042))


def test_a_score_in_float16_is_rounded_and_no_more(tiny_bundle: Path, engine: StoredEngine) -> None:
    bundle = load_bundle(tiny_bundle)
    half = SCORE.astype(np.float16).astype(np.float32)
    assert np.abs(half - SCORE).max() > 0.004
    with pytest.raises(EngineError):
        verified(bundle, engine, answering(half))
    assert verified(bundle, engine, answering(half), "fp16") > 0.004
    with pytest.raises(EngineError):
        verified(bundle, engine, answering(half + 0.05), "fp16")


@pytest.mark.parametrize("answer", [(SCORE, LABELS + 1), (SCORE * np.nan, LABELS)])
def test_other_labels_and_no_numbers_are_refused(tiny_bundle: Path, engine: StoredEngine, answer: tuple) -> None:
    with pytest.raises(EngineError):
        verified(load_bundle(tiny_bundle), engine, answering(*answer))
