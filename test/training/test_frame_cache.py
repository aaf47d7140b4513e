"""The frame cache: bounded, least recently used goes first, nobody can change what others see."""

from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.training.frame_cache import FrameCache


class Reader:
    def __init__(self) -> None:
        self.reads: list[int] = []

    def __call__(self, key: int) -> tuple[np.ndarray, ...]:
        self.reads.append(key)
        return np.full(60, key, np.uint8), np.zeros(40, np.uint8)


def test_least_recently_used_frames_are_forgotten() -> None:
    reader, cache = Reader(), FrameCache(300)
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert cache.get(key, lambda key=key: reader(key))[0][0] == key
    assert reader.reads == [1, 2, 3, 4, 2]
    cache.shrink(100)
    cache.get(2, lambda: reader(2))
    cache.get(1, lambda: reader(1))
    assert reader.reads == [1, 2, 3, 4, 2, 1]


def test_what_does_not_fit_is_read_each_time() -> None:
    reader, cache = Reader(), FrameCache(99)
    for _ in range(2):
        cache.get(1, lambda: reader(1))
    assert reader.reads == [1, 1]


def test_kept_frames_cannot_be_drawn_into() -> None:
    image, _ = FrameCache(1000).get(1, lambda: Reader()(1))
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 9
