"""Which topics of a bag are cameras, and what the cameras are called."""

from __future__ import annotations

from ..errors import BagError
from .video_packets import PACKET_TYPES

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", *PACKET_TYPES)
TRANSPORTS = ("", "compressed", "ffmpeg", "foxglove")
"""Of the same pictures, best first: whole ones before those that are built on others."""

# Names that drivers and image_proc give a camera's picture, best first; others are masks, depth or debug views.
_PICTURES = ("image_raw", "image_rect_color", "image_rect", "image_color", "image", "image_mono")


def choose_topics(types: dict[str, str], asked: list[str] | None, where: str) -> list[str]:
    """The topics to read, sorted: those asked for, else the best one per camera.

    Args:
        types: topic → message type, of the whole bag.
        asked: topics to read, or None.
        where: the bag, named in errors.

    Raises:
        BagError: the bag has no image topic, or not the ones asked for.
    """
    images = sorted(topic for topic, kind in types.items() if kind in IMAGE_TYPES)
    listed = ", ".join(images) or "none"
    if asked:
        missing = [topic for topic in asked if topic not in images]
        if missing:
            raise BagError(f"bag {where} has no image topic {', '.join(missing)}; its image topics: {listed}")
        return sorted(set(asked))
    if not images:
        others = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(types.items())[:8]) or "nothing"
        raise BagError(
            f"bag {where} holds no sensor_msgs/Image or CompressedImage and no video packets; it holds: {others}"
        )
    best: dict[str, tuple[int, int, str]] = {}
    for topic in images:
        base, transport = _split_transport(topic)
        prefix, _, last = base.rpartition("/")
        if last in _PICTURES and transport in TRANSPORTS:
            rank = (_PICTURES.index(last), TRANSPORTS.index(transport), topic)
            best[prefix] = min(best.get(prefix, (99, 0, "")), rank)
    return sorted(topic for _, _, topic in best.values()) or images


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
