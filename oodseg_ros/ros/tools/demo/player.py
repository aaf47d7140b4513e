"""Publishes the frames of a source as camera messages, as fast as they were recorded."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Queue

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ....frame import Frame
from ...messages.images import to_image
from ...messages.stamps import to_stamp
from ...node import qos

LONGEST_PAUSE = 1.0
"""Seconds; a longer gap between the stamps of two frames (a cut in the recording) is played as this."""


def camera_names(names: Sequence[str]) -> dict[str, str]:
    """Names as a source gives them → different names that can be parts of topics: `Left 1.mp4` → `left_1_mp4`."""
    taken: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "camera"
        plain = plain[:60] if plain[0].isalpha() else f"camera_{plain}"[:60]
        while plain in taken.values():
            plain = f"{plain[:57]}_{len(taken)}"
        taken[name] = plain
    return taken


class Player:
    """Publishers `<camera>/image_raw` and `<camera>/camera_info`, relative to the node's namespace.

    Args:
        node: their owner.
        cameras: names as the frames carry them; `topics` says what each is called in topics.
    """

    def __init__(self, node: Node, cameras: Sequence[str]) -> None:
        self.topics = camera_names(cameras)
        self._clock = node.get_clock()
        self._images = {
            name: node.create_publisher(Image, f"{topic}/image_raw", qos.IMAGE_IN)
            for name, topic in self.topics.items()
        }
        self._infos = {
            name: node.create_publisher(CameraInfo, f"{topic}/camera_info", qos.CAMERA_INFO_IN)
            for name, topic in self.topics.items()
        }
        self._messages: dict[str, Image] = {}

    def listeners(self) -> int:
        """Cameras whose images somebody subscribes to."""
        return sum(publisher.get_subscription_count() > 0 for publisher in self._images.values())

    def send(self, frame: Frame, info: CameraInfo | None = None) -> int:
        """Publish one frame, stamped now so that its age means something; returns the stamp in nanoseconds.

        `info` goes out before the image, with the image's header.
        """
        stamp = self._clock.now().nanoseconds
        header = Header(stamp=to_stamp(stamp), frame_id=frame.frame_id or f"{self.topics[frame.camera]}_optical")
        if info is not None:
            info.header = header
            self._infos[frame.camera].publish(info)
        message = self._messages[frame.camera] = to_image(frame.image, header, "rgb8", self._messages.get(frame.camera))
        self._images[frame.camera].publish(message)
        return stamp

    def play(
        self,
        frames: Iterable[Frame],
        sent: Callable[[Frame, int], None],
        stop: threading.Event,
        infos: Callable[[Frame], CameraInfo | None] = lambda frame: None,
    ) -> None:
        """Send frames at the intervals of their own stamps until they end or `stop` is set.

        Args:
            frames: in time order.
            sent: called after each frame with the stamp under which it went out.
            stop: ends the play at the next frame.
            infos: the camera's info for a frame, None where its geometry is unknown.
        """
        before, due = None, time.monotonic()
        for frame in frames:
            if before is not None:
                due += min(max(frame.stamp_ns - before, 0) * 1e-9, LONGEST_PAUSE)
            before = frame.stamp_ns
            # A source that cannot keep up shifts the rest of the play instead of sending a burst.
            due = max(due, time.monotonic() - 0.2)
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            sent(frame, self.send(frame, infos(frame)))


def read_ahead(frames: Iterable[Frame], limit: int, stop: threading.Event) -> Iterator[Frame]:
    """The same frames, read by a thread that is up to `limit` frames ahead; what the source raises is raised here."""
    queue: Queue[Frame | Exception | None] = Queue(limit)

    def read() -> None:
        end: Exception | None = None
        try:
            for frame in frames:
                if stop.is_set():
                    break
                queue.put(frame)
        except Exception as error:
            end = error
        queue.put(end)

    threading.Thread(target=read, name="reader", daemon=True).start()

    def drain() -> Iterator[Frame]:
        while isinstance(item := queue.get(), Frame):
            yield item
        if item is not None:
            raise item

    return drain()
