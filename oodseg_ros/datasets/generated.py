"""Generated pictures and their originals: which belongs to which, in the naming of CG-Aug (arXiv 2411.03829).

`leftImg8bit/{split}/{id}{what was changed}_leftImg8bit.png`, `gtFine/{split}/{id}{…}_gtFine_labelTrainIds.png`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from ..sources.image_files import IMAGE_SUFFIXES, read_image

IMAGE_END, LABEL_END = "_leftImg8bit", "_gtFine_labelTrainIds"


@dataclass(frozen=True)
class Generated:
    """One generated picture and its labels: class ids of the originals' label set, 254 = the unknown object."""

    image: Path
    label: Path

    def read(self) -> np.ndarray:
        """RGB uint8 `[H, W, 3]`.

        Raises:
            DatasetError: it cannot be read.
        """
        return read_image(self.image)


def find_generated(root: Path, split: str, ids: Sequence[str]) -> dict[str, list[Generated]]:
    """Pictures generated from the originals `ids`, sorted by name; originals without one are left out.

    Raises:
        DatasetError: there is no folder of generated pictures, or a picture lacks its labels.
    """
    images, labels = root / "leftImg8bit" / (split or "train"), root / "gtFine" / (split or "train")
    if not images.is_dir():
        raise DatasetError(f"no generated pictures at {images}; `oodseg generate` writes them")
    files = {
        file.relative_to(images).with_suffix("").as_posix()[: -len(IMAGE_END)]: file
        for file in images.rglob(f"*{IMAGE_END}.*")
        if file.suffix.lower() in IMAGE_SUFFIXES
    }
    names = sorted(files)
    found: dict[str, list[Generated]] = {}
    for key in ids:
        for name in names[bisect_left(names, key) :]:
            if not name.startswith(key):
                break
            if name[len(key) :][:1] not in ("", "_"):
                continue
            label = labels / f"{name}{LABEL_END}.png"
            if not label.is_file():
                raise DatasetError(f"generated picture {files[name]} has no labels: {label} is missing")
            found.setdefault(key, []).append(Generated(files[name], label))
    return found
