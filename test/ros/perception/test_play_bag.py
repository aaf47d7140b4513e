"""A bag is played to the real node over DDS: its inputs only, from its first frame, until the last one is answered."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import STORE, T, compressed, header, write_bag
from rosbags.rosbag2 import StoragePlugin, Writer

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger

from oodseg_ros.ros.bag_player import BagPlayer
from oodseg_ros.ros.messages.alert import to_ns
from oodseg_ros.ros.tools.listener import read_alert

START = 1_600_000_000_000_000_000
PERIOD = 200_000_000
FRAMES = 8


def recorded(path: Path, namespace: str, frames: int = FRAMES) -> Path:
    """JPEG frames of 64x128 as a recorder of the node's own topics leaves them: with its old alerts beside them."""
    rng = np.random.default_rng(0)
    array, status = T["diagnostic_msgs/msg/DiagnosticArray"], T["diagnostic_msgs/msg/DiagnosticStatus"]

    def messages() -> Iterator[tuple[str, int, Any]]:
        for stamp in range(START, START + frames * PERIOD, PERIOD):
            message = compressed(stamp, rng.integers(0, 256, (64, 128, 3), np.uint8))
            for camera in ("camera", "rear"):
                yield f"{namespace}/{camera}/image_raw/compressed", stamp, message
            old = array(message.header, [status(0, "old", "from the recording", "camera", [])])
            yield f"{namespace}/alert", stamp, old

    return write_bag(path, messages())


class Replay:
    """`python -m oodseg_ros.ros.play_bag` in a process of its own."""

    def __init__(self, folder: Path, peer: Any, *arguments: str) -> None:
        self._log = folder / "play.log"
        command = [sys.executable, "-m", "oodseg_ros.ros.play_bag", *arguments]
        with self._log.open("w") as stream:
            node = ["--node", f"{peer.node.get_namespace()}/perception"]
            self.process = subprocess.Popen([*command, *node], stdout=stream, stderr=stream, env=os.environ)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait(self, peer: Any, limit: float = 120.0) -> int:
        peer.until(lambda: self.process.poll() is not None, f"the player ends; {self.log}", limit)
        return self.process.returncode


@pytest.fixture
def replay(tmp_path: Path, peer: Any):
    running: list[Replay] = []

    def start(*arguments: str) -> Replay:
        running.append(Replay(tmp_path, peer, *arguments))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()


PARAMETERS = {
    "camera": {"transport": "compressed", "geometry": "none"},
    "use_sim_time": True,
    "autostart": True,
    "warm_size": "128x64",
    "max_age": 60.0,
}


def test_the_inputs_are_played_whole_and_nothing_else(
    peer: Any, perception: Callable, replay: Callable, tmp_path: Path
):
    """The player is started first, as launch may do: it asks for the state, and misses no transition."""
    heard = peer.listen_later(DiagnosticArray, "alert", 500)
    bag = recorded(tmp_path / "bag", peer.node.get_namespace())
    played = replay(str(bag), "--rate", "0.5")
    perception(**PARAMETERS)
    assert played.wait(peer) == 0, played.log
    assert f"{FRAMES} images played, {FRAMES} received" in played.log, played.log
    assert "alert" not in played.log.partition("playing ")[2].partition("\n")[0]
    assert "rear" not in played.log.partition("playing ")[2].partition("\n")[0]
    assert heard
    assert all(status.name != "old" for message in heard for status in message.status)


def test_after_the_bag_starts_over_no_evidence_is_negative(
    peer: Any, perception: Callable, replay: Callable, tmp_path: Path
):
    heard = peer.listen_later(DiagnosticArray, "alert", 2000)
    bag = recorded(tmp_path / "bag", peer.node.get_namespace())
    perception(**PARAMETERS)
    played = replay(str(bag), "--loop")

    def loops() -> int:
        times = [to_ns(message.header.stamp) for message in heard]
        return sum(later < before - 10**9 for before, later in itertools.pairwise(times))

    peer.until(lambda: loops() >= 2, f"the bag started over twice; {played.log}")
    played.process.send_signal(signal.SIGINT)
    assert played.wait(peer) == 0, played.log
    ages = [read_alert(status, 0).age_s for message in heard for status in message.status]
    assert min(ages) >= 0


def test_what_was_not_replayed_is_no_success(peer: Any, perception: Callable, replay: Callable, tmp_path: Path):
    bag = recorded(tmp_path / "bag", "/elsewhere")
    missing = replay(str(tmp_path / "none"))
    assert missing.wait(peer) == 1
    assert "does not exist" in missing.log
    perception(**PARAMETERS)
    other = replay(str(bag))
    assert other.wait(peer) == 1
    assert "/elsewhere/camera/image_raw/compressed" in other.log
    assert "image_topic:=" in other.log
    perception(**PARAMETERS | {"bundle": str(tmp_path / "no_bundle")})
    refused = replay(str(bag))
    assert refused.wait(peer) == 1
    assert "did not start and is unconfigured" in refused.log


def test_a_damaged_bag_is_played_as_far_as_it_goes_and_is_no_success(
    peer: Any, perception: Callable, replay: Callable, tmp_path: Path
):
    whole = recorded(tmp_path / "bag", peer.node.get_namespace())
    cut = recorded(tmp_path / "cut", peer.node.get_namespace())
    (whole / "metadata.yaml").unlink()
    data = (cut / "cut.mcap").read_bytes()
    (cut / "cut.mcap").write_bytes(data[: len(data) // 2])
    perception(**PARAMETERS)
    noted = replay(str(whole))
    assert noted.wait(peer) == 0, noted.log
    assert "metadata.yaml is missing" in noted.log
    damaged = replay(str(cut))
    assert damaged.wait(peer) == 1, damaged.log
    assert "is damaged; only what is sound in it was played" in damaged.log
    assert "of 24 messages are missing" in damaged.log


def test_pause_resume_and_offset(peer: Any, tmp_path: Path):
    topic = f"{peer.node.get_namespace()}/camera/image_raw/compressed"
    bag = recorded(tmp_path / "bag", peer.node.get_namespace())
    images: list[CompressedImage] = []
    times: list[int] = []
    peer.node.create_subscription(CompressedImage, topic, images.append, 50)
    peer.node.create_subscription(Clock, "/clock", lambda message: times.append(to_ns(message.clock)), 50)
    player = BagPlayer(peer.node, bag, {topic: topic}, rate=2.0, offset=3.5 * PERIOD * 1e-9, paused=True)
    thread = threading.Thread(target=player.play, args=(threading.Event(),))
    thread.start()
    peer.until(lambda: player.listeners() and len(times) > 5, "the clock stands at the first message")
    assert len(set(times[-5:])) == 1
    assert times[-1] < START + 3.5 * PERIOD
    assert not images
    player.resume()
    peer.until(lambda: len(images) >= 2, "it plays")
    player.pause()
    peer.spin(0.3)
    held, at = len(images), time.monotonic()
    peer.spin(1.0)
    assert (len(images), times[-1]) == (held, times[-2]), f"it went on within {time.monotonic() - at:.1f} s"
    player.resume()
    peer.until(lambda: not thread.is_alive(), "the bag has ended")
    peer.spin(0.3)
    assert [to_ns(image.header.stamp) for image in images] == [START + i * PERIOD for i in range(4, FRAMES)]
    assert times[-1] > START + (FRAMES - 1) * PERIOD
    assert player.sent[topic] == FRAMES - 4


def test_own_services_pause_and_resume(peer: Any, perception: Callable, replay: Callable, tmp_path: Path):
    bag = recorded(tmp_path / "bag", peer.node.get_namespace())
    perception(**PARAMETERS)
    played = replay(str(bag), "--start-paused")
    peer.until(lambda: "playing " in played.log, played.log)
    assert peer.call(Trigger, "/bag_player/pause", Trigger.Request()).success
    peer.spin(3.0)
    assert played.process.poll() is None
    assert peer.call(Trigger, "/bag_player/resume", Trigger.Request()).success
    assert played.wait(peer) == 0, played.log
    assert f"{FRAMES} images played, " in played.log, played.log


def test_without_a_node_whoever_listens_is_played_to(peer: Any, tmp_path: Path):
    topic = f"{peer.node.get_namespace()}/rear/image_raw/compressed"
    bag = recorded(tmp_path / "bag", peer.node.get_namespace())
    images: list[CompressedImage] = []
    peer.node.create_subscription(CompressedImage, topic, images.append, 50)
    command = [sys.executable, "-m", "oodseg_ros.ros.play_bag", str(bag), "--rate", "4", "--topics", topic]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        peer.until(lambda: process.poll() is not None, "the player ends")
        assert process.returncode == 0, process.stdout.read()
        peer.spin(0.3)
        assert len(images) == FRAMES
    finally:
        process.kill()


def test_a_message_that_cannot_be_unpacked_is_told_and_not_sent(peer: Any, tmp_path: Path):
    topic = f"{peer.node.get_namespace()}/camera/image_raw/compressed"
    kind = "sensor_msgs/msg/CompressedImage"
    good = bytes(STORE.serialize_cdr(T[kind](header(10**9), "jpeg", np.zeros(9, np.uint8)), kind))
    damaged = b"\x28\xb5\x2f\xfd" + bytes(20)  # compression mode `message`, and not one block that is sound
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, kind, typestore=STORE)
        for index in range(FRAMES):
            writer.write(connection, START + index * PERIOD // 10, damaged if index == 3 else good)
    images: list[bytes] = []
    peer.node.create_subscription(CompressedImage, topic, images.append, 50, raw=True)
    player = BagPlayer(peer.node, tmp_path / "bag", {topic: topic})
    thread = threading.Thread(target=player.play, args=(threading.Event(),))
    thread.start()
    peer.until(lambda: not thread.is_alive(), "the bag has ended")
    peer.spin(0.3)
    assert images == [good] * (FRAMES - 1)
    assert player.sent[topic] == FRAMES - 1
    assert f"{topic}: 1 messages are damaged or of another type and were not sent" in player.damage
