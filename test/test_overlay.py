"""The overlay shows what was decided, at any size, and nothing that was not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.frame import UNLABELED, Alert, AlertState, Frame, GroundPosition, Obstacle, Prediction
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import Calibration
from oodseg_ros.overlay import BOX_COLOR, STATE_COLORS, caption, draw_overlay, headline, range_text
from oodseg_ros.parameters.judging import ObstacleSettings
from oodseg_ros.pipeline.camera import CameraPipeline, Judgement

LABELS = load_labels("driving11")
CALIBRATION = Calibration(threshold=1.0, table=[(-1.0, 0.0), (0.0, 0.5), (3.0, 1.0)], source="by hand")


def judge(score: np.ndarray, labels: np.ndarray | None = None, ego: np.ndarray | None = None) -> Judgement:
    settings_ = ObstacleSettings(min_area=20, trigger_hits=1, trigger_window=1, release_frames=1)
    labels = np.full(score.shape, 3, np.uint8) if labels is None else labels
    frame = Frame(np.zeros((*score.shape, 3), np.uint8))
    return CameraPipeline(CALIBRATION, settings_, ego).judge(frame, Prediction(labels, score, "t"), 0)


def calm(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width), -5.0, np.float32)


def gray(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def test_input_is_kept_and_output_is_a_new_rgb_image():
    image = gray()
    drawn = draw_overlay(image, judge(calm()), LABELS)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert drawn.flags.c_contiguous
    assert (image == 100).all()


@pytest.mark.parametrize("alpha", [0.0, 0.45, 1.0])
def test_class_colors_have_their_weight(alpha):
    drawn = draw_overlay(gray(), judge(calm()), LABELS, alpha)
    road = np.array(LABELS.colors[3])
    np.testing.assert_allclose(drawn[150, 150], np.round(alpha * road + (1 - alpha) * 100), atol=1)


def test_pixels_without_a_class_keep_the_image():
    labels = np.full((240, 320), 3, np.uint8)
    labels[100:200, 100:200] = UNLABELED
    drawn = draw_overlay(gray(), judge(calm(), labels), LABELS)
    assert (drawn[110:190, 110:190] == 100).all()


def test_banner_and_frame_have_the_color_of_the_state():
    hot = calm()
    hot[100:140, 100:140] = 2.0
    for score, state in ((calm(), AlertState.CLEAR), (hot, AlertState.OBSTACLE), (hot * np.nan, AlertState.UNKNOWN)):
        judgement = judge(score)
        assert judgement.alert.state is state
        drawn = draw_overlay(gray(), judgement, LABELS)
        for row, column in ((1, 300), (239, 100), (120, 0), (120, 319)):
            assert tuple(drawn[row, column]) == STATE_COLORS[state][0]


def test_heat_grows_with_the_calibrated_score():
    score = calm()
    score[100:200, 50:280] = np.linspace(-1.0, 0.95, 230, dtype=np.float32)
    judgement = judge(score)
    assert judgement.obstacles == ()
    drawn = draw_overlay(gray(), judgement, LABELS).astype(int)
    red = drawn[150, 50:280, 0]
    plain = draw_overlay(gray(), judge(calm()), LABELS)[150, 150].astype(int)
    assert (np.abs(drawn[150, 50:165] - plain) <= 1).all(), "no heat below a calibrated score of 0.5"
    assert (np.diff(red) >= -1).all()
    assert red[-1] > red[0] + 10


@pytest.mark.parametrize("threshold", [0.3, 1.0, 11.5])
def test_full_red_is_what_the_alert_counts_and_nothing_below_it(threshold):
    """Heat was full red from a raw score of 6 on, where the alert needed 11.5."""
    score = calm()
    score[100:140] = np.linspace(threshold - 3, threshold + 3, 320, dtype=np.float32)
    score[100:140, 160] = np.float32(threshold)  # not above it
    bare = Judgement(
        judge(calm()).prediction, np.zeros((240, 320), np.uint8), (), judge(calm()).alert, 0, CALIBRATION,
        threshold=threshold,
    )  # fmt: skip
    hot = replace(bare, prediction=replace(bare.prediction, score=score))
    drawn = draw_overlay(gray(), hot, LABELS)[120].astype(int)
    red = tuple(drawn[300])
    same = (drawn == red).all(-1)
    assert np.array_equal(same[10:310], (score[120] > np.float32(threshold))[10:310])


def test_heat_is_only_where_the_score_is_high():
    hot = calm()
    hot[100:140, 100:140] = 2.0
    with_heat, without = draw_overlay(gray(), judge(hot), LABELS), draw_overlay(gray(), judge(calm()), LABELS)
    changed = (with_heat != without).any(-1)
    changed[:60] = changed[-4:] = changed[:, :4] = changed[:, -4:] = False  # banner and frame
    rows, columns = np.nonzero(changed)
    # Box, outline and the caption above: nothing farther away.
    assert rows.min() > 75
    assert rows.max() <= 142
    assert columns.min() >= 97
    assert changed[105:135, 105:135].all()


def test_box_is_drawn_on_the_obstacles_own_pixels():
    hot = calm()
    hot[100:140, 100:140] = 2.0
    drawn = draw_overlay(gray(), judge(hot), LABELS)
    for row, column in ((100, 120), (139, 120), (120, 100), (120, 139)):
        assert tuple(drawn[row, column]) == BOX_COLOR


def test_ego_vehicle_is_gray_and_dark():
    ego = np.zeros((240, 320), np.uint8)
    ego[180:] = 255
    hot = calm()
    hot[200:220, 100:140] = 9.0
    image = gray()
    image[..., 0] = 200
    drawn = draw_overlay(image, judge(hot, ego=ego), LABELS)
    region = drawn[185:235, 10:310]
    assert (region == region[..., :1]).all()
    assert region.max() < 100


def test_judgement_without_calibration_still_has_outline_and_box():
    hot = calm()
    hot[100:140, 100:140] = 2.0
    judgement = judge(hot)
    bare = Judgement(judgement.prediction, judgement.mask, judgement.obstacles, judgement.alert)
    assert tuple(draw_overlay(gray(), bare, LABELS)[100, 120]) == BOX_COLOR


@given(st.integers(32, 200), st.integers(32, 300), st.integers(0, 9))
@settings(max_examples=25)
def test_any_size_and_any_score(height, width, seed):
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 3, (height, width)).astype(np.float32)
    labels = rng.choice([0, 3, 10, UNLABELED], (height, width)).astype(np.uint8)
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    assert draw_overlay(image, judge(score, labels), LABELS).shape == image.shape


def test_full_hd_with_fifty_obstacles():
    score = calm(1080, 1920)
    for index in range(60):
        x, y = 30 + index % 12 * 155, 80 + index // 12 * 190
        score[y : y + 30, x : x + 40] = 2.0
    judgement = judge(score)
    drawn = draw_overlay(gray(1080, 1920), judgement, LABELS)
    assert len(judgement.obstacles) == 50
    assert judgement.unlisted == 10
    for obstacle in judgement.obstacles:
        assert tuple(drawn[obstacle.box[1], obstacle.box[0] + 20]) == BOX_COLOR, "no caption covers another obstacle"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (12.2, 15.4, "12-15 m"),
        (4.86, 5.42, "4.9-5.4 m"),
        (0.0, 3.2, "<4 m"),
        (31.0, math.inf, ">31 m"),
        (20.1, 20.3, "20 m"),
        (0.0, math.inf, ">0 m"),
        (54.2, 509.0, ">54 m"),
    ],
)
def test_ranges_in_words(low, high, text):
    assert range_text(low, high) == text


def obstacle(track: int = 3, ground: GroundPosition | None = None) -> Obstacle:
    return Obstacle((0, 0, 9, 9), 81, 0.974, (4.0, 8.0), track, 2, ground)


def test_captions():
    near = GroundPosition((11.0, 0.0, 0.0), 10.0, 12.4)
    assert caption(obstacle()) == "#3 97%"
    assert caption(obstacle(0)) == "97%"
    assert caption(obstacle(ground=near)) == "#3 97% 10-12 m"
    assert caption(replace(obstacle(ground=near), margin=1.66)) == "#3 +1.7 10-12 m"


def test_headline_tells_count_and_nearest_or_the_reason():
    near = obstacle(ground=GroundPosition((11.0, 0.0, 0.0), 10.0, 12.4))
    far = obstacle(ground=GroundPosition((40.0, 0.0, 0.0), 30.0, math.inf))
    alert = Alert(AlertState.OBSTACLE, "obstacle", obstacles=(far, near, obstacle()))
    assert headline(alert) == "3 objects, nearest 10-12 m"
    assert headline(alert, unlisted=2) == "5 objects, nearest 10-12 m"
    assert headline(Alert(AlertState.OBSTACLE, "obstacle", obstacles=(obstacle(),))) == "1 object"
    assert headline(Alert(AlertState.OBSTACLE, "releasing")) == "releasing"
    assert headline(Alert(AlertState.UNKNOWN, "score_not_finite")) == "score not finite"
