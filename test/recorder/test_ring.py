from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oodseg_ros.recorder.ring import LATE, Ring


def test_it_holds_the_last_seconds(moment: Callable, settings: Callable) -> None:
    ring = Ring(settings(before=2.0, after=1.0))
    for tenth in range(100):
        ring.add(moment(tenth / 10))
    kept = [m.at for m in ring.window(-1, 100)]
    assert 9.9 - 3.0 - LATE - 1e-6 <= kept[0] <= 9.9 - 3.0
    assert kept[-1] == 9.9
    assert ring.pushed_out == 0
    assert [m.at for m in ring.window(9.0, 9.2)] == [9.0, 9.1, 9.2]


def test_memory_is_bounded_and_what_had_to_go_is_counted(moment: Callable, settings: Callable) -> None:
    ring = Ring(settings(before=60.0, memory_mb=8))
    for tenth in range(40):
        ring.add(moment(tenth / 10, size=(256, 512)))  # 0.9 MB each
    assert ring.bytes <= 8_000_000
    kept = ring.window(-1, 100)
    assert ring.bytes == sum(m.bytes for m in kept)
    assert ring.pushed_out == 40 - len(kept) > 0
    assert kept[-1].at == 3.9


def test_pictures_at_the_rate_states_always_and_a_new_state_with_its_picture(
    moment: Callable, settings: Callable
) -> None:
    ring = Ring(settings(before=60.0, rate=2.0))
    for hundredth in range(0, 200, 5):
        ring.add(moment(hundredth / 100, state="OBSTACLE" if hundredth == 105 else "CLEAR"))
    kept = ring.window(-1, 100)
    assert len(kept) == 40
    assert [m.at for m in kept if m.has_picture] == [0.0, 0.45, 0.9, 1.05, 1.1, 1.55]
    assert all((m.score is None) == (m.image is None) for m in kept)


def test_cameras_have_rates_of_their_own(moment: Callable, settings: Callable) -> None:
    ring = Ring(settings(before=60.0, rate=1.0))
    for camera in ("front", "rear"):
        ring.add(moment(1.0, camera))
    assert [m.has_picture for m in ring.window(0, 2)] == [True, True]


def test_compressed_bytes_count_as_they_are(moment: Callable) -> None:
    plain = moment(0.0, image=None, score=None, encoded=b"x" * 12345)
    assert plain.bytes == 12345 + moment(0.0, image=None, score=None).bytes
    assert plain.has_picture
    assert moment(0.0).bytes > np.prod((32, 48, 7))
