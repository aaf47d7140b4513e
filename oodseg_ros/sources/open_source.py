"""One door to everything that holds frames."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError, DatasetError
from .bag_messages import BAG_SUFFIXES, is_bag
from .bags import open_bag
from .image_files import IMAGE_SUFFIXES, open_folder, open_image
from .source import Source
from .videos import VIDEO_SUFFIXES, open_video

SCENES_FRAMES = 100
"""Frames of a procedural drive: ten seconds."""


def open_source(path: str | Path, topics: list[str] | None = None) -> Source:
    """Open a bag (mcap, sqlite3, ROS 1), video, image, folder of images, or a procedural drive.

    Args:
        path: a path, or `scenes` or `scenes:SEED`.
        topics: image topics of a bag; None = one per camera.

    Raises:
        BagError, DatasetError, ImageError: it is missing, damaged, or of no known kind.
        ConfigError: topics for something that is no bag, or a seed that is no number.
    """
    text = str(path)
    if text == "scenes" or text.startswith("scenes:"):
        return _open_scenes(text)
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{path} does not exist; give a bag, a video, an image, a folder of images, or scenes:SEED")
    if is_bag(path):
        return open_bag(path, topics)
    if topics:
        raise ConfigError(f"topics were asked for ({', '.join(topics)}), but {path} is no bag")
    if path.is_dir():
        return open_folder(path)
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return open_video(path)
    if suffix in IMAGE_SUFFIXES:
        return open_image(path)
    known = " ".join((*BAG_SUFFIXES, *VIDEO_SUFFIXES, *IMAGE_SUFFIXES))
    raise DatasetError(f"{path} is of no kind that can be read; known suffixes: {known}")


def _open_scenes(text: str) -> Source:
    from ..frame import Frame
    from ..scenes import drive

    seed = text.partition(":")[2] or "0"
    if not seed.isdecimal() or len(seed) > 9:
        raise ConfigError(f"{text}: the seed must be a whole number, as in scenes:7")

    def frames(_: Source):
        return (Frame(scene.image, scene.stamp_ns, "scenes") for scene in drive(int(seed), SCENES_FRAMES))

    return Source(text, "scenes", ("scenes",), SCENES_FRAMES, frames)
