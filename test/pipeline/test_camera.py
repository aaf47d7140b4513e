"""One camera from prediction to alert, with scores made by hand."""

import math

import numpy as np
import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.frame import AlertState, Frame, Prediction
from oodseg_ros.model_card import Calibration
from oodseg_ros.object_rule import Objects
from oodseg_ros.parameters.judging import ObstacleSettings
from oodseg_ros.pipeline.camera import CameraPipeline
from oodseg_ros.pipeline.geometry.ground import mounted

H, W = 120, 200
CALIBRATION = Calibration(threshold=1.0, table=[(0.0, 0.0), (1.0, 0.5), (3.0, 1.0)], source="by hand")
SECOND = 10**9


def pipeline(mask: np.ndarray | None = None, **settings) -> CameraPipeline:
    return CameraPipeline(CALIBRATION, ObstacleSettings(min_area=20, **settings), mask)


def frame(stamp: float = 0.0) -> Frame:
    return Frame(np.zeros((H, W, 3), np.uint8), round(stamp * SECOND), "front")


def prediction(*boxes: tuple[int, int, int, int], value: float = 2.0) -> Prediction:
    score = np.zeros((H, W), np.float32)
    for x0, y0, x1, y1 in boxes:
        score[y0:y1, x0:x1] = value
    return Prediction(np.zeros((H, W), np.uint8), score, "test@0")


BOX = (60, 70, 80, 90)


def test_obstacle_in_every_detail():
    geometry = mounted(np.array([[100.0, 0, 100], [0, 100.0, 60], [0, 0, 1]]), (), W, H, 1.5, 0.0, 0.01)
    camera = pipeline()
    camera.judge(frame(0.0), prediction(BOX), 0, geometry)
    judged = camera.judge(frame(0.1), prediction((62, 70, 82, 90)), round(0.15 * SECOND), geometry)
    (obstacle,) = judged.obstacles
    assert (obstacle.box, obstacle.area, obstacle.foot) == ((62, 70, 82, 90), 400, (71.5, 89.0))
    assert obstacle.score == pytest.approx(0.75)
    assert (obstacle.track_id, obstacle.age) == (1, 2)
    assert obstacle.ground.position == pytest.approx((1.5 / 0.29, 1.5 / 0.29 * 0.285, 0.0), rel=1e-6)
    assert obstacle.ground.range_min < math.hypot(*obstacle.ground.position) < obstacle.ground.range_max
    alert = judged.alert
    assert (alert.state, alert.reason, alert.stamp_ns) == (AlertState.OBSTACLE, "obstacle", 10**8)
    assert alert.evidence_age_s == pytest.approx(0.05)
    assert alert.obstacles == judged.obstacles
    assert judged.mask.dtype == np.uint8
    assert set(np.unique(judged.mask)) == {0, 255}
    assert np.count_nonzero(judged.mask) == 400


def test_what_is_shown_is_coherent_and_what_is_decided_is_not():
    score = np.zeros((H, W), np.float32)
    score[70:90, 60:80] = 0.8
    score[70:90, 60:68] = 3.0  # not half of it, so the whole is no object; its strength is 3
    score[20:22, 20:22] = 0.8  # too small for a group
    own = Prediction(np.zeros((H, W), np.uint8), score, "test@0")
    rule = Objects(grow=0.5, seed=0.5, beside=1.0, coherence=0.5)
    calibration = CALIBRATION.model_copy(update={"objects": rule})
    judged = CameraPipeline(calibration, ObstacleSettings(min_area=20)).judge(frame(), own, 0)
    assert judged.obstacles == ()
    assert not judged.mask.any()
    assert judged.prediction.score is score
    assert "score" not in vars(judged), "only made for who asks"
    expected = score.copy()
    expected[70:90, 68:80] = 0.932  # 0.8 + 0.5 x (0.8 - 0.5) / (3 - 0.5) x (3 - 0.8)
    np.testing.assert_allclose(judged.score, expected, rtol=1e-6)
    assert judged.score is judged.score
    plain = CameraPipeline(CALIBRATION, ObstacleSettings(min_area=20)).judge(frame(), own, 0)
    assert plain.score is score


def test_the_greater_of_two_looks_is_shown_and_their_mean_decides():
    score = np.zeros((H, W), np.float32)
    score[70:90, 60:80] = 0.8
    greater = score.copy()
    greater[70:90, 60:80] = 3.0
    both = Prediction(np.zeros((H, W), np.uint8), score, "test@0", greater)
    ego = np.zeros((H, W), np.uint8)
    ego[80:] = 255
    for mask in (None, ego):
        judged = CameraPipeline(CALIBRATION, ObstacleSettings(min_area=20), mask).judge(frame(), both, 0)
        assert judged.obstacles == ()
        assert not judged.mask.any()
        hidden = np.zeros((H, W), bool) if mask is None else mask > 0
        np.testing.assert_array_equal(judged.score, np.where(hidden, np.nan, greater))
    rule = Objects(grow=0.5, seed=0.5, beside=1.0, coherence=0.5)
    greater[70:90, 68:80] = 0.8  # a group of the greater score, as the mean's would be
    calibration = CALIBRATION.model_copy(update={"objects": rule})
    judged = CameraPipeline(calibration, ObstacleSettings(min_area=20)).judge(frame(), both, 0)
    assert judged.obstacles == ()
    np.testing.assert_allclose(judged.score[70:90, 68:80], 0.932, rtol=1e-6)


def test_clear_after_enough_clear_frames():
    camera = pipeline()
    alerts = [camera.judge(frame(t / 10), prediction(), 0).alert for t in range(3)]
    assert [a.state for a in alerts] == [AlertState.UNKNOWN, AlertState.UNKNOWN, AlertState.CLEAR]


def test_small_groups_are_no_obstacles_but_stay_in_the_mask():
    judged = pipeline().judge(frame(), prediction((0, 0, 4, 4)), 0)
    assert judged.obstacles == ()
    assert np.count_nonzero(judged.mask) == 16


def test_threshold_of_the_settings_goes_before_the_bundles():
    assert pipeline(threshold=2.5).judge(frame(), prediction(BOX), 0).obstacles == ()
    assert len(pipeline(threshold=1.5).judge(frame(), prediction(BOX), 0).obstacles) == 1


def test_obstacles_beyond_the_limit_are_counted():
    boxes = [(x, 10, x + 10, 20 + x // 20) for x in range(0, 200, 20)]
    judged = pipeline(max_obstacles=4).judge(frame(), prediction(*boxes), 0)
    assert len(judged.obstacles) == 4
    assert judged.unlisted == 6


def test_ego_mask_is_not_judged():
    mask = np.zeros((12, 20), np.uint8)
    mask[8:] = 1
    camera = pipeline(mask)
    original = prediction(BOX, (20, 60, 40, 100))
    before = original.score.copy()
    judged = camera.judge(frame(), original, 0)
    assert np.isnan(judged.prediction.score[80:]).all()
    np.testing.assert_array_equal(judged.prediction.score[:80], before[:80])
    assert not judged.mask[80:].any()
    assert [o.box for o in judged.obstacles] == [(20, 60, 40, 80), (60, 70, 80, 80)]
    np.testing.assert_array_equal(original.score, before)


def test_an_obstacle_cut_off_below_may_be_arbitrarily_near():
    geometry = mounted(np.array([[100.0, 0, 100], [0, 100.0, 60], [0, 0, 1]]), (), W, H, 1.5, 0.0, 0.01)
    mask = np.zeros((H, W), np.uint8)
    mask[100:] = 255
    for camera, box in ((pipeline(), (60, 90, 80, H)), (pipeline(mask), (60, 80, 80, 110))):
        (obstacle,) = camera.judge(frame(), prediction(box), 0, geometry).obstacles
        assert obstacle.ground.range_min == 0.0
        assert obstacle.ground.range_max > 1.0


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_score_that_is_not_finite_is_unknown(wrong):
    camera = pipeline()
    for t in range(3):
        camera.judge(frame(t / 10), prediction(), 0)
    broken = prediction(BOX)
    broken.score[5, 5] = wrong
    judged = camera.judge(frame(0.3), broken, round(0.4 * SECOND))
    assert (judged.alert.state, judged.alert.reason) == (AlertState.UNKNOWN, "score_not_finite")
    assert judged.obstacles == ()
    # The evidence is still that of the last good frame.
    assert judged.alert.stamp_ns == 2 * 10**8
    assert judged.alert.evidence_age_s == pytest.approx(0.2)


def test_nan_under_the_ego_mask_is_no_fault():
    mask = np.zeros((H, W), np.uint8)
    mask[100:] = 1
    masked = prediction(BOX)
    masked.score[100:] = np.nan
    assert len(pipeline(mask).judge(frame(), masked, 0).obstacles) == 1
    masked.score[99] = np.nan
    assert pipeline(mask).judge(frame(), masked, 0).alert.reason == "score_not_finite"


def test_time_that_goes_back_resets():
    camera = pipeline()
    for t in (1.0, 1.1):
        last = camera.judge(frame(t), prediction(BOX), 0)
    assert last.alert.state is AlertState.OBSTACLE
    again = camera.judge(frame(0.5), prediction(BOX), 0)
    assert (again.alert.state, again.alert.reason) == (AlertState.UNKNOWN, "starting")
    assert again.obstacles[0].track_id == 2
    assert again.obstacles[0].age == 1


def test_unknown_tells_the_age_of_the_last_evidence():
    camera = pipeline()
    nothing = camera.unknown("no_image", 5 * SECOND)
    assert (nothing.state, nothing.stamp_ns, nothing.evidence_age_s) == (AlertState.UNKNOWN, 0, math.inf)
    camera.judge(frame(5.0), prediction(), 5 * SECOND)
    later = camera.unknown("no_image", 7 * SECOND)
    assert (later.reason, later.stamp_ns, later.evidence_age_s) == ("no_image", 5 * SECOND, 2.0)


def test_geometry_of_another_size_gives_no_position():
    geometry = mounted(np.array([[100.0, 0, 100], [0, 100.0, 60], [0, 0, 1]]), (), 2 * W, 2 * H, 1.5, 0.2, 0.01)
    (obstacle,) = pipeline().judge(frame(), prediction(BOX), 0, geometry).obstacles
    assert obstacle.ground is None


def test_wrong_ego_mask_is_refused_at_once():
    with pytest.raises(ConfigError):
        pipeline(np.ones((H, W), np.uint8))


def test_read_only_and_strided_scores_are_fine():
    """Engines hand out views of their own buffers."""
    batch = np.zeros((H, W, 2), np.float32)
    batch[70:90, 60:80] = 2.0
    strided = batch[..., 0]
    strided.flags.writeable = False
    mask = np.zeros((H, W), np.uint8)
    mask[100:] = 1
    for camera in (pipeline(), pipeline(mask)):
        judged = camera.judge(frame(), Prediction(np.zeros((H, W), np.uint8), strided, "t"), 0)
        assert [o.box for o in judged.obstacles] == [BOX]
