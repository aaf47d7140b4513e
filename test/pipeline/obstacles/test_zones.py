"""Polygons on the ground: what touches what, and which zone wins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.settings import ALERT, IGNORE, REPORT, Zone, Zones, to_polygon
from oodseg_ros.pipeline.obstacles.zones import place, touch

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
