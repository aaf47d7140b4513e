"""The node on two cameras, one raw and one compressed, over DDS, in a process of its own."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker, MarkerArray

from oodseg_ros.inference.runner import Runner

HEIGHT, WIDTH = 64, 128
EGO_ROWS = 16


def pattern(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (8, 16, 3), dtype=np.uint8), (WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def node(perception: Callable, peer: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The active node with listeners on what it publishes."""
    folder = tmp_path_factory.mktemp("node")
    ego = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8)
    ego[-EGO_ROWS // 2 :] = 255
    cv2.imwrite(str(folder / "ego.png"), ego)
    process = perception(
        cameras=["front", "rear"],
        front={"ego_mask": str(folder / "ego.png"), "geometry": "mount", "mount": {"height": 1.2, "pitch": 0.3}},
        rear={"transport": "compressed", "geometry": "none"},
        obstacles={"threshold": 1e9},
        snapshot_dir=str(folder / "snapshots"),
        warm_size=f"{WIDTH}x{HEIGHT}",
        max_age=0.0,
    )
    assert process.change("configure"), process.log
    alerts = peer.listen(DiagnosticArray, "alert", 500)
    images = {
        f"{camera}/{topic}": peer.listen(Image, f"{camera}/{topic}")
        for camera in ("front", "rear")
        for topic in ("semantic/image", "anomaly/score", "anomaly/mask")
    }
    assert process.change("activate"), process.log
    return SimpleNamespace(process=process, peer=peer, alerts=alerts, images=images, folder=folder)


def send(node: SimpleNamespace, seed: int = 0) -> tuple[Any, Any]:
    """One image per camera, and wait until both are answered; returns their headers."""

    def publish() -> list[tuple[list[Any], Any]]:
        raw, jpeg = node.peer.image(pattern(seed), "bgr8"), node.peer.jpeg(pattern(seed + 1))
        node.peer.publish("front/image_raw", raw)
        node.peer.publish("rear/image_raw/compressed", jpeg)
        scores = [node.images[f"{camera}/anomaly/score"] for camera in ("front", "rear")]
        return list(zip(scores, (raw.header, jpeg.header), strict=True))

    front, rear = node.peer.exchange(publish, "answers of both cameras")
    return front, rear


def array(message: Image) -> np.ndarray:
    dtype = np.float32 if message.encoding == "32FC1" else np.uint8
    channels = 3 if message.encoding == "bgr8" else 1
    pixels = np.frombuffer(message.data, dtype).reshape(message.height, message.width, channels)
    return pixels if channels == 3 else pixels[..., 0]


def status(node: SimpleNamespace, camera: str) -> DiagnosticStatus:
    return next(entry for entry in node.alerts[-1].status if entry.hardware_id == camera)


def value(entry: DiagnosticStatus, key: str) -> str:
    return next(pair.value for pair in entry.values if pair.key == key)


def await_state(node: SimpleNamespace, camera: str, state: str, reason: str | None = None) -> DiagnosticStatus:
    def reached() -> bool:
        entry = status(node, camera) if node.alerts else None
        return entry is not None and value(entry, "state") == state and reason in (None, value(entry, "reason"))

    node.peer.until(reached, f"{camera} is {state}")
    return status(node, camera)


def set_parameter(node: SimpleNamespace, name: str, number: float) -> Any:
    parameter = Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=number))
    request = SetParameters.Request(parameters=[parameter])
    return node.peer.call(SetParameters, "perception/set_parameters", request).results[0]


def test_without_images_the_heartbeat_says_unknown(node: SimpleNamespace) -> None:
    node.alerts.clear()
    entry = await_state(node, "front", "UNKNOWN", "no_image")
    node.peer.until(lambda: len(node.alerts) >= 20, "heartbeats")
    assert entry.level in (DiagnosticStatus.ERROR, DiagnosticStatus.STALE)
    assert value(entry, "evidence_age_s") == "inf"
    numbers = [int(value(message.status[0], "sequence")) for message in node.alerts]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 for message in node.alerts[-20:]]
    # 10 Hz asked; a busy machine may delay single beats, the median tells the rate.
    assert np.median(np.diff(stamps)) == pytest.approx(0.1, abs=0.03)


def test_outputs_carry_the_input_header_size_and_encoding(node: SimpleNamespace) -> None:
    headers = dict(zip(("front", "rear"), send(node), strict=True))
    for topic, heard in node.images.items():
        header = headers[topic.partition("/")[0]]
        node.peer.until(lambda h=heard, e=header: h and h[-1].header == e, topic)
        message = heard[-1]
        assert message.encoding == ("32FC1" if topic.endswith("score") else "mono8")
        assert (message.height, message.width) == (HEIGHT, WIDTH)
        assert message.step == WIDTH * (4 if topic.endswith("score") else 1)
        assert len(message.data) == message.step * HEIGHT


def test_answers_are_those_of_the_bundle_and_nan_under_the_ego_mask(node: SimpleNamespace, tiny_bundle: Path) -> None:
    send(node, 10)
    runner = Runner.load(tiny_bundle, engine="torch")
    reference = runner([np.ascontiguousarray(pattern(10)[..., ::-1])])[0]
    score = array(node.images["front/anomaly/score"][-1])
    assert np.isnan(score[-EGO_ROWS:]).all()
    np.testing.assert_allclose(score[:-EGO_ROWS], reference.score[:-EGO_ROWS], atol=1e-3)
    assert np.isfinite(array(node.images["rear/anomaly/score"][-1])).all()
    node.peer.until(
        lambda: (
            node.images["front/semantic/image"][-1].header.stamp == node.images["front/anomaly/score"][-1].header.stamp
        ),
        "labels",
    )
    assert (array(node.images["front/semantic/image"][-1]) == reference.labels).mean() > 0.999


def test_unknown_then_clear_then_obstacle_then_clear(node: SimpleNamespace) -> None:
    for seed in range(4):
        send(node, seed)
    entry = await_state(node, "front", "CLEAR", "ok")
    assert entry.level == DiagnosticStatus.OK
    assert set_parameter(node, "obstacles.threshold", -1e9).successful
    markers = node.peer.listen(MarkerArray, "front/obstacles/markers")
    points = node.peer.listen(PointCloud2, "front/obstacles/points")
    info = CameraInfo(width=WIDTH, height=HEIGHT, k=[100.0, 0, 63.5, 0, 100.0, 31.5, 0, 0, 1])

    def placed() -> bool:
        node.peer.publish("front/camera_info", info)
        header, _ = send(node)
        node.peer.spin(0.1)
        return any(cloud.header.stamp == header.stamp and cloud.width for cloud in points)

    node.peer.until(placed, "points of an image with known geometry")
    for seed in range(4):
        header, _ = send(node, seed)
    entry = await_state(node, "front", "OBSTACLE", "obstacle")
    assert entry.level == DiagnosticStatus.WARN
    assert int(value(entry, "obstacle_count")) == 1
    # The whole judged image is anomalous; the ego mask is never part of an obstacle.
    assert value(entry, "obstacle_0").startswith(f"0,0,{WIDTH},{HEIGHT - EGO_ROWS} ")
    mask = array(node.images["front/anomaly/mask"][-1])
    assert (mask[:-EGO_ROWS] == 255).all()
    assert not mask[-EGO_ROWS:].any()
    node.peer.until(lambda: points and points[-1].header.stamp == header.stamp, "points of the last image")
    assert points[-1].header.frame_id == "base_link"
    assert points[-1].width > 0
    node.peer.until(lambda: markers and markers[-1].markers[0].header.stamp == header.stamp, "markers")
    cylinders = [marker for marker in markers[-1].markers if marker.type == Marker.CYLINDER and not marker.action]
    # The foot is at row 48: atan(16.5 / 100) + 0.3 rad below the horizon, from 1.2 m.
    distance = 1.2 / math.tan(math.atan((HEIGHT - EGO_ROWS - 31.5) / 100) + 0.3)
    assert any(marker.pose.position.x == pytest.approx(distance, rel=0.1) for marker in cylinders)
    assert set_parameter(node, "obstacles.threshold", 1e9).successful
    for seed in range(4):
        send(node, seed)
    await_state(node, "front", "CLEAR")


def test_time_going_back_starts_the_evidence_anew(node: SimpleNamespace) -> None:
    for seed in range(4):
        send(node, seed)
    await_state(node, "front", "CLEAR")

    def publish() -> list[tuple[list[Any], Any]]:
        message = node.peer.image(pattern(0), "bgr8", stamp=node.peer.now(-60.0))
        node.peer.publish("front/image_raw", message)
        return [(node.images["front/anomaly/score"], message.header)]

    node.peer.exchange(publish, "an answer to an old image")
    await_state(node, "front", "UNKNOWN", "starting")


def test_the_overlay_comes_once_somebody_listens_and_not_too_often(node: SimpleNamespace) -> None:
    send(node)
    overlays = node.peer.listen(Image, "front/overlay")
    node.peer.until(lambda: send(node) and overlays, "an overlay")
    assert overlays[0].encoding == "bgr8"
    assert (overlays[0].height, overlays[0].width) == (HEIGHT, WIDTH)
    overlays.clear()
    stamps = []
    for seed in range(30):
        stamps.append(send(node, seed)[0].stamp)
    node.peer.spin(0.3)
    seconds = (stamps[-1].sec - stamps[0].sec) + (stamps[-1].nanosec - stamps[0].nanosec) * 1e-9
    assert len(overlays) <= 2 + 5.0 * seconds


def test_disabled_is_unknown_and_every_frame_is_counted_so(node: SimpleNamespace) -> None:
    answer = node.peer.call(SetBool, "perception/enable", SetBool.Request(data=False))
    assert answer.success
    await_state(node, "rear", "UNKNOWN", "disabled")
    before = account(node, "front")

    def dropped() -> bool:
        node.peer.publish("front/image_raw", node.peer.image(pattern(0)))
        return account(node, "front")["dropped_disabled"] > before["dropped_disabled"]

    node.peer.until(dropped, "drops")
    assert node.peer.call(SetBool, "perception/enable", SetBool.Request(data=True)).success
    send(node)
    send(node)
    send(node)
    await_state(node, "rear", "CLEAR")


def test_a_snapshot_holds_image_overlay_and_score(node: SimpleNamespace) -> None:
    header, _ = send(node, 42)
    answer = node.peer.call(Trigger, "perception/snapshot", Trigger.Request())
    assert answer.success, answer.message
    folders = [Path(path) for path in answer.message.split()]
    assert sorted(folder.name.partition("_")[0] for folder in folders) == ["front", "rear"]
    front = next(folder for folder in folders if folder.name.startswith("front"))
    assert front.name == f"front_{header.stamp.sec * 10**9 + header.stamp.nanosec}"
    node.peer.until(lambda: all((folder / "answer.npz").exists() for folder in folders), "the snapshot is written")
    np.testing.assert_array_equal(cv2.imread(str(front / "image.png")), pattern(42))
    assert cv2.imread(str(front / "overlay.png")).shape == (HEIGHT, WIDTH, 3)
    with np.load(front / "answer.npz") as data:
        np.testing.assert_array_equal(data["score"], array(node.images["front/anomaly/score"][-1]))


def account(node: SimpleNamespace, camera: str) -> dict[str, int]:
    """Frame counts of a camera from the next diagnostic message."""
    if not hasattr(node, "diagnostics"):
        node.diagnostics = node.peer.listen(DiagnosticArray, "/diagnostics", 500)
    node.diagnostics.clear()

    def found() -> DiagnosticStatus | None:
        name = f"{node.peer.node.get_namespace()}/perception: camera {camera}"
        entries = [entry for message in node.diagnostics for entry in message.status if entry.name == name]
        return entries[-1] if entries else None

    entry = node.peer.until(found, f"diagnostics of {camera}")
    return {pair.key: int(pair.value) for pair in entry.values if pair.key.startswith(("frames_", "dropped_"))}


def test_every_frame_of_a_burst_is_accounted_for(node: SimpleNamespace) -> None:
    send(node)
    before = account(node, "front")
    for seed in range(100):
        node.peer.publish("front/image_raw", node.peer.image(pattern(seed)))
        node.peer.spin(0.002)
    send(node)

    def settled() -> dict[str, int] | None:
        counts = account(node, "front")
        return counts if counts["frames_waiting"] == 0 else None

    counts = node.peer.until(settled, "all frames are answered or dropped")
    received = counts["frames_received"] - before["frames_received"]
    answered = counts["frames_answered"] - before["frames_answered"]
    dropped = {key: counts[key] - before[key] for key in counts if key.startswith("dropped_")}
    assert received == answered + sum(dropped.values())
    assert counts["frames_dropped"] == sum(counts[key] for key in counts if key.startswith("dropped_"))
    assert set(key for key, count in dropped.items() if count) <= {"dropped_overwritten"}
    # Reliable publisher, best-effort depth-1 subscriber: what did not reach the node shows as a gap in the stamps.
    assert 2 <= received <= 101
    assert answered >= 2


def test_diagnostics_tell_engine_bundle_and_ages(node: SimpleNamespace) -> None:
    send(node)
    account(node, "front")
    entries = {entry.name.rpartition(" ")[2]: entry for entry in node.diagnostics[-1].status}
    engine = {pair.key: pair.value for pair in entries["engine"].values}
    assert engine["bundle"].startswith("tiny@")
    assert engine["engine"].startswith("torch-")
    assert float(engine["golden_error"]) <= 1e-4
    front = {pair.key: pair.value for pair in entries["front"].values}
    assert (
        0
        < float(front["age_p50_s"])
        <= float(front["age_p95_s"])
        <= float(front["age_p99_s"])
        <= float(front["age_max_s"])
    )


def test_deactivated_it_is_silent_but_for_the_heartbeat_and_comes_back(node: SimpleNamespace) -> None:
    assert node.process.change("deactivate")
    await_state(node, "front", "UNKNOWN", "inactive")
    assert node.peer.until(lambda: node.peer.node.count_subscribers("front/image_raw") == 0, "no subscription") is True
    assert node.process.change("activate")
    node.peer.until(lambda: node.peer.node.count_subscribers("front/image_raw"), "a subscription")
    for seed in range(3):
        send(node, seed)
    await_state(node, "front", "CLEAR")
    assert node.process.change("deactivate")
    assert node.process.change("cleanup")
    assert node.process.state() == "unconfigured"
    assert node.process.change("configure")
    assert node.process.change("activate")
    send(node)


def test_ctrl_c_twice_ends_it_well_and_says_inactive_last(node: SimpleNamespace) -> None:
    send(node)
    node.alerts.clear()
    assert node.process.end(signal.SIGINT, times=2) == 0
    node.peer.spin(0.3)
    assert value(status(node, "front"), "reason") == "inactive"
    assert "Traceback" not in node.process.log
