from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oodseg_ros.recorder import recorder as module
from oodseg_ros.recorder.bag_file import write_bag
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


def old_bag(file: Path, moment: Callable, megabytes: float) -> Path:
    """A bag of the recorder's, years old."""
    write_bag(file, [moment(0.0)], 0.0, {"cause": "obstacle"}, lambda camera, alert: {}, 10**6)
    with file.open("ab") as stream:
        stream.write(bytes(round(megabytes * 1e6)))
    os.utime(file, (1e9, 1e9))
    return file


def test_the_oldest_bags_go_if_asked_and_nothing_that_is_somebody_elses(
    start: Callable, moment: Callable, tmp_path: Path
) -> None:
    """A drive of last summer lay in the folder, and was deleted because it ended in .mcap."""
    folder = tmp_path / "records"
    folder.mkdir()
    own = old_bag(folder / "20200101T000000Z_obstacle_front.mcap", moment, 1.5)
    kept = old_bag(folder / "the_deer.mcap", moment, 0.1)
    foreign = [folder / name for name in ("summer.mcap", "20190101T000000Z_drive.mcap", "notes.txt")]
    for file in foreign:
        file.write_bytes(b"x" * 100_000)
        os.utime(file, (1e8, 1e8))
    recorder = start(max_total_mb=2, max_bag_mb=1, delete_oldest=True)
    recorder.add(moment(time.monotonic()))
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 1))
    assert recorder.counts()["written"] == "1"
    assert f"deleted the oldest bag {own.name}" in recorder.said[0]
    assert not own.exists()
    assert all(file.exists() for file in (kept, *foreign))


def test_nothing_is_deleted_where_that_would_not_be_enough(start: Callable, moment: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    own = old_bag(folder / "20200101T000000Z_obstacle_front.mcap", moment, 0.5)
    (folder / "summer.mcap").write_bytes(b"x" * 1_500_000)
    recorder = start(max_total_mb=2, max_bag_mb=1, delete_oldest=True)
    recorder.trigger("obstacle")
    until(lambda: done(recorder, 1))
    assert recorder.counts()["refused_total"] == "1"
    assert own.exists()


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
