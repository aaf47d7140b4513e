"""Which way of tracking keeps ids on simulated drives. Prints a table and writes JSON.

    python benchmarks/tracking.py [--drives 30] [--out benchmarks/results/tracking.json]

A car approaches six still or slowly crossing objects at 12 m/s; their boxes come with jitter, misses and false ones.
`switches` counts how often an object got another id than before, `mixed` how often an id moved to another object. Rows
are `obstacles.tracks.Tracker` with parts taken away; the last one is what ships.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table

from oodseg_ros.pipeline.obstacles import tracks
from oodseg_ros.pipeline.obstacles.tracks import Track, Tracker

WIDTH, HEIGHT, FOCAL = 1920, 1080, 1000.0
MARGIN = 0.01 * WIDTH

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Drive:
    """One kind of drive: frames per second, seconds, share of missed boxes, pixels of sway at 0.5 Hz."""

    name: str
    rate: float
    seconds: float = 6.0
    misses: float = 0.15
    sway: float = 0.0


DRIVES = (
    Drive("5 Hz", 5.0),
    Drive("10 Hz", 10.0),
    Drive("10 Hz, swaying", 10.0, sway=80.0),
    Drive("30 Hz, swaying", 30.0, sway=80.0),
    Drive("10 Hz, 35 % missed, swaying", 10.0, misses=0.35, sway=40.0),
)


def frames(drive: Drive, seed: int) -> Iterator[list[tuple[int, Box]]]:
    """Per frame (object number or -1 for a false one, box) in random order."""
    rng = np.random.default_rng(seed)
    objects = rng.uniform((-6, 15, 0.4, 0.3, -2), (6, 90, 1.5, 1.2, 2), (6, 5))
    for index in range(round(drive.rate * drive.seconds)):
        now = index / drive.rate
        shift = drive.sway * math.sin(math.pi * now)
        found = []
        for number, (x, z, width, height, speed) in enumerate(objects):
            depth = z - 12 * now
            if depth < 4 or rng.random() < drive.misses:
                continue
            u, v = WIDTH / 2 + FOCAL * (x + speed * now) / depth + shift, HEIGHT / 2 + FOCAL * 1.5 / depth
            size = np.array([width, height]) * FOCAL / depth
            box = np.array([u - size[0] / 2, v - size[1], u + size[0] / 2, v]) + rng.normal(0, 0.06, 4) * np.tile(
                size, 2
            )
            if 0 <= u < WIDTH and (box[2:] - box[:2] >= 3).all():
                found.append((number, tuple(round(value) for value in box)))
        if rng.random() < 0.3:
            x, y, width, height = (round(value) for value in rng.uniform((0, 500, 10, 10), (1800, 1000, 60, 60)))
            found.append((-1, (x, y, x + width, y + height)))
        yield [found[place] for place in rng.permutation(len(found))]


def greedy(overlap: np.ndarray, maximize: bool) -> tuple[list[int], list[int]]:
    """Best overlap first, in place of the assignment with the largest sum."""
    left, pairs = overlap.copy(), []
    while left.size and left.max() > 0:
        row, column = np.unravel_index(left.argmax(), left.shape)
        pairs.append((int(row), int(column)))
        left[row], left[:, column] = 0, 0
    return [row for row, _ in pairs], [column for _, column in pairs]


VARIANTS: dict[str, tuple[bool, bool, bool]] = {
    # name: (grown boxes, speed, best sum)
    "overlap, greedy": (False, False, False),
    "overlap, best sum": (False, False, True),
    "+ speed": (False, True, True),
    "+ grown boxes": (True, False, True),
    "speed, grown boxes, greedy": (True, True, False),
    "speed, grown boxes, best sum": (True, True, True),
}


def play(drive: Drive, drives: int, grown: bool, speed: bool, best: bool) -> dict[str, float]:
    """Switches, mixed ids and boxes over all drives, and milliseconds of CPU per frame."""
    counts = {"boxes": 0, "switches": 0, "mixed": 0}
    seconds, updates = 0.0, 0
    expected: Callable[[Track], np.ndarray] = Track.expected if speed else lambda track: track.box
    with (
        mock.patch.object(tracks, "GROW_SHARE", tracks.GROW_SHARE if grown else 0.0),
        mock.patch.object(Track, "expected", expected),
        mock.patch.object(tracks, "linear_sum_assignment", tracks.linear_sum_assignment if best else greedy),
    ):
        for seed in range(drives):
            tracker, last, owner = Tracker(), {}, {}
            for frame in frames(drive, seed):
                begin = time.thread_time()
                found = tracker.update([box for _, box in frame], MARGIN if grown else 0.0)
                seconds += time.thread_time() - begin
                updates += 1
                for (number, _), (track, _) in zip(frame, found, strict=True):
                    if number >= 0:
                        counts["boxes"] += 1
                        counts["switches"] += last.get(number, track) != track
                        counts["mixed"] += owner.get(track, number) != number
                        last[number], owner[track] = track, number
    return counts | {"cpu_ms_per_frame": 1e3 * seconds / updates}


def main() -> None:
    """Run every variant on every kind of drive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drives", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/tracking.json"))
    options = parser.parse_args()
    table = Table("variant", *(drive.name for drive in DRIVES), "CPU ms", title="id switches / mixed ids")
    results = {}
    for name, (grown, speed, best) in VARIANTS.items():
        rows = {drive.name: play(drive, options.drives, grown, speed, best) for drive in DRIVES}
        results[name] = rows
        cells = (f"{row['switches']} / {row['mixed']}" for row in rows.values())
        table.add_row(name, *cells, f"{np.mean([row['cpu_ms_per_frame'] for row in rows.values()]):.2f}")
    Console().print(table)
    document = {
        "machine": platform.processor() or platform.machine(),
        "drives": options.drives,
        "kinds": [asdict(drive) for drive in DRIVES],
        "results": results,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
