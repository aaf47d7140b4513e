"""Frames of a bag: the pictures of its cameras by log time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import ImageError, UserError
from ..frame import Frame
from .bag_messages import RawMessage, ReplayBag
from .bag_topics import IMAGE_TYPES, camera_names, choose_topics
from .source import Source
from .video_packets import PictureDecoder, stamp_of


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
        count=None if None in promised else sum(number or 0 for number in promised),
        open_frames=lambda source: _frames(source, bag, cameras),
        damage=bag.damage,
    )


class FrameReader:
    """Messages of a bag's cameras → frames; packets of a video must come in order and all of them.

    Args:
        bag: parses the messages.
    """

    def __init__(self, bag: ReplayBag) -> None:
        self._bag = bag
        self._decoders: dict[str, PictureDecoder] = {}

    def __call__(self, raw: RawMessage, camera: str) -> tuple[Frame, str]:
        """The frame, and the encoding or format that its message states.

        Raises:
            BagError, ImageError: it is no image message, or cannot be parsed or decoded.
        """
        decoder = self._decoders.setdefault(raw.topic, PictureDecoder())
        try:
            if raw.kind not in IMAGE_TYPES:
                raise ImageError(f"{raw.topic} is no image topic but {raw.kind}")
            message = self._bag.parse(raw)
        except UserError:
            decoder.lose()
            raise
        stamp, frame_id = stamp_of(message)
        encoding = getattr(message, "encoding", "") or getattr(message, "format", "")
        return Frame(decoder(message), stamp or raw.log_ns, camera, frame_id), encoding


def _frames(source: Source, bag: ReplayBag, cameras: dict[str, str]) -> Iterator[Frame]:
    read = FrameReader(bag)
    for raw in bag.messages(set(cameras)):
        try:
            yield read(raw, cameras[raw.topic])[0]
        except UserError as error:
            source.skipped[f"{cameras[raw.topic]}: {error}"] += 1
    source.damage = bag.damage
    source.missing = bag.missing(set(cameras))
