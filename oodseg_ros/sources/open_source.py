"""One door to everything that holds frames; `drive_files` gives them as files: folders as they are, bags and videos
unpacked once into the cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from glob import glob, has_magic
from pathlib import Path

from ..errors import ConfigError, DatasetError
from ..paths import cache_dir
from .bag_messages import BAG_SUFFIXES, is_bag
from .bags import open_bag
from .image_files import FOREIGN_SUFFIXES, IMAGE_SUFFIXES, image_files, open_files, open_folder, open_image, write_image
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
    if is_scenes(path):
        return _open_scenes(str(path))
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
    if suffix in FOREIGN_SUFFIXES:
        raise DatasetError(f"{path}: {suffix} files are not read; convert them to JPEG or PNG")
    known = " ".join((*BAG_SUFFIXES, *VIDEO_SUFFIXES, *IMAGE_SUFFIXES))
    raise DatasetError(f"{path} is of no kind that can be read; known suffixes: {known}")


def open_matching(source: str) -> Source:
    """What `open_source` opens, or the image files that fit a pattern (`drive/*_0*.jpg`) in the order of their names.

    Raises:
        ConfigError: no file fits the pattern.
        BagError, DatasetError, ImageError: see `open_source`.
    """
    if not has_magic(source) or Path(source).exists():
        return open_source(source)
    files = [Path(file) for file in sorted(glob(source)) if Path(file).is_file()]
    if not files:
        raise ConfigError(f"no file fits {source}")
    return open_files(source, files)


def is_scenes(path: str | Path) -> bool:
    """Whether it names a procedural drive, `scenes` or `scenes:SEED`."""
    return str(path).partition(":")[0] == "scenes"


def scenes_seed(path: str, default: int) -> int:
    """The seed of a procedural drive; a ConfigError if it is no number."""
    seed = path.partition(":")[2] or str(default)
    if not seed.isdecimal() or len(seed) > 9:
        raise ConfigError(f"{path}: the seed must be a whole number, as in scenes:7")
    return int(seed)


def _open_scenes(text: str) -> Source:
    from ..frame import Frame
    from ..scenes import drive

    seed = scenes_seed(text, 0)

    def frames(_: Source):
        return (Frame(scene.image, scene.stamp_ns, "scenes") for scene in drive(seed, SCENES_FRAMES))

    return Source(text, "scenes", ("scenes",), SCENES_FRAMES, frames)


_TROUBLES = "troubles.txt"


def drive_files(path: Path) -> list[Path]:
    """Image files of a folder, image, video or bag, in time order; what was lost of it is logged as a warning.

    Raises:
        BagError, DatasetError: it is missing, damaged, of no known kind, or holds no frame.
    """
    source = open_source(path)
    if source.kind == "image":
        return [path]
    if source.kind == "folder":
        return image_files(path)
    folder = cache_dir() / "frames" / _identity(path)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Unpacked beside and renamed when complete: a second process, or a crash, never leaves half a drive.
        part = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            for index, frame in enumerate(source):
                write_image(part / f"{index:06d}.png", frame.image)
            if troubles := source.troubles():
                (part / _TROUBLES).write_text(troubles)
            try:
                part.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    files = image_files(folder) if any(folder.iterdir()) else []
    if not files:
        raise DatasetError(f"{path} holds no frame that can be decoded")
    if (folder / _TROUBLES).is_file():
        # Also of frames that an earlier run unpacked.
        logging.getLogger(__name__).warning("%s: %s", path, (folder / _TROUBLES).read_text())
    return files


def _identity(path: Path) -> str:
    """Changes when any file of a drive changes."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    told = [f"{file.resolve()} {os.stat(file).st_size} {os.stat(file).st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:20]
