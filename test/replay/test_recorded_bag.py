"""What a bag knows beside its pictures: calibrations, static transforms, speed."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bags import STORE, T, header, image, odometry, write_bag
from rosbags.typesys import get_types_from_msg

from oodseg_ros.inference.runner import Runner
from oodseg_ros.replay.offline_run import run_source
from oodseg_ros.replay.recorded_bag import RecordedBag
from oodseg_ros.sources.bag_messages import ReplayBag

TF = "tf2_msgs/msg/TFMessage"
if TF not in STORE.types:
    STORE.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", TF))
START, FRAMES, HEIGHT, WIDTH = 1_700_000_000 * 10**9, 4, 64, 128
PITCH, LENS_HEIGHT = 0.3, 1.4
OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""Quaternion of an optical frame in body axes, as every camera URDF has it."""
PARAMS = {
    **{f"obstacles.{name}": 1 for name in ("trigger_hits", "trigger_window", "release_frames", "min_area")},
    "obstacles.threshold": -1e9,
    "health.input": ["camera_info"],
    "health.output": [],
}


def transform(parent: str, child: str, shift: tuple[float, ...], turn: tuple[float, ...]):
    vector, quaternion = T["geometry_msgs/msg/Vector3"](*shift), T["geometry_msgs/msg/Quaternion"](*turn)
    moved = T["geometry_msgs/msg/Transform"](vector, quaternion)
    return T["geometry_msgs/msg/TransformStamped"](header(START, parent), child, moved)


@pytest.fixture(scope="module")
def runner(tiny_bundle: Path) -> Runner:
    return Runner.load(tiny_bundle, engine="torch", threads=1)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras; the transforms come last, as when somebody starts the robot's description late."""
    messages = []
    for index in range(FRAMES):
        stamp = START + index * 100_000_000
        for camera in ("front", "rear"):
            pixels = np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            message = image(stamp, pixels, frame_id=f"{camera}_lens")
            k = np.array([100.0, 0.0, 63.5, 0.0, 100.0, 31.5, 0.0, 0.0, 1.0])
            region = T["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
            told = (HEIGHT, WIDTH, "plumb_bob", np.zeros(0), k, np.zeros(9), np.zeros(12), 0, 0, region)
            info = T["sensor_msgs/msg/CameraInfo"](message.header, *told)
            messages += [(f"/{camera}/image_raw", stamp + 1, message), (f"/{camera}/camera_info", stamp + 2, info)]
        messages.append(("/odom", stamp, odometry(stamp, float(index), 4.0)))
    half = PITCH / 2
    steps = [
        transform("base_link", "mast", (0.0, 0.0, LENS_HEIGHT), (0.0, math.sin(half), 0.0, math.cos(half))),
        transform("mast", "front_lens", (0.0, 0.0, 0.0), OPTICAL),
    ]
    messages.append(("/tf_static", START + 10**9, T[TF](steps)))
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def obstacles(runner: Runner, bag: Path, out: Path, **params: object) -> tuple[list[dict], list[str]]:
    params = {**PARAMS, **params}
    summary = run_source(runner, RecordedBag(ReplayBag(bag), None, params), out, params)
    import csv

    with (out / "alerts.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [(row["camera"], row["ranges"], json.loads(row["obstacles"])) for row in rows], summary.notes


def test_camera_info_and_static_transforms_of_a_bag_give_the_ranges_of_the_mount(
    runner: Runner, bag: Path, tmp_path: Path
) -> None:
    by_tf, _ = obstacles(runner, bag, tmp_path / "tf", cameras=["front"], **{"front.geometry": "tf"})
    mount = {"front.geometry": "mount", "front.mount.height": LENS_HEIGHT, "front.mount.pitch": PITCH}
    by_mount, _ = obstacles(runner, bag, tmp_path / "mount", cameras=["front"], **mount)
    assert len(by_tf) == FRAMES
    for (_, known, found), (_, _, expected) in zip(by_tf, by_mount, strict=True):
        assert known == "known", "from the first frame on, though both were logged later"
        assert found[0]["position"] == pytest.approx(expected[0]["position"], abs=2e-3)
        assert found[0]["range_m"][0] == pytest.approx(expected[0]["range_m"][0], abs=2e-3)


def test_a_bundle_without_a_table_for_evidence_is_said_once(runner: Runner, bag: Path, tmp_path: Path) -> None:
    rows, notes = obstacles(runner, bag, tmp_path / "out", cameras=["front"], **{"obstacles.alert_rule": "evidence"})
    assert len(rows) == FRAMES
    assert sum("only hits raise the alert" in note for note in notes) == 1


def test_a_camera_without_a_transform_has_no_position_and_that_is_said(
    runner: Runner, bag: Path, tmp_path: Path
) -> None:
    rows, notes = obstacles(runner, bag, tmp_path / "out", cameras=["front", "rear"], **{"rear.geometry": "tf"})
    assert {known for camera, known, _ in rows if camera == "front"} == {"known"}
    assert all(known.startswith("unknown") for camera, known, _ in rows if camera == "rear")
    assert any("/tf_static holds no way from 'rear_lens' to 'base_link'" in note for note in notes)


def test_why_frames_are_refused_is_told_once_for_each_reason(runner: Runner, bag: Path, tmp_path: Path) -> None:
    """A picture that was made smaller than its calibration by no whole factor: the reason's code alone is a riddle."""
    told = ReplayBag(bag)
    parse = told.parse

    def parse_resized(message):
        parsed = parse(message)
        return replace(parsed, width=WIDTH * 3 // 2, height=HEIGHT * 3 // 2) if hasattr(parsed, "k") else parsed

    told.parse = parse_resized
    params = {**PARAMS, "cameras": ["front"], "front.geometry": "mount"}
    summary = run_source(runner, RecordedBag(told, None, params), tmp_path / "out", params)
    assert summary.skipped == {"front: camera_info": FRAMES}
    (note,) = [note for note in summary.notes if "camera_info describes images of" in note]
    assert note.startswith("camera front: frame dropped (camera_info)")


def test_zones_count_offline_too(runner: Runner, bag: Path, tmp_path: Path) -> None:
    everywhere = [-200.0, -200.0, 200.0, -200.0, 200.0, 200.0, -200.0, 200.0]
    zone = {"zones": ["yard"], "zone.yard.polygon": everywhere, "zone.yard.action": "report"}
    rows, _ = obstacles(runner, bag, tmp_path / "out", cameras=["front"], **zone)
    assert all(one["zone"] == "yard" and not one["counts"] for _, _, found in rows for one in found)


def test_the_speed_of_the_odometry_that_is_asked_for_gives_times_to_reach(
    runner: Runner, bag: Path, tmp_path: Path
) -> None:
    rows, _ = obstacles(runner, bag, tmp_path / "out", cameras=["front"], odometry="odom")
    first = rows[0][2][0]
    assert first["reach_s"] == pytest.approx(first["range_m"][0] / 4.0, abs=0.01)
    driven = RecordedBag(ReplayBag(bag), None, {})
    list(driven.arrivals())
    assert driven.metres == FRAMES - 1
