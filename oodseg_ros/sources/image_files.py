"""Single images and folders of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..errors import DatasetError, ImageError, listed
from ..frame import Frame
from .image_bytes import decode_file, orientation
from .source import STILL_PERIOD_NS, Source, Unreadable, natural_key

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FOREIGN_SUFFIXES = (".heic", ".heif", ".avif", ".gif", ".jp2", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf")
"""Pictures of phones and cameras that are not read, and are told where they lie among others."""


def read_image(path: Path) -> np.ndarray:
    """An image file as RGB uint8 `[H, W, 3]`; turned upright as its EXIF orientation asks.

    Raises:
        ImageError: it cannot be read or decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"image {path} cannot be read: {error.strerror}") from error
    try:
        return decode_file(data)
    except ImageError as error:
        raise ImageError(f"image {path} cannot be decoded: {error}") from error


def orientation_of(path: Path) -> int:
    """The EXIF orientation that `read_image` has turned upright, 1 = it is stored upright, or cannot be read."""
    try:
        return orientation(path.read_bytes())
    except OSError:
        return 1


def write_image(path: Path, image: np.ndarray, quality: int = 92) -> None:
    """Write RGB or gray; the suffix says the format, `quality` holds for JPEG.

    Raises:
        ImageError: it cannot be written.
    """
    converted = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    parameters = (
        [cv2.IMWRITE_JPEG_QUALITY, quality]
        if path.suffix.lower() in (".jpg", ".jpeg")
        else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    done, data = cv2.imencode(path.suffix, converted, parameters)
    if not done:
        raise ImageError(f"image {path} cannot be encoded")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise ImageError(f"image {path} cannot be written: {error.strerror}") from error


def open_image(path: Path) -> Source:
    """A source of one frame. An unreadable image raises its own error when it is iterated, unlike in a folder."""
    return Source(path.name, "image", (path.stem,), 1, lambda _: _only_frame(path), (path.name,))


def open_folder(path: Path) -> Source:
    """The images of a folder in natural order of their names, as one camera named after the folder.

    Raises:
        DatasetError: it holds no images.
    """
    files = image_files(path)
    name = path.resolve().name
    foreign = [file for file in path.iterdir() if _is_foreign(file) and _meant(file)]
    return open_files(name, sorted([*foreign, *files], key=natural_key))


def open_files(name: str, files: list[Path]) -> Source:
    """Image files in the order given, as one camera; files of a kind that is not read are unreadable frames of it."""
    read = {file.with_suffix("") for file in files if not _is_foreign(file)}
    # A camera's raw file beside its JPEG is the same picture.
    files = [file for file in files if not (_is_foreign(file) and file.with_suffix("") in read)]
    return Source(
        name,
        "folder",
        (name,),
        len(files),
        lambda _: (_frame(file, index * STILL_PERIOD_NS, name) for index, file in enumerate(files)),
        tuple(file.name for file in files),
    )


def image_files(path: Path) -> list[Path]:
    """The images of a folder in natural order of their names.

    Raises:
        DatasetError: it holds no images.
    """
    found = [file for file in path.iterdir() if _meant(file)]
    files = sorted((file for file in found if file.suffix.lower() in IMAGE_SUFFIXES), key=natural_key)
    if not files and (foreign := sorted({s for f in found if (s := f.suffix.lower()) in FOREIGN_SUFFIXES})):
        raise DatasetError(
            f"folder {path} holds only pictures of kinds that are not read ({', '.join(foreign)}); convert them to "
            "JPEG or PNG"
        )
    if not files:
        inner = sorted(child.name for child in path.iterdir() if child.is_dir())
        hint = f"; give one of its folders: {listed(inner, 5)}" if inner else ""
        raise DatasetError(f"folder {path} holds no image ({' '.join(IMAGE_SUFFIXES)}) and no bag{hint}")
    return files


def _meant(file: Path) -> bool:
    """Not what macOS and editors leave beside files (`._name.jpg`)."""
    return not file.name.startswith(".") and not file.is_dir()


def _is_foreign(file: Path) -> bool:
    return file.suffix.lower() in FOREIGN_SUFFIXES


def _only_frame(path: Path) -> Iterator[Frame | Unreadable]:
    frame = _frame(path, 0, path.stem)
    yield frame
    if isinstance(frame, Unreadable):
        raise frame.error


def _frame(file: Path, stamp_ns: int, camera: str) -> Frame | Unreadable:
    try:
        if _is_foreign(file):
            raise ImageError(f"{file.suffix} files are not read; convert them to JPEG or PNG")
        return Frame(read_image(file), stamp_ns, camera, file=file.name)
    except ImageError as error:
        return Unreadable(error, stamp_ns, camera, file.name)
