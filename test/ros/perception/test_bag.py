"""A bag played at its recorded rate: every frame is answered, or dropped for a reason that is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import compressed, write_bag

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image

from oodseg_ros.errors import BagError
from oodseg_ros.ros.bag_player import BagPlayer

TOPIC = "/camera/image_raw/compressed"
START = 1_600_000_000_000_000_000


def recorded(path: Path, frames: int, period: float) -> Path:
    """JPEG frames of 64x128 in an mcap bag, stamped years ago as recordings are."""
    rng = np.random.default_rng(0)
    stamps = [START + int(index * period * 1e9) for index in range(frames)]
    return write_bag(path, ((TOPIC, at, compressed(at, rng.integers(0, 256, (64, 128, 3), np.uint8))) for at in stamps))


def play(peer: Any, perception: Callable, bag: Path, **parameters: Any) -> dict[str, str]:
    """Play a bag to the node in simulation time; returns the camera's diagnostic values after the last frame."""
    process = perception(camera={"transport": "compressed", "geometry": "none"}, use_sim_time=True, **parameters)
    assert process.change("configure"), process.log
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics", 200)
    scores = peer.listen(Image, "camera/anomaly/score", 200)
    assert process.change("activate"), process.log
    player = BagPlayer(peer.node, bag, {TOPIC: "camera/image_raw/compressed"})
    peer.until(player.listeners, "the node listens to the bag")
    sent: list[int] = []
    thread = threading.Thread(target=lambda: sent.append(sum(player.play(threading.Event()).values())))
    thread.start()
    peer.until(lambda: not thread.is_alive(), "the bag has ended")
    diagnostics.clear()
    name = f"{peer.node.get_namespace()}/perception: camera camera"

    def settled() -> dict[str, str] | None:
        entries = [entry for message in diagnostics for entry in message.status if entry.name == name]
        values = {pair.key: pair.value for pair in entries[-1].values} if entries else {}
        return values if values.get("frames_waiting") == "0" else None

    values = peer.until(settled, "all frames are accounted for")
    assert process.end() == 0
    return {**values, "sent": str(sent[0]), "heard": str(len(scores))}


def check_account(values: dict[str, str], frames: int) -> None:
    received, answered = int(values["frames_received"]), int(values["frames_answered"])
    dropped = {key: int(value) for key, value in values.items() if key.startswith("dropped_")}
    assert int(values["sent"]) == frames
    assert received + int(values["frames_lost_in_transport"]) == frames
    assert received == answered + sum(dropped.values())
    assert int(values["heard"]) == answered
    assert 0 < float(values["age_p50_s"]) <= float(values["age_max_s"])


def test_a_bag_is_accounted_for_in_simulation_time(peer: Any, perception: Callable, tmp_path: Path) -> None:
    bag = recorded(tmp_path / "bag", frames=20, period=0.1)
    values = play(peer, perception, bag, warm_size="128x64")
    check_account(values, 20)
    # Half is what the busiest machine may miss; a 64x128 image takes the network a few milliseconds.
    assert int(values["frames_answered"]) >= 10


@pytest.mark.data
def test_the_road_video_is_accounted_for(peer: Any, perception: Callable, shared_data: Path) -> None:
    check_account(play(peer, perception, shared_data / "bag_pixood", warm_size="960x540"), 27)


def test_a_bag_without_the_topic_is_refused(peer: Any, tmp_path: Path) -> None:
    bag = recorded(tmp_path / "bag", frames=1, period=0.1)
    with pytest.raises(BagError, match=r"has no /other; its camera topics: /camera/image_raw/compressed"):
        BagPlayer(peer.node, bag, {"/other": "x"})
    with pytest.raises(BagError, match="does not exist"):
        BagPlayer(peer.node, tmp_path / "nothing")
