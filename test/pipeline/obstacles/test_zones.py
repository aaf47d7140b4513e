"""Polygons on the ground: what touches what, and which zone wins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.judging import ALERT, IGNORE, REPORT, Zone, Zones
from oodseg_ros.parameters.settings import to_polygon
from oodseg_ros.pipeline.obstacles.zones import check_ego_mask, fit_ego_mask, load_ego_mask, place, touch

LANE = Zone("lane", ((0.0, -1.5), (40.0, -1.5), (40.0, 1.5), (0.0, 1.5)))
SIDE = Zone("side", ((0.0, 1.0), (40.0, 1.0), (40.0, 6.0), (0.0, 6.0)), REPORT)
YARD = Zone("yard", ((0.0, 5.0), (30.0, 5.0), (30.0, 9.0), (0.0, 9.0)), IGNORE)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (box(10, -0.5, 12, 0.5), ("lane", ALERT)),
        (box(10, 2, 12, 3), ("side", REPORT)),
        (box(10, 1.2, 12, 1.4), ("lane", ALERT)),  # in both: the careful one
        (box(10, 7, 12, 8), ("yard", IGNORE)),
        (box(10, 5.5, 12, 5.8), ("side", REPORT)),
        (box(50, 0, 60, 1), ("", ALERT)),  # outside
        (box(-5, -20, 60, 20), ("lane", ALERT)),  # it may stand anywhere
        (np.array([(20.0, 0.0)]), ("lane", ALERT)),
        (np.array([(20.0, -3.0), (20.0, -1.0)]), ("lane", ALERT)),
    ],
)
def test_the_most_careful_zone_that_is_touched(area: np.ndarray, expected: tuple[str, str]) -> None:
    assert place(Zones((YARD, SIDE, LANE)), area) == expected


def test_outside_and_without_a_position_it_is_as_told() -> None:
    assert place(Zones((LANE,)), None) == ("", ALERT)
    assert place(Zones((LANE,), unplaced=REPORT), None) == ("", REPORT)
    assert place(Zones((LANE,), outside=IGNORE), box(10, 5, 12, 6)) == ("", IGNORE)


def test_a_zone_need_not_be_convex() -> None:
    corner = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 2.0), (2.0, 2.0), (2.0, 10.0), (0.0, 10.0)])
    assert not touch(corner, box(5, 5, 6, 6))
    assert touch(corner, box(5, 1, 6, 6))
    assert touch(corner, box(-1, -1, 11, 11))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Zone("a", ((0.0, 0.0), (1.0, 1.0))), "3 to 64 points"),
        (lambda: Zone("a", ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0))), "no area"),
        (lambda: Zone("a", ((0.0, 0.0), (float("nan"), 1.0), (2.0, 0.0))), "finite"),
        (lambda: Zone("a", LANE.polygon, "shout"), "alert, report, ignore"),
        (lambda: Zones((LANE, LANE)), "same name"),
        (lambda: Zones(unplaced="perhaps"), "alert, report, ignore"),
        (lambda: to_polygon("a", [1.0, 2.0, 3.0]), "x0, y0"),
    ],
)
def test_wrong_zones_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make()


coordinate = st.floats(-50, 50)
corners = st.tuples(coordinate, coordinate, st.floats(0.5, 30), st.floats(0.5, 30))


@given(corners, corners)
def test_boxes_touch_exactly_if_they_overlap(first: tuple, second: tuple) -> None:
    (ax, ay, aw, ah), (bx, by, bw, bh) = first, second
    gap_x, gap_y = max(ax, bx) - min(ax + aw, bx + bw), max(ay, by) - min(ay + ah, by + bh)
    if abs(gap_x) < 1e-6 or abs(gap_y) < 1e-6:
        return  # exactly edge to edge is neither here nor there
    expected = gap_x < 0 and gap_y < 0
    a, b = box(ax, ay, ax + aw, ay + ah), box(bx, by, bx + bw, by + bh)
    assert touch(a, b) is touch(b, a) is expected
    assert touch(a[::-1], b) is expected


def test_any_non_zero_pixel_is_the_vehicle(tmp_path):
    image = np.zeros((20, 30), np.uint8)
    image[15:] = 1
    image[18:] = 200
    cv2.imwrite(str(tmp_path / "mask.png"), image)
    mask = load_ego_mask(tmp_path / "mask.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.where(image > 0, 255, 0))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_ego_mask(tmp_path / "none.png")


def test_file_that_is_no_image(tmp_path):
    (tmp_path / "mask.png").write_text("white")
    with pytest.raises(ConfigError, match="no image"):
        load_ego_mask(tmp_path / "mask.png")


def test_mask_of_everything_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((8, 8), 255, np.uint8))
    with pytest.raises(ConfigError, match="whole image"):
        load_ego_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("mask", [np.zeros((3, 3, 3), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((3, 3))])
def test_wrong_arrays_are_refused(mask):
    with pytest.raises(ConfigError, match="gray 8-bit"):
        check_ego_mask(mask)


def test_resize_keeps_it_binary():
    mask = np.zeros((10, 10), np.uint8)
    mask[7:] = 255
    fitted = fit_ego_mask(mask, 100, 37)
    assert fitted.shape == (100, 37)
    assert set(np.unique(fitted)) == {0, 255}
    assert (fitted[:69] == 0).all()
    assert (fitted[71:] == 255).all()


def test_resize_that_leaves_nothing_to_judge_is_refused():
    mask = np.full((100, 100), 255, np.uint8)
    mask[51, 51] = 0
    with pytest.raises(ConfigError, match="whole image"):
        fit_ego_mask(mask, 4, 4)


@pytest.mark.parametrize("value", [1, 255, 256, 65535])
def test_sixteen_bits_and_dark_colours_count(tmp_path, value):
    deep = np.zeros((20, 30), np.uint16)
    deep[10:] = value
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    blue = np.zeros((20, 30, 3), np.uint8)
    blue[10:, :, 0] = max(1, value % 256)
    cv2.imwrite(str(tmp_path / "blue.png"), blue)
    for name in ("deep.png", "blue.png"):
        assert (load_ego_mask(tmp_path / name) == np.where(np.arange(20) < 10, 0, 255)[:, None]).all()


def test_a_mask_of_nothing_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((20, 30, 4), np.uint8))
    with pytest.raises(ConfigError, match="masks nothing"):
        load_ego_mask(tmp_path / "mask.png")
