"""What a camera, a user or a damaged disk can do to the node: it says a sentence and lives on."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, Image

SIZE = (64, 128, 3)


@pytest.fixture(scope="module")
def node(perception: Callable, peer: Any) -> SimpleNamespace:
    process = perception(
        cameras=["front", "rear"],
        front={"geometry": "mount"},
        rear={"transport": "compressed", "geometry": "none"},
        max_age=0.0,
        batch=1,
    )
    assert process.change("configure"), process.log
    alerts = peer.listen(DiagnosticArray, "alert", 500)
    scores = {camera: peer.listen(Image, f"{camera}/anomaly/score") for camera in ("front", "rear")}
    assert process.change("activate"), process.log
    return SimpleNamespace(process=process, peer=peer, alerts=alerts, scores=scores)


def image(node: SimpleNamespace, **changes: Any) -> Image:
    message = node.peer.image(np.full(SIZE, 90, np.uint8))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def answers(node: SimpleNamespace) -> None:
    """The node still answers a good image of both cameras."""

    def publish() -> list[tuple[list[Any], Any]]:
        front, rear = image(node), node.peer.jpeg(np.full(SIZE, 90, np.uint8))
        node.peer.publish("front/image_raw", front)
        node.peer.publish("rear/image_raw/compressed", rear)
        return [(node.scores["front"], front.header), (node.scores["rear"], rear.header)]

    node.peer.exchange(publish, "answers of both cameras")


def reason(node: SimpleNamespace, camera: str) -> str:
    entry = next(entry for entry in node.alerts[-1].status if entry.hardware_id == camera)
    return next(pair.value for pair in entry.values if pair.key == "reason")


CASES = {
    "wrong encoding": ({"encoding": "purple9"}, "encoding 'purple9'"),
    "score instead of picture": ({"encoding": "32FC1", "step": 512}, "encoding 32FC1 holds measurements"),
    "truncated data": ({"height": 640}, "data holds 24576 bytes, but 640 rows of step 384 need 245760"),
    "step smaller than width": ({"step": 100}, "step is 100 bytes, but a row of 128 bgr8 pixels needs 384"),
    "zero size": ({"width": 0, "height": 0}, "0x0"),
    "enormous": ({"width": 4294967295, "height": 4294967295}, "4294967295"),
    "too small for any network": ({"width": 8, "height": 8, "step": 24}, "8x8"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_image_costs_one_frame_and_one_sentence(node: SimpleNamespace, case: str) -> None:
    changes, sentence = CASES[case]
    answers(node)
    node.peer.publish("front/image_raw", image(node, **changes))
    log = node.process.said(sentence)
    assert "(decode_failed)" in log
    node.peer.until(lambda: reason(node, "front") == "decode_failed", "the alert names the reason")
    assert reason(node, "rear") != "decode_failed"
    answers(node)
    assert node.process.process.poll() is None


def test_the_same_trouble_is_said_once(node: SimpleNamespace) -> None:
    for step in (50, 60, 70):
        node.peer.publish("front/image_raw", image(node, step=step))
        node.peer.until(lambda: reason(node, "front") == "decode_failed", "decode_failed")
        answers(node)
    assert node.process.log.count("but a row of 128 bgr8 pixels needs") == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"", "no bytes|empty|0 bytes"), (b"\xff\xd8\xff" + b"\x00" * 400, "cannot be decoded|no image|corrupt|JPEG")],
)
def test_a_corrupt_jpeg_costs_one_frame(node: SimpleNamespace, data: bytes, sentence: str) -> None:
    answers(node)
    before = len(node.process.log.splitlines())
    message = node.peer.jpeg(np.full(SIZE, 90, np.uint8))
    message.data = type(message.data)("B", data)
    node.peer.publish("rear/image_raw/compressed", message)
    node.peer.until(lambda: reason(node, "rear") == "decode_failed", "the alert names the reason")
    words = sentence.split("|")
    # The alert may be here before the line is in the file.
    node.peer.until(
        lambda: any(word in "\n".join(node.process.log.splitlines()[before:]) for word in words), f"log: {words}"
    )
    answers(node)


def test_a_repeated_stamp_is_dropped(node: SimpleNamespace) -> None:
    message = image(node)

    def publish() -> list[tuple[list[Any], Any]]:
        message.header.stamp = node.peer.now()
        node.peer.publish("front/image_raw", message)
        return [(node.scores["front"], copy.deepcopy(message.header))]

    node.peer.exchange(publish, "an answer")
    count = len(node.scores["front"])
    node.peer.publish("front/image_raw", message)
    answers(node)
    heard = [answer.header.stamp for answer in node.scores["front"][count - 1 :]]
    assert heard.count(message.header.stamp) == 1


def test_a_camera_info_of_nan_gives_no_positions_but_answers(node: SimpleNamespace) -> None:
    nan = float("nan")
    info = CameraInfo(width=SIZE[1], height=SIZE[0], k=[nan, 0.0, nan, 0.0, nan, nan, 0.0, 0.0, 1.0])

    def refused() -> bool:
        node.peer.publish("front/camera_info", info)
        answers(node)
        return "K holds values that are not numbers" in node.process.log

    node.peer.until(refused, "the node refuses the calibration")
    answers(node)


def test_a_wrong_value_at_run_time_is_refused_with_a_sentence(node: SimpleNamespace) -> None:
    def ask(name: str, **value: Any) -> str:
        request = SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(**value))])
        result = node.peer.call(SetParameters, "perception/set_parameters", request).results[0]
        assert not result.successful
        return result.reason

    assert "3600" in ask("image_timeout", type=ParameterType.PARAMETER_DOUBLE, double_value=-3.0)
    assert "takes effect at configure" in ask("bundle", type=ParameterType.PARAMETER_STRING, string_value="other")
    assert "must not exceed trigger_window" in ask(
        "obstacles.trigger_hits", type=ParameterType.PARAMETER_INTEGER, integer_value=50
    )
    assert ask("image_timeout", type=ParameterType.PARAMETER_STRING, string_value="soon")
    assert ask("bundel", type=ParameterType.PARAMETER_STRING, string_value="x")
    answers(node)


@pytest.fixture(scope="module")
def idle(perception: Callable, peer: Any, node: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A second node, started with everything wrong, that tests put right; the first one has ended."""
    node.process.end()
    return perception(
        bundle=str(tmp_path_factory.mktemp("empty")),
        bundel="typo",
        threads="many",
        max_age=5000.0,
        image_timeout=2,
        cameras=["front"],
        front={"transport": "pigeon"},
        rear={"priority": 3},
    )


def repair(idle: Any, name: str, **value: Any) -> None:
    request = SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(**value))])
    result = idle.peer.call(SetParameters, "perception/set_parameters", request).results[0]
    assert result.successful, result.reason


def test_wrong_parameters_leave_it_unconfigured_and_are_all_named(idle: Any) -> None:
    assert not idle.change("configure")
    log = idle.said("cannot configure")
    for sentence in (
        "parameter threads must be of type integer, got 'many' (str)",
        "parameter max_age must be from 0 to 3600, got 5000.0",
        "parameter front.transport must be one of raw, compressed, ffmpeg, foxglove, got 'pigeon'",
        "parameter bundel does not exist; did you mean bundle?",
    ):
        assert sentence in log
    assert "image_timeout" not in log, "a whole number is fine where a double is meant"
    assert idle.state() == "unconfigured"
    assert idle.process.poll() is None


def test_put_right_it_configures(idle: Any, perception: Callable, tiny_bundle: Path, tmp_path: Path) -> None:
    # An unknown parameter cannot be taken back, so this one starts anew without it.
    idle.end()
    broken = tmp_path / "tampered"
    shutil.copytree(tiny_bundle, broken)
    weights = broken / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    process = perception(bundle=str(tmp_path), threads="many", rear={"priority": 3})
    assert not process.change("configure")
    repair(process, "threads", type=ParameterType.PARAMETER_INTEGER, integer_value=1)
    assert not process.change("configure")
    process.said("no bundle at")
    assert process.state() == "unconfigured"
    repair(process, "bundle", type=ParameterType.PARAMETER_STRING, string_value=str(broken))
    assert not process.change("configure")
    process.said("was changed or damaged")
    repair(process, "bundle", type=ParameterType.PARAMETER_STRING, string_value=str(tiny_bundle))
    repair(process, "engine", type=ParameterType.PARAMETER_STRING, string_value="warp")
    assert not process.change("configure")
    process.said("unknown engine 'warp'")
    repair(process, "engine", type=ParameterType.PARAMETER_STRING, string_value="torch")
    assert process.change("configure")
    process.said("rear.priority")
    assert process.state() == "inactive"
    assert process.end() == 0
