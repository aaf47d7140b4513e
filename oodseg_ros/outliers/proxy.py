"""Writing a COCO proxy folder: one mask per picture (0 / 254), so that training need not parse the instances file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from ..errors import DatasetError
from .coco import CocoPicture


def write_proxy(
    pictures: Sequence[CocoPicture], images: Path, masks: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write `masks/<picture>.png` for every picture, in the folders that they have below `images`; masks that are
    there already are kept.

    Args:
        progress: called with (done, total).

    Returns:
        Number of masks written now.

    Raises:
        DatasetError: a picture cannot be read or has another size than its instances file says, or two pictures
            differ only in their suffix.
    """
    files = [masks / picture.image.relative_to(images).with_suffix(".png") for picture in pictures]
    if twice := [str(file) for file, count in Counter(files).items() if count > 1]:
        raise DatasetError(f"several pictures would share the mask {twice[0]}; rename those that differ in suffix only")
    written = 0
    for done, (picture, file) in enumerate(zip(pictures, files, strict=True), 1):
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_bytes(cv2.imencode(".png", picture.read()[1])[1].tobytes())
            part.replace(file)
            written += 1
        if progress:
            progress(done, len(pictures))
    return written
