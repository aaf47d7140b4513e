"""Tracks: ids are stable where a person would say so, and never used twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.pipeline.obstacles.tracks import MAX_GAP, Tracker, assign, iou

corner = st.integers(0, 1900)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, st.integers(1, 300), st.integers(1, 300))


@given(st.lists(st.lists(boxes, max_size=12), max_size=8), st.floats(0, 40))
def test_ids_are_unique_in_a_frame_and_ages_only_grow(frames, margin):
    tracker = Tracker()
    ages: dict[int, int] = {}
    for frame in frames:
        found = tracker.update(frame, margin)
        assert len(found) == len(frame)
        assert len({track for track, _ in found}) == len(frame)
        for track, age in found:
            assert age == ages.get(track, 0) + 1
            ages[track] = age
    assert set(ages) == set(range(1, len(ages) + 1))


@given(st.lists(boxes, max_size=8), st.lists(boxes, max_size=8))
def test_overlap_is_symmetric_and_bounded(first, second):
    a, b = np.array(first).reshape(-1, 4), np.array(second).reshape(-1, 4)
    overlap = iou(a, b)
    assert overlap.shape == (len(first), len(second))
    assert ((overlap >= 0) & (overlap <= 1)).all()
    np.testing.assert_allclose(overlap, iou(b, a).T)
    np.testing.assert_allclose(np.diag(iou(a, a)), 1.0)


def test_assignment_takes_the_largest_sum_not_the_first_best():
    # The left new box overlaps both old ones best, but the right new box overlaps only the right old one.
    old = np.array([[0, 0, 100, 100], [60, 0, 160, 100]])
    new = np.array([[40, 0, 140, 100], [110, 0, 210, 100]])
    assert sorted(assign(old, new, 0.0)) == [(0, 0), (1, 1)]


def drive(rate: float, seconds: float, sway: float):
    """Boxes of three objects that a car with a swaying camera approaches at 12 m/s; the order in a frame changes."""
    for frame in range(int(rate * seconds)):
        now = frame / rate
        shift = sway * np.sin(2 * np.pi * 0.5 * now)
        found = []
        for name, (x, z) in enumerate(((-4.0, 45.0), (0.5, 60.0), (5.0, 50.0))):
            depth = z - 12.0 * now
            u, v = 960 + 1000 * x / depth + shift, 540 + 1500 / depth
            found.append((name, (int(u - 400 / depth), int(v - 800 / depth), int(u + 400 / depth), int(v))))
        yield found if frame % 2 else found[::-1]


def test_ids_hold_in_a_swaying_approach():
    for rate, sway in ((10.0, 0.0), (30.0, 60.0), (10.0, 25.0), (5.0, 0.0)):
        tracker = Tracker()
        ids: dict[int, set[int]] = {}
        for frame in drive(rate, 3.0, sway):
            for (name, _), (track, _) in zip(frame, tracker.update([box for _, box in frame], 19.2), strict=True):
                ids.setdefault(name, set()).add(track)
        assert ids == {name: ids[name] for name in range(3)}
        assert [len(ids[name]) for name in range(3)] == [1, 1, 1], (rate, sway)
        assert len(set.union(*ids.values())) == 3


def test_a_short_gap_is_bridged_and_a_long_one_is_not():
    for gap, same in ((MAX_GAP, True), (MAX_GAP + 1, False)):
        tracker = Tracker()
        (first, _), *_ = tracker.update([(100, 100, 150, 150)], 10.0)
        for _ in range(gap):
            assert tracker.update([], 10.0) == []
        (second, age), *_ = tracker.update([(104, 100, 154, 150)], 10.0)
        assert (second == first) is same
        assert age == (2 if same else 1)


def test_a_moving_box_is_expected_where_it_will_be():
    tracker = Tracker()
    found = [tracker.update([(x, 0, x + 20, 20)], 0.0)[0] for x in (0, 15, 30)]
    tracker.update([], 0.0)
    found.append(tracker.update([(60, 0, 80, 20)], 0.0)[0])  # far from the last seen box at 30
    assert found == [(1, 1), (1, 2), (1, 3), (1, 4)]


def test_reset_forgets_but_never_reuses_an_id():
    tracker = Tracker()
    tracker.update([(0, 0, 10, 10)], 5.0)
    tracker.reset()
    assert tracker.update([(0, 0, 10, 10)], 5.0) == [(2, 1)]


def test_a_weaker_box_goes_on_with_what_was_missed_and_begins_nothing():
    for gap in range(MAX_GAP + 2):
        tracker = Tracker()
        here, there = (100, 100, 150, 150), (400, 100, 450, 150)
        assert tracker.update([here, there], 10.0) == [(1, 1), (2, 1)]
        for _ in range(gap):
            assert tracker.update([there], 10.0)[0][0] == 2
        assert tracker.ids == ({1, 2} if gap <= MAX_GAP else {2})
        tracker.update([], 10.0)
        found = tracker.again([there, here, (700, 100, 750, 150)], 10.0, {1})
        assert found == [None, (1, 2) if gap <= MAX_GAP else None, None]
        assert tracker.update([here, there], 10.0) == [(1, 3) if gap <= MAX_GAP else (3, 1), (2, gap + 2)]
    assert tracker.again([(700, 100, 750, 150)], 10.0, set(), begin=True) == [(4, 1)]
