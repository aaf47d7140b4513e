"""Frames of a bag: the pictures of its cameras by log time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import BagError, ImageError
from ..frame import Frame
from .bag_messages import ReplayBag
from .bag_topics import IMAGE_TYPES, camera_names, choose_topics
from .message_images import message_to_rgb
from .source import Source


def open_bag(path: Path, topics: list[str] | None = None) -> Source:
    """Frames of a bag's image topics, in the order of their log times; stamps are the message headers'.

    Args:
        path: bag file, or rosbag2 folder; its metadata.yaml may be missing.
        topics: image topics to read; None = one per camera (see `bag_topics.choose_topics`).

    Raises:
        BagError: it cannot be read, has no images, or lacks a topic that was asked for.
    """
    bag = ReplayBag(path)
    path = bag.path
    cameras = camera_names(choose_topics(bag.topics, topics, str(path)))
    promised = [bag.promised.get(topic) for topic in cameras]
    return Source(
        name=path.stem if path.is_file() else path.resolve().name,
        kind="bag",
        cameras=tuple(cameras.values()),
        count=None if None in promised else sum(promised),
        open_frames=lambda source: _frames(source, bag, cameras),
        damage=bag.damage,
    )


def _frames(source: Source, bag: ReplayBag, cameras: dict[str, str]) -> Iterator[Frame]:
    for raw in bag.messages(set(cameras)):
        try:
            if raw.kind not in IMAGE_TYPES:
                raise ImageError(f"{raw.topic} is no image topic but {raw.kind}")
            message = bag.parse(raw)
            image = message_to_rgb(message)
        except (BagError, ImageError) as error:
            source.skipped[f"{cameras[raw.topic]}: {error}"] += 1
            continue
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        yield Frame(image, stamp or raw.log_ns, cameras[raw.topic], message.header.frame_id)
    source.damage = bag.damage
    source.missing = bag.missing(set(cameras))
