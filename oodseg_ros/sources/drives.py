"""Frames of a drive without labels, as files: folders as they are, bags and videos unpacked once into the cache."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from ..errors import DatasetError
from ..paths import cache_dir
from .image_files import image_files, write_image
from .open_source import open_source

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
