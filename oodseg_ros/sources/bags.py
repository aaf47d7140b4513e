"""Frames of a bag: which of its topics are cameras, what these are called, and their pictures by log time."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BagError, ImageError, UserError, listed
from ..frame import Frame
from .bag_messages import RawMessage, ReplayBag
from .source import Source, Unreadable
from .video_packets import PACKET_TYPES, PictureDecoder, stamp_of

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", *PACKET_TYPES)
TRANSPORTS = ("", "compressed", "ffmpeg", "foxglove")
"""Of the same pictures, best first: whole ones before those that are built on others."""

# Names that drivers and image_proc give a camera's picture, best first; others are masks, depth or debug views.
_PICTURES = ("image_raw", "image_rect_color", "image_rect", "image_color", "image", "image_mono")
_PICTURE_TYPES = re.compile(r"(Image|Video)$|theora")
_HOLDS_PICTURES = re.compile(r"^sensor_msgs/(?:msg/)?(?:Compressed)?Image(?:\[\w*\])?\s", re.MULTILINE)


def choose_topics(types: dict[str, str], asked: list[str] | None, where: str, empty: Collection[str] = ()) -> list[str]:
    """The topics to read, sorted: those asked for, else the best one per camera.

    Args:
        types: topic → message type, of the whole bag.
        asked: topics to read, or None.
        where: the bag, named in errors.
        empty: topics without one message, which a recorder notes as well: taken only where there is nothing else.

    Raises:
        BagError: the bag has no image topic, or not the ones asked for.
    """
    images = sorted(topic for topic, kind in types.items() if kind in IMAGE_TYPES)
    known = ", ".join(images) or "none"
    if asked:
        missing = [topic for topic in asked if topic not in images]
        if missing:
            raise BagError(f"bag {where} has no image topic {', '.join(missing)}; its image topics: {known}")
        return sorted(set(asked))
    if not images:
        others = listed([f"{topic} ({kind})" for topic, kind in sorted(types.items())]) or "nothing"
        raise BagError(
            f"bag {where} holds no sensor_msgs/Image or CompressedImage and no video packets; it holds: {others}"
        )
    best: dict[str, tuple[bool, int, int, str]] = {}
    for topic in images:
        base, transport = _split_transport(topic)
        prefix, _, last = base.rpartition("/")
        if last in _PICTURES and transport in TRANSPORTS:
            rank = (topic in empty, _PICTURES.index(last), TRANSPORTS.index(transport), topic)
            best[prefix] = min(best.get(prefix, rank), rank)
    full = [topic for is_empty, *_, topic in best.values() if not is_empty]
    return sorted(full) or [topic for topic in images if topic not in empty] or images


def passed_over(bag: ReplayBag, chosen: Collection[str]) -> str:
    """A sentence on topics with pictures beside those of the chosen cameras, "" = there are none."""
    places = {_split_transport(topic)[0].rpartition("/")[0] for topic in chosen}
    named, foreign = [], []
    for topic, kind in sorted(bag.topics.items()):
        place = _split_transport(topic)[0].rpartition("/")[0]
        if place in places or any(place.startswith(f"{near}/") for near in places if near) or topic in bag.empty:
            continue
        if kind in IMAGE_TYPES:
            named.append(topic)
        elif _PICTURE_TYPES.search(kind) or _HOLDS_PICTURES.search(bag.definitions.get(topic, ("",))[0]):
            foreign.append(f"{topic} ({kind})")
    texts = [f"image topics that were not read: {', '.join(named)}; --topic names the ones to read"] if named else []
    texts += [f"pictures of a type that is not read: {', '.join(foreign)}"] if foreign else []
    return "; ".join(texts)


def camera_names(topics: list[str]) -> dict[str, str]:
    """Topic → camera name: what stands before `/image_raw`, slashes as underscores; the full topic where not unique.

    >>> camera_names(["/front/left/image_raw/compressed"])
    {'/front/left/image_raw/compressed': 'front_left'}
    """
    short = {
        topic: _split_transport(topic)[0].rpartition("/")[0].strip("/").replace("/", "_") or "camera"
        for topic in topics
    }
    names = list(short.values())
    return {t: name if names.count(name) == 1 else t.strip("/").replace("/", "_") for t, name in short.items()}


def _split_transport(topic: str) -> tuple[str, str]:
    base, _, last = topic.rpartition("/")
    return (base, last) if last in (*TRANSPORTS[1:], "compressedDepth", "theora", "zstd") else (topic, "")


def open_bag(path: Path, topics: list[str] | None = None) -> Source:
    """Frames of a bag's image topics, in the order of their log times; stamps are the message headers'.

    Args:
        path: bag file, or rosbag2 folder; its metadata.yaml may be missing.
        topics: image topics to read; None = one per camera (see `choose_topics`).

    Raises:
        BagError: it cannot be read, has no images, or lacks a topic that was asked for.
    """
    bag = ReplayBag(path)
    path = bag.path
    try:
        cameras = camera_names(choose_topics(bag.topics, topics, str(path), bag.empty))
    except BagError as error:
        raise BagError(f"{error}; {bag.damage}") if bag.damage else error from None
    if topics is None and (text := passed_over(bag, cameras)):
        logging.getLogger(__name__).warning("%s: %s", path, text)
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
    """Messages of a bag's cameras → pictures; packets of a video must come in order and all of them."""

    def __init__(self, bag: ReplayBag) -> None:
        self._bag = bag
        self._decoders: dict[str, PictureDecoder] = {}

    def message(self, raw: RawMessage) -> Any:
        """The parsed message of an image topic.

        Raises:
            BagError, ImageError: it is no image message, or cannot be parsed.
        """
        try:
            if raw.kind not in IMAGE_TYPES:
                raise ImageError(f"{raw.topic} is no image topic but {raw.kind}")
            return self._bag.parse(raw)
        except UserError:
            self._decoder(raw).lose()
            raise

    def picture(self, raw: RawMessage, message: Any) -> np.ndarray:
        """The picture of a parsed message, RGB uint8 `[H, W, 3]`.

        Raises:
            ImageError: it cannot be decoded.
        """
        return self._decoder(raw)(message)

    def _decoder(self, raw: RawMessage) -> PictureDecoder:
        return self._decoders.setdefault(raw.topic, PictureDecoder())


def _frames(source: Source, bag: ReplayBag, cameras: dict[str, str]) -> Iterator[Frame | Unreadable]:
    read = FrameReader(bag)
    for raw in bag.messages(set(cameras)):
        camera, stamp = cameras[raw.topic], 0
        try:
            message = read.message(raw)
            stamp, frame_id = stamp_of(message)
            image = read.picture(raw, message)
        except UserError as error:
            yield Unreadable(ImageError(f"{camera}: {error}"), stamp or raw.log_ns, camera)
        else:
            yield Frame(image, stamp or raw.log_ns, camera, frame_id)
    source.damage = bag.damage
    source.missing = bag.missing(set(cameras))
