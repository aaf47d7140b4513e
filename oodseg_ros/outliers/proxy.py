"""Writing a COCO proxy folder: one mask per picture (0 / 254), so that training need not parse the instances file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from .coco import CocoPicture


def write_proxy(
    pictures: Sequence[CocoPicture], masks: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write `masks/<picture>.png` for every picture; masks that are there already are kept.

    Args:
        progress: called with (done, total).

    Returns:
        Number of masks written now.

    Raises:
        DatasetError: a picture cannot be read or has another size than its instances file says.
    """
    masks.mkdir(parents=True, exist_ok=True)
    written = 0
    for done, picture in enumerate(pictures, 1):
        file = masks / f"{picture.image.stem}.png"
        if not file.is_file():
            part = file.with_suffix(".part")
            part.write_bytes(cv2.imencode(".png", picture.read()[1])[1].tobytes())
            part.replace(file)
            written += 1
        if progress:
            progress(done, len(pictures))
    return written
