from __future__ import annotations

import cv2
import numpy as np

from oodseg_ros.ros.tools.gallery import EVEN, MARKED, Gallery


def image(value: int = 0) -> np.ndarray:
    return np.full((16, 24, 3), value, np.uint8)


def test_few_pictures_are_all_kept():
    gallery = Gallery()
    for stamp in range(5):
        gallery.offer("a", stamp, image(stamp))
    pictures = gallery.pictures()
    assert [picture.stamp_ns for picture in pictures] == [0, 1, 2, 3, 4]
    assert cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (16, 24, 3)


def test_many_are_thinned_evenly():
    gallery = Gallery()
    for stamp in range(1000):
        gallery.offer("a", stamp, image())
    stamps = [picture.stamp_ns for picture in gallery.pictures()]
    assert EVEN // 2 <= len(stamps) <= EVEN
    assert stamps[0] == 0
    assert stamps[-1] >= 800
    steps = np.diff(stamps)
    assert steps.max() <= 2 * steps.min()


def test_marked_pictures_stay_whether_they_come_before_or_after():
    gallery = Gallery()
    gallery.mark("a", 901)
    gallery.mark("a", 901)
    for stamp in range(1000):
        gallery.offer("a", stamp, image())
        if stamp == 333:
            # Two alerts can rest on the same frame.
            gallery.mark("a", 333)
            gallery.mark("a", 333)
    marked = [picture.stamp_ns for picture in gallery.pictures() if picture.marked]
    assert marked == [333, 901]
    stamps = [picture.stamp_ns for picture in gallery.pictures()]
    assert stamps == sorted(set(stamps)), "a picture is there twice"


def test_marks_are_bounded():
    gallery = Gallery()
    for stamp in range(1, 400):
        gallery.mark("a", stamp)
        gallery.offer("a", stamp, image())
    assert sum(picture.marked for picture in gallery.pictures()) == MARKED
