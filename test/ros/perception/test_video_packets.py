"""H.264 over DDS: pictures while the stream is whole, UNKNOWN from a lost packet to the next key frame."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("av")
pytest.importorskip("ffmpeg_image_transport_msgs")
pytest.importorskip("foxglove_msgs")
import av
from diagnostic_msgs.msg import DiagnosticArray
from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
from foxglove_msgs.msg import CompressedVideo
from sensor_msgs.msg import Image
from std_msgs.msg import Header

GOP = 10


def packets(count: int = 2 * GOP) -> list[bytes]:
    if "libx264" not in av.codecs_available:
        pytest.skip("PyAV was built without libx264")
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 128, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 10), Fraction(10, 1)
    context.gop_size, context.max_b_frames = GOP, 0
    context.options = {"tune": "zerolatency"}
    found = []
    for index in range(count):
        pixels = np.full((64, 128, 3), 90, np.uint8)
        pixels[20:40, 4 * index : 4 * index + 20] = (200, 60, 40)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        frame.pts = index
        found += [bytes(packet) for packet in context.encode(frame)]
    return found


def as_ffmpeg(data: bytes, stamp: Any) -> Any:
    return FFMPEGPacket(header=Header(stamp=stamp, frame_id="lens"), encoding="h264;yuv420p", data=data)


def as_foxglove(data: bytes, stamp: Any) -> Any:
    return CompressedVideo(timestamp=stamp, frame_id="lens", format="h264", data=data)


CAMERAS = {"front": ("ffmpeg", as_ffmpeg), "rear": ("foxglove", as_foxglove)}


@pytest.fixture(scope="module")
def node(perception: Callable, peer: Any) -> tuple[Any, list[Any], dict[str, list[Any]]]:
    transports = {name: {"transport": transport, "geometry": "none"} for name, (transport, _) in CAMERAS.items()}
    process = perception(cameras=list(CAMERAS), max_age=0.0, batch=1, **transports)
    assert process.change("configure"), process.log
    alerts = peer.listen(DiagnosticArray, "alert", 500)
    scores = {camera: peer.listen(Image, f"{camera}/anomaly/score") for camera in CAMERAS}
    assert process.change("activate"), process.log
    return process, alerts, scores


def reason(alerts: list[Any], camera: str) -> str:
    entry = next(entry for entry in alerts[-1].status if entry.hardware_id == camera)
    return next(pair.value for pair in entry.values if pair.key == "reason")


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_stream_is_answered_and_a_lost_packet_is_unknown_until_the_next_key_frame(
    node: tuple, peer: Any, camera: str
) -> None:
    process, alerts, scores = node
    transport, make = CAMERAS[camera]
    data = packets()

    def send(index: int) -> list[tuple[list[Any], Any]]:
        stamp = peer.now()
        peer.publish(f"{camera}/image_raw/{transport}", make(data[index], stamp))
        return [(scores[camera], Header(stamp=stamp, frame_id="lens"))]

    peer.exchange(lambda: send(0), "an answer to a key frame")
    for index in (1, 2):
        # Sent again after a loss this would be refused, so each gets its one chance, and a key frame before the next.
        (heard, header), *_ = send(index)
        peer.until(lambda heard=heard, header=header: any(each.header == header for each in heard[-3:]), "an answer")
    answered = len(scores[camera])
    for index in (4, 5):  # 3 was lost
        send(index)
        peer.until(lambda: reason(alerts, camera) == "decode_failed", "an alert without evidence")
    process.said("unknown until the next one")
    assert len(scores[camera]) == answered
    peer.exchange(lambda: send(GOP), "an answer to the next key frame")
    peer.until(lambda: reason(alerts, camera) != "decode_failed", "evidence again")
