from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oodseg_ros.recorder import recorder as module
from oodseg_ros.recorder.recorder import Recorder
from oodseg_ros.sources.open_source import open_source

PATIENCE = 60.0
"""Seconds: the writing thread is of low priority, and the machine may be busy."""


@pytest.fixture
def start(settings: Callable) -> Iterator[Callable[..., Recorder]]:
    running: list[Recorder] = []

    def make(**changes: object) -> Recorder:
        said: list[str] = []
        recorder = Recorder(settings(**changes), {"bundle": "b@1"}, lambda camera, alert: {}, said.append)
        recorder.said = said
        running.append(recorder)
        return recorder

    yield make
    for recorder in running:
        assert recorder.close(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def done(recorder: Recorder, count: int) -> bool:
    counts = recorder.counts()
    ends = ("written", "failed", "merged", "refused_rate", "refused_total", "refused_disk")
    return sum(int(counts.get(key, 0)) for key in ends) == count


def bags(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_trigger_writes_the_seconds_around_it(start: Callable, moment: Callable, tmp_path: Path) -> None:
    recorder = start(before=1.0, after=0.3)
    now = time.monotonic()
    for at in (now - 5, now - 0.5, now - 0.2):
        recorder.add(moment(at))
    recorder.trigger("obstacle", "front")
    recorder.add(moment(time.monotonic()))
    recorder.trigger("unknown", "rear")
    until(lambda: done(recorder, 2))
    (file,) = bags(tmp_path / "records")
    assert file.name.endswith("_obstacle_front.mcap")
    assert len(list(open_source(file))) == 3
    counts = recorder.counts()
    assert (counts["triggers"], counts["written"], counts["merged"]) == ("2", "1", "1")
    assert counts["last"] == str(file)
    assert recorder.trouble is None


def test_close_writes_what_waits(start: Callable, moment: Callable, tmp_path: Path) -> None:
    recorder = start(after=30.0)
    recorder.add(moment(time.monotonic()))
    recorder.trigger("snapshot")
    assert recorder.close(PATIENCE)
    assert len(bags(tmp_path / "records")) == 1


def test_bags_per_hour_are_bounded_and_it_is_said_once(start: Callable, moment: Callable, tmp_path: Path) -> None:
    recorder = start(max_per_hour=2)
    for count in range(1, 6):
        recorder.add(moment(time.monotonic()))
        recorder.trigger("obstacle", "front")
        until(lambda count=count: done(recorder, count))
    assert len(bags(tmp_path / "records")) == 2
    assert recorder.counts()["refused_rate"] == "3"
    assert recorder.trouble == "rate"
    assert len(recorder.said) == 1
    assert "record.max_per_hour" in recorder.said[0]


def test_a_full_folder_stops_it_until_bags_are_moved_away(start: Callable, moment: Callable, tmp_path: Path) -> None:
    old = tmp_path / "records" / "old.mcap"
    old.parent.mkdir()
    old.write_bytes(b"x" * 1_500_000)
    recorder = start(max_total_mb=2, max_bag_mb=1)
    recorder.add(moment(time.monotonic()))
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 1))
    assert bags(old.parent) == [old]
    assert "record.max_total_mb" in recorder.said[0]
    old.unlink()
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 2))
    assert recorder.counts()["written"] == "1"
    assert recorder.trouble is None
    assert "writing again" in recorder.said[1]


def test_the_oldest_goes_only_by_wish_and_is_named(start: Callable, moment: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "old.mcap").write_bytes(b"x" * 1_500_000)
    (folder / "notes.txt").write_bytes(b"y" * 1_500_000)
    recorder = start(max_total_mb=2, max_bag_mb=1, delete_oldest=True)
    recorder.add(moment(time.monotonic()))
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 1))
    assert recorder.counts()["written"] == "1"
    assert "deleted the oldest bag old.mcap" in recorder.said[0]
    assert (folder / "notes.txt").exists()
    assert not (folder / "old.mcap").exists()


def test_a_nearly_full_disk_is_left_alone(start: Callable, tmp_path: Path) -> None:
    recorder = start(min_free_mb=10**8)
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 1))
    assert recorder.counts()["refused_disk"] == "1"
    assert bags(tmp_path / "records") == []


def test_a_folder_that_cannot_be_written_costs_a_sentence_not_the_recorder(start: Callable, tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file where the folder should be")
    recorder = start()
    for count in (1, 2):
        recorder.trigger("obstacle")
        until(lambda count=count: done(recorder, count))
    assert recorder.counts()["failed"] == "2"
    assert len(recorder.said) == 1
    (tmp_path / "records").unlink()
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 3))
    assert recorder.counts()["written"] == "1"


def test_the_road_never_waits_for_the_disk(
    start: Callable, moment: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While a write hangs, moments and triggers go on, memory stays bounded, and one event waits at most."""
    hang, inside = threading.Event(), threading.Event()

    def write(*_: object) -> int:
        inside.set()
        assert hang.wait(PATIENCE)
        return 0

    monkeypatch.setattr(module, "write_bag", write)
    recorder = start(memory_mb=8)
    try:
        recorder.trigger("obstacle")
        assert inside.wait(PATIENCE)
        for _ in range(100):
            recorder.add(moment(time.monotonic(), size=(256, 512)))
            recorder.trigger("obstacle")
        assert recorder.ring.bytes <= 8_000_000
        assert recorder.counts()["merged"] == "99"
        assert not recorder.close(0.05)
    finally:
        hang.set()


def test_leftovers_of_a_dead_process_are_swept_but_not_those_of_a_living_one(start: Callable, tmp_path: Path) -> None:
    import os

    folder = tmp_path / "records"
    folder.mkdir()
    dead, living = folder / ".a.mcap.part", folder / ".b.mcap.part"
    for part in (dead, living):
        part.touch()
    os.utime(dead, (1, 1))
    recorder = start()
    recorder.trigger("snapshot")
    until(lambda: done(recorder, 1))
    assert living.exists()
    assert not dead.exists()
