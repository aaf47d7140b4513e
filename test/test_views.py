"""Images made of an answer: what they say of each pixel, for people and for costmaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oodseg_ros.frame import UNLABELED, Prediction
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import Calibration
from oodseg_ros.views import ANOMALOUS_RGB, UNJUDGED_RGB, UNKNOWN_ID, class_picture, confidence, open_set, score_picture

CALIBRATION = Calibration(
    threshold=4.0, table=[(-8.0, 0.0), (0.0, 0.1), (3.9, 0.5), (4.1, 0.9), (20.0, 1.0)], source="x"
)
LABELS = load_labels("driving11")

scores = arrays(np.float32, (7, 9), elements=st.floats(-1024, 1024, width=32) | st.just(float("nan")))


def prediction(score: np.ndarray, labels: np.ndarray | None = None) -> Prediction:
    labels = np.full(score.shape, 3, np.uint8) if labels is None else labels
    return Prediction(labels, score, "x")


@given(scores)
def test_confidence_is_the_calibrated_score_turned_round(score: np.ndarray) -> None:
    sure = confidence(score, CALIBRATION)
    judged = ~np.isnan(score)
    expected = 255 * (1 - CALIBRATION.calibrate(score[judged].astype(np.float64)))
    np.testing.assert_allclose(sure[judged], expected, atol=1.0)
    assert not sure[~judged].any()
    assert (sure.dtype, sure.shape) == (np.uint8, score.shape)


@given(scores)
def test_the_score_picture_is_gray_orange_or_blue_and_never_dark_for_what_was_not_judged(score: np.ndarray) -> None:
    mask = (score > CALIBRATION.threshold).astype(np.uint8) * 255
    picture = score_picture(score, mask, CALIBRATION)
    assert (picture[np.isnan(score)] == UNJUDGED_RGB).all()
    assert (picture[mask != 0] == ANOMALOUS_RGB).all()
    calm = picture[(mask == 0) & ~np.isnan(score)].astype(int)
    assert (calm[:, :1] == calm).all(), "gray"
    order = np.argsort(score[(mask == 0) & ~np.isnan(score)])
    assert (np.diff(calm[order, 0]) >= 0).all(), "brighter = less known"


def test_class_ids_get_their_colors_and_nothing_the_color_of_a_class() -> None:
    ids = np.array([[0, 3, len(LABELS) - 1, UNLABELED]], np.uint8)
    picture = class_picture(prediction(np.zeros(ids.shape, np.float32), ids), LABELS)
    np.testing.assert_array_equal(picture[0, :3], [LABELS.colors[index] for index in (0, 3, len(LABELS) - 1)])
    assert not picture[0, 3].any()
    assert len({tuple(color) for color in LABELS.colors}) == len(LABELS)


def test_open_set_tells_unknown_and_not_judged_from_the_classes() -> None:
    score = np.array([[0.0, 9.0, np.nan, 1.0]], np.float32)
    mask = np.array([[0, 255, 0, 0]], np.uint8)
    before = prediction(score, np.array([[3, 3, 3, 4]], np.uint8))
    np.testing.assert_array_equal(open_set(before, mask), [[3, UNKNOWN_ID, UNLABELED, 4]])
    np.testing.assert_array_equal(before.labels, [[3, 3, 3, 4]])
